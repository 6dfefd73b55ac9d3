//! What RPM writes down of a package (rpm's format description, "Header").
//!
//! ```text
//! header = entries:u32 data_bytes:u32 entry* data        all big-endian
//! entry  = tag:u32 type:u32 offset:u32 count:u32         offset into data
//! ```

use crate::{Ecosystem, Package};

const ENTRY_BYTES: usize = 16;

const TAG_NAME: u32 = 1000;
const TAG_VERSION: u32 = 1001;
const TAG_RELEASE: u32 = 1002;
const TAG_EPOCH: u32 = 1003;
const TAG_VENDOR: u32 = 1011;
const TAG_LICENSE: u32 = 1014;
const TAG_ARCHITECTURE: u32 = 1022;
const TAG_SOURCE: u32 = 1044;

const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;
const TYPE_I18N_STRING: u32 = 9;

/// A package's header.
pub(super) struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    pub(super) fn parse(blob: &'a [u8]) -> Option<Self> {
        let (count, rest) = number(blob)?;
        let (length, rest) = number(rest)?;
        let entries = usize::try_from(count).ok()?.checked_mul(ENTRY_BYTES)?;
        let (entries, data) = rest.split_at_checked(entries)?;
        let data = data.get(..usize::try_from(length).ok()?)?;
        Some(Self { entries, data })
    }

    pub(super) fn package(&self, path: &str) -> Option<Package> {
        let name = self.text(TAG_NAME)?;
        // The keys that packages are signed with stand among them.
        if name == "gpg-pubkey" {
            return None;
        }
        let (version, release) = (self.text(TAG_VERSION)?, self.text(TAG_RELEASE)?);
        let version = match self.integer(TAG_EPOCH) {
            Some(epoch) if epoch != 0 => format!("{epoch}:{version}-{release}"),
            _ => format!("{version}-{release}"),
        };
        let owned = |tag| self.text(tag).map(str::to_owned);
        Some(Package {
            architecture: owned(TAG_ARCHITECTURE),
            source: owned(TAG_SOURCE),
            license: owned(TAG_LICENSE),
            supplier: owned(TAG_VENDOR),
            ..Package::new(Ecosystem::Rpm, name, &version, path)
        })
    }

    fn value(&self, tag: u32, types: &[u32]) -> Option<&'a [u8]> {
        let entry = self.entries.chunks_exact(ENTRY_BYTES).find(|entry| {
            let (found, rest) = (number(entry), &entry[4..]);
            let kind = number(rest).map(|(kind, _)| kind);
            found.is_some_and(|(found, _)| found == tag)
                && kind.is_some_and(|kind| types.contains(&kind))
        })?;
        let (offset, _) = number(&entry[8..])?;
        self.data.get(usize::try_from(offset).ok()?..)
    }

    fn text(&self, tag: u32) -> Option<&'a str> {
        let value = self.value(tag, &[TYPE_STRING, TYPE_I18N_STRING])?;
        let end = value.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&value[..end]).ok()
    }

    fn integer(&self, tag: u32) -> Option<u32> {
        number(self.value(tag, &[TYPE_INT32])?).map(|(value, _)| value)
    }
}

/// A big-endian number, and what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header as rpm writes it.
    pub(in crate::rpm) fn header(fields: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let (mut entries, mut data) = (Vec::new(), Vec::<u8>::new());
        for (tag, kind, value) in fields {
            for part in [*tag, *kind, u32::try_from(data.len()).expect("small"), 1] {
                entries.extend(part.to_be_bytes());
            }
            data.extend(*value);
        }
        let mut blob = Vec::new();
        for part in [fields.len(), data.len()] {
            blob.extend(u32::try_from(part).expect("small").to_be_bytes());
        }
        blob.extend(entries);
        blob.extend(data);
        blob
    }

    /// The header of a package, and that of a key that packages are signed with.
    pub(in crate::rpm) fn bash_and_a_key() -> [Vec<u8>; 2] {
        let bash = header(&[
            (TAG_NAME, TYPE_STRING, b"bash\0"),
            (TAG_VERSION, TYPE_STRING, b"5.2\0"),
            (TAG_RELEASE, TYPE_STRING, b"3.fc40\0"),
            (TAG_EPOCH, TYPE_INT32, &2_u32.to_be_bytes()),
            (TAG_ARCHITECTURE, TYPE_STRING, b"x86_64\0"),
            (TAG_LICENSE, TYPE_STRING, b"GPL-3.0-or-later\0"),
        ]);
        let key = header(&[
            (TAG_NAME, TYPE_STRING, b"gpg-pubkey\0"),
            (TAG_VERSION, TYPE_STRING, b"1\0"),
            (TAG_RELEASE, TYPE_STRING, b"1\0"),
        ]);
        [bash, key]
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::parse(&bytes).and_then(|header| header.package("x"));
        }
    }
}
