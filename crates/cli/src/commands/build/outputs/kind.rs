//! What becomes of a result: `type=`.

use std::path::PathBuf;

use crate::commands::destination::Destination;

/// `type=`, with where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Into the local store, and perhaps to its registry as well.
    Image { push: bool },
    /// To its registry.
    Registry,
    /// An OCI archive or layout directory.
    Oci {
        destination: Destination,
        form: Form,
    },
    /// An archive for `docker load`.
    Docker { destination: Destination },
    /// Into the Docker engine.
    Load,
    /// The files, as a directory.
    Local { directory: PathBuf },
    /// The files, as a tar.
    Tar { destination: Destination },
    /// Nowhere: the cache is what counts.
    CacheOnly,
}

/// Whether a layout is one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Archive,
    Directory,
}

impl Kind {
    /// Whether it is files without an image.
    pub(super) fn is_files(&self) -> bool {
        matches!(self, Self::Local { .. } | Self::Tar { .. })
    }

    /// Whether it is an image.
    pub(super) fn is_image(&self) -> bool {
        !self.is_files() && *self != Self::CacheOnly
    }

    /// Whether a registry gets it.
    pub(super) fn pushes(&self) -> bool {
        matches!(self, Self::Registry | Self::Image { push: true })
    }

    /// Whether it goes to standard output.
    pub(super) fn writes_stdout(&self) -> bool {
        matches!(
            self,
            Self::Oci {
                destination: Destination::Stdout,
                ..
            } | Self::Docker {
                destination: Destination::Stdout
            } | Self::Tar {
                destination: Destination::Stdout
            }
        )
    }

    /// What its step is called.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Image { .. } => "exporting to image",
            Self::Registry => "pushing to registry",
            Self::Oci { .. } => "exporting to oci image format",
            Self::Docker { .. } | Self::Load => "exporting to docker image format",
            Self::Local { .. } => "exporting to client directory",
            Self::Tar { .. } => "exporting to client tarball",
            Self::CacheOnly => "exporting nothing",
        }
    }
}
