//! What can go wrong between a directory and a tar.

use std::io;

/// A failure of this crate. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A system call on something inside a layer's directory failed.
    #[error("{action} {path:?}", path = lossy(path))]
    File {
        /// What was tried, such as `open` or `create directory`.
        action: &'static str,
        /// The path inside the layer; empty for the layer's root.
        path: Vec<u8>,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file has another size than its index says: somebody changes it while it is read.
    #[error("read {path:?}: it changed while it was read", path = lossy(path))]
    Changed {
        /// The path inside the layer.
        path: Vec<u8>,
    },
    /// An entry that no layer may hold: it points out of the layer, has a forbidden name, or stands
    /// where it cannot stand.
    #[error("accept entry {path:?}: {reason}", path = lossy(path))]
    Entry {
        /// The path as it was given.
        path: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A byte stream is not a tar, or ends too early.
    #[error("read tar at byte {offset}: {reason}")]
    Archive {
        /// Where in the uncompressed stream.
        offset: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A stored content index cannot be understood.
    #[error("decode content index: {reason}")]
    Index {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The compressed bytes that come in are in no format that we read.
    #[error("recognise compression: {reason}")]
    Compression {
        /// What they look like.
        reason: &'static str,
    },
    /// The stream that a layer is read from failed.
    #[error("read layer stream")]
    Input(#[source] io::Error),
    /// The sink that a tar is written to failed.
    #[error("write layer stream")]
    Output(#[source] io::Error),
}

impl LayerError {
    /// A failed system call on `path`.
    pub(crate) fn file(action: &'static str, path: &[u8], source: impl Into<io::Error>) -> Self {
        Self::File {
            action,
            path: path.to_vec(),
            source: source.into(),
        }
    }

    /// An entry that is refused.
    pub(crate) fn entry(path: &[u8], reason: &'static str) -> Self {
        Self::Entry {
            path: path.to_vec(),
            reason,
        }
    }
}

/// The result of this crate's operations.
pub type Result<T, E = LayerError> = std::result::Result<T, E>;

/// A path for people; names are bytes and need not be UTF-8.
fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
