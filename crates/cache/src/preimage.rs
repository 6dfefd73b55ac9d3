//! What a key is the hash of: an ordered list of labelled values.
//!
//! ```text
//! bytes = "rbuild-key" version:u32 kind (label value)*      each text as length:u32 + bytes
//! key   = blake3(bytes)
//! ```

use std::fmt::Display;
use std::io::Write as _;

use rbuild_store::StepKey;

use crate::CacheError;

/// The first bytes of every preimage. A change of the version makes every earlier key miss; it is due when a step does
/// something else than before. 2: `USER 1000` has the groups of that account. 3: a group is one of its supplementary groups.
const MAGIC: &[u8] = b"rbuild-key";
const VERSION: u32 = 3;
/// What stands before each text.
const LENGTH_BYTES: usize = size_of::<u32>();
/// What the preimages of most steps fit into.
const USUAL_BYTES: usize = 2 << 10;
/// Why reading one never fails.
const CHECKED: &str = "bytes are checked when they are taken";

/// One thing that a step depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What it is, unique within its preimage where it can be: `env PATH`, `arg 2`, `source 0`.
    pub label: String,
    /// Its value: text, or a content digest in hexadecimal.
    pub value: Vec<u8>,
}

/// Everything that a step depends on, in a fixed order.
///
/// It is its canonical bytes: keys are made far more often than elements are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preimage {
    bytes: Vec<u8>,
}

impl Preimage {
    /// Nothing yet, for an operation of this kind.
    pub fn new(kind: &str) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        put(&mut bytes, kind.as_bytes());
        Self { bytes }
    }

    /// Adds a dependency.
    pub fn push(&mut self, label: impl Display, value: impl AsRef<[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend([0; LENGTH_BYTES]);
        write!(self.bytes, "{label}").expect("memory takes what is written");
        let length = length(self.bytes.len() - start - LENGTH_BYTES);
        self.bytes[start..start + LENGTH_BYTES].copy_from_slice(&length);
        put(&mut self.bytes, value.as_ref());
    }

    /// The operation's kind.
    pub fn kind(&self) -> &str {
        self.open().expect(CHECKED).0
    }

    /// The dependencies in order.
    pub fn elements(&self) -> Vec<Element> {
        self.read().expect(CHECKED)
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes canonical bytes.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, CacheError> {
        let preimage = Self { bytes };
        preimage.read()?;
        Ok(preimage)
    }

    /// The kind, and what follows it.
    fn open(&self) -> Result<(&str, Reader<'_>), CacheError> {
        let rest = self
            .bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.strip_prefix(&VERSION.to_le_bytes()))
            .ok_or(CacheError::Preimage("unknown format version"))?;
        let mut reader = Reader { rest };
        Ok((reader.text()?, reader))
    }

    fn read(&self) -> Result<Vec<Element>, CacheError> {
        let (_, mut reader) = self.open()?;
        let mut elements = Vec::new();
        while !reader.rest.is_empty() {
            elements.push(Element {
                label: reader.text()?.to_owned(),
                value: reader.field()?.to_vec(),
            });
        }
        Ok(elements)
    }

    /// The key.
    pub fn key(&self) -> StepKey {
        StepKey(*blake3::hash(&self.bytes).as_bytes())
    }
}

fn put(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend(length(field.len()));
    bytes.extend(field);
}

fn length(bytes: usize) -> [u8; LENGTH_BYTES] {
    let bytes = u32::try_from(bytes).expect("a value in a key is far below 4 GiB");
    bytes.to_le_bytes()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<&'a [u8], CacheError> {
        let (length, rest) = self
            .rest
            .split_first_chunk::<4>()
            .ok_or(CacheError::Preimage("cut off"))?;
        let (field, rest) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or(CacheError::Preimage("cut off"))?;
        self.rest = rest;
        Ok(field)
    }

    fn text(&mut self) -> Result<&'a str, CacheError> {
        std::str::from_utf8(self.field()?).map_err(|_| CacheError::Preimage("not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preimage_keeps_its_bytes_across_versions_of_the_program() {
        let mut preimage = Preimage::new("exec");
        preimage.push("arg 0", "/bin/sh");
        preimage.push("env PATH", "/bin");
        assert_eq!(
            blake3::hash(preimage.as_bytes()).to_hex().as_str(),
            "ac87272db95e0ffa3d698825334af7e17198198dd97d59bc35e43834d48d57ab"
        );
    }

    #[test]
    fn moving_a_boundary_between_values_changes_the_key() {
        let mut one = Preimage::new("exec");
        one.push("a", "bc");
        let mut other = Preimage::new("exec");
        other.push("ab", "c");
        assert_ne!(one.key(), other.key());
    }

    /// The same elements, pushed again.
    fn again(preimage: &Preimage) -> Preimage {
        let mut again = Preimage::new(preimage.kind());
        for element in preimage.elements() {
            again.push(element.label, element.value);
        }
        again
    }

    #[test]
    fn a_torn_preimage_is_an_error() {
        let mut preimage = Preimage::new("exec");
        preimage.push("a", "bc");
        let bytes = preimage.as_bytes();
        for cut in 1..bytes.len() {
            let torn = &bytes[..cut];
            if let Ok(read) = Preimage::decode(torn.to_vec()) {
                assert_eq!(again(&read).as_bytes(), torn, "cut at {cut}");
            }
        }
    }
}
