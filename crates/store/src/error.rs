//! What can go wrong in the store.

use std::io;
use std::path::PathBuf;

use rbuild_image::{Digest, ImageError, LayerId};
use rbuild_layer::LayerError;

/// What the store tried, and on what. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory of the store could not be worked on.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried: `create`, `open`, `rename`, …
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The database refused a query or a change.
    #[error("{what} in the store's database")]
    Database {
        /// What was tried.
        what: &'static str,
        /// The database's words.
        source: rusqlite::Error,
    },
    /// The state was written by a newer version of this program.
    #[error(
        "open {}: its format is version {found}, this program knows {known} and older; use the newer program or another root",
        path.display()
    )]
    TooNew {
        /// The database.
        path: PathBuf,
        /// The format that it has.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// Bytes do not have the digest that they were promised to have.
    #[error("store blob {expected}: its bytes have digest {actual}")]
    DigestMismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Fewer or more bytes came than were promised.
    #[error("store blob: {actual} bytes came where {expected} were promised")]
    SizeMismatch {
        /// Bytes promised.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// A document that an image needs is not among the blobs.
    #[error("find blob {digest}, which the image needs")]
    MissingBlob {
        /// The blob.
        digest: Digest,
    },
    /// A record or a container names a layer that the store does not hold.
    #[error("find layer {id}")]
    MissingLayer {
        /// The layer.
        id: LayerId,
    },
    /// A layer's files or index could not be read or written.
    #[error("work on layer {id}")]
    Layer {
        /// The layer.
        id: LayerId,
        /// What is wrong.
        source: LayerError,
    },
    /// A manifest, index or config is not what its media type promises.
    #[error("read document {digest}")]
    Document {
        /// The document.
        digest: Digest,
        /// What is wrong.
        source: ImageError,
    },
    /// The beginning of an ID fits more than one image or container.
    #[error("find {prefix:?}: it is the beginning of {} IDs ({})", matches.len(), matches.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// The IDs that it fits, shortened.
        matches: Vec<String>,
    },
    /// Another container has that name.
    #[error("name a container {name:?}: container {holder} has that name")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        holder: String,
    },
    /// There is no such container.
    #[error("find container {id}")]
    MissingContainer {
        /// What was asked for.
        id: String,
    },
    /// A build uses the cache mount.
    #[error("take cache mount {id}: a build uses it")]
    CacheMountInUse {
        /// Its id.
        id: String,
    },
    /// There is no such cache mount.
    #[error("find cache mount {id}")]
    MissingCacheMount {
        /// What was asked for.
        id: String,
    },
    /// A cache mount's files could not be packed or unpacked.
    #[error("work on cache mount {id}")]
    CacheMount {
        /// Its id.
        id: String,
        /// What is wrong.
        source: LayerError,
    },
    /// The caller's cancel callback said to stop waiting.
    #[error("wait for {what}: cancelled")]
    Cancelled {
        /// What was waited for.
        what: String,
    },
}

impl StoreError {
    /// A closure for `map_err` on a file operation.
    pub(crate) fn io<E: Into<io::Error>>(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io {
            what,
            path,
            source: source.into(),
        }
    }

    /// A closure for `map_err` on a database operation.
    pub(crate) fn database(what: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { what, source }
    }

    /// Whether the disk is full or its quota used up.
    pub fn is_out_of_space(&self) -> bool {
        match self {
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            Self::Database { source, .. } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }
}

/// Everything here fails with a [`StoreError`].
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;
