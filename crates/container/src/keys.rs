//! The keys that leave a container without ending it: `ctrl-p,ctrl-q`, or what `--detach-keys` says.

use crate::ContainerError;

/// A sequence of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    fn default() -> Self {
        Self(vec![16, 17])
    }
}

impl DetachKeys {
    /// Reads `--detach-keys`: letters, and `ctrl-` with a letter or one of `@[\]^_`, with commas between them. An empty
    /// text means that nothing leaves.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = || {
            ContainerError::option(
                "--detach-keys",
                text,
                "it is a sequence such as ctrl-p,ctrl-q or ctrl-x,d",
            )
        };
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let keys = text.split(',').map(|key| match key.as_bytes() {
            [letter] => Ok(*letter),
            [b'c', b't', b'r', b'l', b'-', letter @ (b'a'..=b'z')] => Ok(letter - b'a' + 1),
            [b'c', b't', b'r', b'l', b'-', sign @ (b'@' | b'['..=b'_')] => Ok(sign - b'@'),
            _ => Err(fail()),
        });
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// Begins to watch for them.
    pub(crate) fn watch(&self) -> Watch<'_> {
        Watch {
            keys: &self.0,
            seen: 0,
        }
    }
}

/// How much of the sequence was typed last.
pub(crate) struct Watch<'a> {
    keys: &'a [u8],
    seen: usize,
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// For the container.
    On(Vec<u8>),
    /// For the container, and then the whole sequence.
    Leave(Vec<u8>),
}

impl Watch<'_> {
    /// Takes what was typed, and keeps back what may be the sequence's beginning.
    pub(crate) fn see(&mut self, typed: &[u8]) -> Typed {
        let mut on = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.keys.get(self.seen) == Some(byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    self.seen = 0;
                    return Typed::Leave(on);
                }
                continue;
            }
            on.extend_from_slice(&self.keys[..self.seen]);
            self.seen = 0;
            if self.keys.first() == Some(byte) {
                self.seen = 1;
            } else {
                on.push(*byte);
            }
        }
        Typed::On(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_sequence_leaves() {
        let keys = DetachKeys::default();
        let mut watch = keys.watch();
        assert_eq!(watch.see(b"a\x10"), Typed::On(b"a".to_vec()));
        assert_eq!(watch.see(b"b"), Typed::On(b"\x10b".to_vec()));
        assert_eq!(watch.see(b"\x10\x10"), Typed::On(b"\x10".to_vec()));
        assert_eq!(watch.see(b"\x11later"), Typed::Leave(Vec::new()));
    }

    #[test]
    fn other_sequences_can_be_chosen() {
        let keys = DetachKeys::parse("ctrl-x,d").expect("well-formed");
        assert_eq!(keys.watch().see(b"\x18d"), Typed::Leave(Vec::new()));
        let none = DetachKeys::parse("").expect("well-formed");
        assert_eq!(
            none.watch().see(b"\x10\x11"),
            Typed::On(b"\x10\x11".to_vec())
        );
        assert!(DetachKeys::parse("ctrl-1").is_err());
    }
}
