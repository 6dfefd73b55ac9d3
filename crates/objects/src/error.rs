//! What can go wrong between us and a store of objects.

use std::error::Error;
use std::io;

/// A failure of this crate. Messages follow "failed to" and hold no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectsError {
    /// No object can have this name.
    #[error("name an object {name:?}: {reason}")]
    Name {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The store was described in a way that makes no sense.
    #[error("use {store} as a store: {reason}")]
    Config {
        /// The store's address, or its kind where there is no address yet.
        store: String,
        /// What is wrong.
        reason: String,
    },
    /// The way there was described in a way that makes no sense.
    #[error(transparent)]
    Web(#[from] rbuild_web::WebError),
    /// The store says no: credentials are missing, wrong, or allow too little.
    #[error("{action} {object}: access denied")]
    Denied {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The object's address: `s3://bucket/prefix/blobs/sha256/4f9c…`.
        object: String,
        /// What the store said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store did not do it.
    #[error("{action} {object}")]
    Store {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The object's address.
        object: String,
        /// What was said, or why nothing was said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An object that should be small is not.
    #[error("read {object}: it has more than {limit} bytes")]
    TooLarge {
        /// The object's address.
        object: String,
        /// How many would have been read.
        limit: u64,
    },
    /// The bytes that were to be written could not be had.
    #[error("read what was to be written to {object}")]
    Source {
        /// The object's address.
        object: String,
        /// Why.
        source: io::Error,
    },
    /// There were more or fewer bytes to write than was said.
    #[error("write {object}: it should have {expected} bytes, but there were {actual}")]
    Size {
        /// The object's address.
        object: String,
        /// How many were announced.
        expected: u64,
        /// How many came; where more came, how many were seen of them.
        actual: u64,
    },
}

/// Whether a store said no, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It does not let us.
    Access,
    /// It did not do it.
    Other,
}

impl ObjectsError {
    /// What came of trying to do `action` to `object`.
    pub(crate) fn at(
        action: &'static str,
        object: String,
        refusal: Refusal,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        let source = Box::new(source);
        match refusal {
            Refusal::Access => Self::Denied {
                action,
                object,
                source,
            },
            Refusal::Other => Self::Store {
                action,
                object,
                source,
            },
        }
    }
}
