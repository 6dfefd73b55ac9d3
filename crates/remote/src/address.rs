//! How an entry is found.

use std::fmt;

use rbuild_store::{FastKey, StepKey};

/// A key, or a fast key that leads to the same entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// By contents.
    Key(StepKey),
    /// By the identity of the inputs: how COPY `--from` and bind mounts are found without their contents.
    Fast(FastKey),
}

impl Address {
    /// 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        match self {
            Self::Key(key) => hex::encode(key.0),
            Self::Fast(fast) => hex::encode(fast.0),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_) => write!(f, "key {}", self.hex()),
            Self::Fast(_) => write!(f, "fast key {}", self.hex()),
        }
    }
}
