//! What a key is the hash of: an ordered list of labelled values.
//!
//! ```text
//! bytes = "rbuild-key" version:u32 kind (label value)*      each text as length:u32 + bytes
//! key   = blake3(bytes)
//! ```

use rbuild_store::StepKey;

use crate::CacheError;

/// The first bytes of every preimage. A change of the version makes every earlier key miss; it is due when a step does
/// something else than before. 2: `USER 1000` has the groups of that account. 3: a group is one of its supplementary groups.
const MAGIC: &[u8] = b"rbuild-key";
const VERSION: u32 = 3;
/// What stands before each text.
const LENGTH_BYTES: usize = size_of::<u32>();

/// One thing that a step depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What it is, unique within its preimage where it can be: `env PATH`, `arg 2`, `source 0`.
    pub label: String,
    /// Its value: text, or a content digest in hexadecimal.
    pub value: Vec<u8>,
}

/// Everything that a step depends on, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preimage {
    kind: String,
    elements: Vec<Element>,
}

impl Preimage {
    /// Nothing yet, for an operation of this kind.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            elements: Vec::new(),
        }
    }

    /// Adds a dependency.
    pub fn push(&mut self, label: impl Into<String>, value: impl AsRef<[u8]>) {
        self.elements.push(Element {
            label: label.into(),
            value: value.as_ref().to_vec(),
        });
    }

    /// The operation's kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The dependencies in order.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let elements = self.elements.iter();
        let fields = elements.map(|one| 2 * LENGTH_BYTES + one.label.len() + one.value.len());
        let header = MAGIC.len() + 2 * LENGTH_BYTES + self.kind.len();
        let mut bytes = Vec::with_capacity(header + fields.sum::<usize>());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        put(&mut bytes, self.kind.as_bytes());
        for element in &self.elements {
            put(&mut bytes, element.label.as_bytes());
            put(&mut bytes, &element.value);
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, CacheError> {
        let rest = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.strip_prefix(&VERSION.to_le_bytes()))
            .ok_or(CacheError::Preimage("unknown format version"))?;
        let mut reader = Reader { rest };
        let kind = reader.text()?;
        let mut elements = Vec::new();
        while !reader.rest.is_empty() {
            elements.push(Element {
                label: reader.text()?,
                value: reader.field()?.to_vec(),
            });
        }
        Ok(Self { kind, elements })
    }

    /// The key.
    pub fn key(&self) -> StepKey {
        StepKey(*blake3::hash(&self.encode()).as_bytes())
    }
}

fn put(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).expect("a value in a key is far below 4 GiB");
    bytes.extend(length.to_le_bytes());
    bytes.extend(field);
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

    fn text(&mut self) -> Result<String, CacheError> {
        String::from_utf8(self.field()?.to_vec()).map_err(|_| CacheError::Preimage("not UTF-8"))
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
            blake3::hash(&preimage.encode()).to_hex().as_str(),
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

    #[test]
    fn a_torn_preimage_is_an_error() {
        let mut preimage = Preimage::new("exec");
        preimage.push("a", "bc");
        let bytes = preimage.encode();
        for cut in 1..bytes.len() {
            let torn = &bytes[..cut];
            if let Ok(read) = Preimage::decode(torn) {
                assert_eq!(read.encode(), torn, "cut at {cut}");
            }
        }
    }
}
