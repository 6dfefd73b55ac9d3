//! Media types, ours and Docker's, by what they mean.

/// The media types that we read and write.
pub mod media_type {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, uncompressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, uncompressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker manifest, version 2 schema 1: refused.
    pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// [`DOCKER_SCHEMA1`] without signatures: refused.
    pub const DOCKER_SCHEMA1_UNSIGNED: &str =
        "application/vnd.docker.distribution.manifest.v1+json";
    /// Docker layer, zstd: never registered, yet written by some tools.
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker layer, gzip, fetched from its own URLs.
    pub const DOCKER_FOREIGN_LAYER_GZIP: &str =
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// Docker layer, uncompressed, fetched from its own URLs.
    pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
    /// OCI layer, uncompressed, not to be distributed.
    pub const OCI_RESTRICTED_LAYER: &str =
        "application/vnd.oci.image.layer.nondistributable.v1.tar";
    /// OCI layer, gzip, not to be distributed.
    pub const OCI_RESTRICTED_LAYER_GZIP: &str =
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    /// OCI layer, zstd, not to be distributed.
    pub const OCI_RESTRICTED_LAYER_ZSTD: &str =
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
}

/// How a layer blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// How a layer's tar is packed into a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    /// As one stream.
    Stream(Compression),
    /// gzip with a table of contents, for the stargz snapshotter; the decompressed stream is another than the tar.
    Estargz,
    /// zstd with a table of contents, for containers/storage.
    ZstdChunked,
}

impl Packing {
    /// What decompresses it.
    pub fn compression(self) -> Compression {
        match self {
            Self::Stream(compression) => compression,
            Self::Estargz => Compression::Gzip,
            Self::ZstdChunked => Compression::Zstd,
        }
    }
}

impl From<Compression> for Packing {
    fn from(compression: Compression) -> Self {
        Self::Stream(compression)
    }
}

/// A layer's media type, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerMediaType {
    /// How its bytes are compressed.
    pub compression: Compression,
    /// Whether the blob may not be pushed elsewhere ("foreign", non-distributable).
    pub distribution: Distribution,
}

impl LayerMediaType {
    /// What `media_type` says of a layer; `None` if it is not a layer's.
    pub fn parse(media_type: &str) -> Option<Self> {
        use Compression::{Gzip, None as Plain, Zstd};
        use Distribution::{Free, Restricted};
        let (compression, distribution) = match bare(media_type) {
            media_type::OCI_LAYER | media_type::DOCKER_LAYER => (Plain, Free),
            media_type::OCI_LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => (Gzip, Free),
            media_type::OCI_LAYER_ZSTD | media_type::DOCKER_LAYER_ZSTD => (Zstd, Free),
            media_type::OCI_RESTRICTED_LAYER | media_type::DOCKER_FOREIGN_LAYER => {
                (Plain, Restricted)
            }
            media_type::OCI_RESTRICTED_LAYER_GZIP | media_type::DOCKER_FOREIGN_LAYER_GZIP => {
                (Gzip, Restricted)
            }
            media_type::OCI_RESTRICTED_LAYER_ZSTD => (Zstd, Restricted),
            _ => return None,
        };
        Some(Self {
            compression,
            distribution,
        })
    }
}

impl ManifestKind {
    /// What a document of `media_type` is; `None` if it is not a manifest that we read.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match bare(media_type) {
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Some(Self::Image),
            media_type::OCI_INDEX | media_type::DOCKER_LIST => Some(Self::Index),
            _ => None,
        }
    }
}

/// A media type without its parameters (`; charset=utf-8`).
fn bare(media_type: &str) -> &str {
    let end = media_type.find(';').unwrap_or(media_type.len());
    media_type[..end].trim()
}

/// Whether a registry may be given a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Any registry may hold it.
    Free,
    /// Fetched from its own `urls`, never pushed.
    Restricted,
}

/// What a manifest document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image for one platform.
    Image,
    /// A list of manifests.
    Index,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_known_by_their_media_type() {
        for (text, compression, distribution) in [
            (media_type::OCI_LAYER, Compression::None, Distribution::Free),
            (
                media_type::OCI_LAYER_ZSTD,
                Compression::Zstd,
                Distribution::Free,
            ),
            (
                media_type::DOCKER_LAYER_GZIP,
                Compression::Gzip,
                Distribution::Free,
            ),
            (
                media_type::DOCKER_FOREIGN_LAYER_GZIP,
                Compression::Gzip,
                Distribution::Restricted,
            ),
            (
                media_type::OCI_RESTRICTED_LAYER,
                Compression::None,
                Distribution::Restricted,
            ),
        ] {
            let expected = LayerMediaType {
                compression,
                distribution,
            };
            assert_eq!(LayerMediaType::parse(text), Some(expected), "{text}");
        }
        assert_eq!(LayerMediaType::parse(media_type::OCI_CONFIG), None);
        assert_eq!(LayerMediaType::parse(""), None);
    }

    #[test]
    fn manifests_are_known_by_their_media_type() {
        let with_parameter = format!("{}; charset=utf-8", media_type::OCI_MANIFEST);
        assert_eq!(
            ManifestKind::of_media_type(&with_parameter),
            Some(ManifestKind::Image)
        );
        assert_eq!(
            ManifestKind::of_media_type(media_type::DOCKER_LIST),
            Some(ManifestKind::Index)
        );
        assert_eq!(ManifestKind::of_media_type("application/json"), None);
    }
}
