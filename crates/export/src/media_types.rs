//! Whose names documents and layers go by.
//!
//! ```text
//! Oci      what all of today's tools read
//! Docker   schema 2, for engines and registries of before 2019: oci-mediatypes=false
//! ```

use rbuild_image::{Descriptor, media_type};

/// The media types of what is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaTypes {
    /// Those of OCI.
    #[default]
    Oci,
    /// Those of Docker's schema 2, which knows no annotations.
    Docker,
}

impl MediaTypes {
    /// A manifest's.
    pub(crate) fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    /// An index's.
    pub(crate) fn index(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_INDEX,
            Self::Docker => media_type::DOCKER_LIST,
        }
    }

    /// A config's.
    pub(crate) fn config(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_CONFIG,
            Self::Docker => media_type::DOCKER_CONFIG,
        }
    }

    /// A layer's descriptor, which has OCI's name, as these have it.
    pub(crate) fn layer(self, layer: &Descriptor) -> Descriptor {
        let mut layer = layer.clone();
        let kind = match (self, layer.media_type().as_ref()) {
            (Self::Docker, media_type::OCI_LAYER) => media_type::DOCKER_LAYER,
            (Self::Docker, media_type::OCI_LAYER_GZIP) => media_type::DOCKER_LAYER_GZIP,
            (Self::Docker, media_type::OCI_LAYER_ZSTD) => media_type::DOCKER_LAYER_ZSTD,
            (Self::Docker, media_type::OCI_RESTRICTED_LAYER) => media_type::DOCKER_FOREIGN_LAYER,
            (Self::Docker, media_type::OCI_RESTRICTED_LAYER_GZIP) => {
                media_type::DOCKER_FOREIGN_LAYER_GZIP
            }
            _ => return self.bare(layer),
        };
        layer.set_media_type(kind.into());
        self.bare(layer)
    }

    /// Without what these do not know.
    fn bare(self, mut layer: Descriptor) -> Descriptor {
        if self == Self::Docker {
            layer.set_annotations(None);
        }
        layer
    }
}
