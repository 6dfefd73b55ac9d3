//! What can go wrong with handing an image on.

use std::io;
use std::path::PathBuf;

use rbuild_image::{ImageError, LayerId};
use rbuild_layer::LayerError;
use rbuild_registry::RegistryError;
use rbuild_store::StoreError;

/// A failure of an output. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A file or directory of the output.
    #[error("{action} {path}", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The output stream.
    #[error("write the archive")]
    Archive(#[source] io::Error),
    /// The Docker engine.
    #[error("load the image into the Docker engine at {socket}: {reason}")]
    Engine {
        /// Its socket.
        socket: String,
        /// What it said, or why it was not reached.
        reason: String,
    },
    /// A layer is neither in the store nor anywhere to be fetched from.
    #[error("find layer {0}: it is not in the store, and no registry is known to have it")]
    Layer(LayerId),
    /// A layer that a remote cache should have is not there, or not in the form that the output wants. Who builds it here can
    /// try again.
    #[error("find layer {layer} in the remote cache that lists it")]
    RemoteLayer {
        /// Which.
        layer: LayerId,
    },
    /// The output cannot hold this result.
    #[error("{0}")]
    Unsupported(String),
    /// The images of two platforms have a file of one name, and no folders of their own.
    #[error(
        "write the files of two platforms into one tree: cannot overwrite {path} from {first} with {second} when split option is \
         disabled; leave out platform-split=false"
    )]
    Overlap {
        /// The file.
        path: String,
        /// The platform whose it is.
        first: String,
        /// The platform that has another.
        second: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer's files.
    #[error(transparent)]
    Contents(#[from] LayerError),
    /// A registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A document.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A base image in an OCI layout.
    #[error(transparent)]
    Source(#[from] rbuild_source::SourceError),
    /// What an image tells of its steps.
    #[error(transparent)]
    Remote(#[from] rbuild_remote::RemoteError),
    /// A mount.
    #[error(transparent)]
    Sys(#[from] rbuild_sys::SysError),
}

impl ExportError {
    /// A failure on `path`, for `map_err`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
