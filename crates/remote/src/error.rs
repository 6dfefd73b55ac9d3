//! What can go wrong with a remote cache.

use std::io;

use rbuild_image::{ImageError, LayerId};
use rbuild_layer::LayerError;
use rbuild_objects::ObjectsError;
use rbuild_registry::RegistryError;
use rbuild_store::StoreError;

/// A failure of this crate. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// A document of the cache is not what it should be.
    #[error("read the cache's {what}: {reason}")]
    Document {
        /// `entry`, `bundle`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A blob that an entry names is not there.
    #[error("find the blob {digest} in {place}")]
    MissingBlob {
        /// Its digest.
        digest: String,
        /// Where it was looked for.
        place: String,
    },
    /// A blob's bytes are not those that its digest names.
    #[error("verify the blob {digest} from {place}: its bytes are others")]
    Corrupt {
        /// The digest that was asked for.
        digest: String,
        /// Where it came from.
        place: String,
    },
    /// A place that is only read.
    #[error("write to {place}: it can only be read")]
    ReadOnly {
        /// Which.
        place: String,
    },
    /// The name is an image's.
    #[error("write to {place}: it is an image")]
    Occupied {
        /// Which.
        place: String,
    },
    /// A layer that was to be published is not in the store.
    #[error("find layer {0} to publish it: it is not in the store")]
    LostLayer(LayerId),
    /// A layer could not be compressed.
    #[error("compress a layer")]
    Compress(#[source] io::Error),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// The local store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A digest or a name.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl RemoteError {
    /// What the user can do about it, if we know.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Occupied { .. } => Some(
                "give the cache a tag of its own, or put it into the image with --cache-to type=inline"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether it may pass: a registry that is busy, or lacks what it has just been given, or stumbles over a tag that
    /// somebody writes at this moment.
    pub(crate) fn may_pass(&self) -> bool {
        let Self::Registry(error) = self else {
            return false;
        };
        let is_busy = matches!(error, RegistryError::Status { .. }) && error.is_transient();
        let text = error.to_string();
        let codes = [
            "BLOB_UNKNOWN",
            "BLOB_UPLOAD_INVALID",
            "DIGEST_INVALID",
            "MANIFEST_INVALID",
        ];
        is_busy || codes.iter().any(|code| text.contains(code))
    }

    pub(crate) fn document(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Document {
            what,
            reason: reason.into(),
        }
    }
}
