//! What can be wrong with a value that names or describes an image.

/// A value that does not follow its specification. Messages follow "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The text is not `sha256:` and 64 lower-case hexadecimal digits.
    #[error("parse digest {text:?}: {reason}")]
    Digest {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text is not an image reference as the distribution specification has it.
    #[error("parse image reference {text:?}: {reason}")]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text is not `os[/arch[/variant]]`.
    #[error("parse platform {text:?}: {reason}")]
    Platform {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A JSON document does not have the shape that its media type promises.
    #[error("read {what}: {reason}")]
    Document {
        /// Which document.
        what: &'static str,
        /// serde's words on it.
        reason: String,
    },
}
