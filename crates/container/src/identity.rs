//! Who a container is: 64 hexadecimal digits, of which people use twelve or fewer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A container's ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

/// Random bytes that a container's ID and its name come from; the caller draws them.
#[derive(Debug, Clone, Copy)]
pub struct Seed(pub [u8; 32]);

/// Digits of an ID that are shown, and are the container's host name.
const SHORT_DIGITS: usize = 12;

impl ContainerId {
    /// The ID that `seed` gives.
    pub fn from_seed(seed: Seed) -> Self {
        Self(hex::encode(seed.0))
    }

    /// An ID as the store has it.
    pub fn from_store(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits.
    pub fn short(&self) -> &str {
        self.0.get(..SHORT_DIGITS).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
