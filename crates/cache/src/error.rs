//! What can go wrong with keys.

/// A stored preimage that cannot be read. Messages follow "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The bytes are no preimage of this format version.
    #[error("decode a key's preimage: {0}")]
    Preimage(&'static str),
}
