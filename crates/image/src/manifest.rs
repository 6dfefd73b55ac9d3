//! A manifest document of either kind, recognised by what it says it is and by what it holds.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::media::{ManifestKind, media_type};
use crate::{Descriptor, Digest, ImageError, ImageIndex, ImageManifest, Platform, document};

/// What a manifest document holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "few exist at a time, none in bulk"
)]
pub enum Manifest {
    /// One image for one platform.
    Image(ImageManifest),
    /// A list of manifests.
    Index(ImageIndex),
}

impl Manifest {
    /// Reads an OCI or Docker (schema 2) manifest, index or list of at most
    /// [`MAX_DOCUMENT_BYTES`](crate::MAX_DOCUMENT_BYTES).
    pub fn from_json(bytes: &[u8]) -> Result<Self, ImageError> {
        match ManifestKind::of_document(bytes)? {
            ManifestKind::Image => document::read("the image manifest", bytes).map(Self::Image),
            ManifestKind::Index => read_index(bytes).map(Self::Index),
        }
    }

    /// Which of the two it is.
    pub fn kind(&self) -> ManifestKind {
        match self {
            Self::Image(_) => ManifestKind::Image,
            Self::Index(_) => ManifestKind::Index,
        }
    }

    /// The media type that the document has: what it says, or else OCI's for its kind.
    pub fn media_type(&self) -> String {
        let (said, default) = match self {
            Self::Image(image) => (image.media_type(), media_type::OCI_MANIFEST),
            Self::Index(index) => (index.media_type(), media_type::OCI_INDEX),
        };
        said.as_ref()
            .map_or_else(|| default.to_owned(), ToString::to_string)
    }
}

/// Just enough of a manifest to tell what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

impl ManifestKind {
    /// What the document in `bytes` is. Its `mediaType` and its fields must agree: a document that could be
    /// read as both an image and an index is refused, since two readers would see two images.
    pub fn of_document(bytes: &[u8]) -> Result<Self, ImageError> {
        const WHAT: &str = "the manifest";
        let fail = |reason: &str| ImageError::Document {
            what: WHAT,
            reason: reason.to_owned(),
        };
        let outline: Outline = document::read(WHAT, bytes)?;
        if outline.schema_version == Some(1) || outline.fs_layers.is_some() {
            return Err(fail(
                "it is in Docker's schema 1 format, which is obsolete and not supported; push the image again with a current tool",
            ));
        }
        let image = outline.config.is_some() || outline.layers.is_some();
        let by_fields = match (image, outline.manifests.is_some()) {
            (true, true) => return Err(fail("it has the fields of both an image and an index")),
            (true, false) => Some(Self::Image),
            (false, true) => Some(Self::Index),
            (false, false) => None,
        };
        let by_name = match outline.media_type.as_deref() {
            None | Some("") => None,
            Some(said) => match Self::of_media_type(said) {
                None => {
                    return Err(fail(&format!(
                        "its media type {said:?} is not an image's or an index's"
                    )));
                }
                kind => kind,
            },
        };
        match (by_fields, by_name) {
            (Some(fields), Some(name)) if fields != name => {
                Err(fail("its mediaType does not fit its fields"))
            }
            (Some(fields), _) => Ok(fields),
            (None, _) => Err(fail("it has neither \"layers\" nor \"manifests\"")),
        }
    }
}

/// Reads an index, with the `os.version` of each platform, which `oci_spec` looks for by another name.
pub fn read_index(bytes: &[u8]) -> Result<ImageIndex, ImageError> {
    const WHAT: &str = "the image index";
    let mut index: ImageIndex = document::read(WHAT, bytes)?;
    let said: Versions = document::read(WHAT, bytes)?;
    let mut manifests = index.manifests().clone();
    for (manifest, said) in manifests.iter_mut().zip(said.manifests) {
        let version = said.platform.and_then(|platform| platform.os_version);
        if let (Some(mut platform), Some(version)) = (manifest.platform().clone(), version) {
            platform.set_os_version(Some(version));
            manifest.set_platform(Some(platform));
        }
    }
    index.set_manifests(manifests);
    Ok(index)
}

/// The `os.version`s of an index.
#[derive(Deserialize)]
struct Versions {
    manifests: Vec<VersionOf>,
}

#[derive(Deserialize)]
struct VersionOf {
    platform: Option<PlatformVersion>,
}

#[derive(Deserialize)]
struct PlatformVersion {
    #[serde(rename = "os.version")]
    os_version: Option<String>,
}

/// Whether an index's entry is what is attested of images, and not an image: it is for `unknown/unknown`.
pub fn is_attestation(entry: &Descriptor) -> bool {
    let platform = entry.platform().as_ref().map(Platform::from);
    platform.is_some_and(|platform| platform.is_unknown())
}

/// A descriptor of `size` bytes with `digest`.
pub fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor::new(media_type.into(), size, digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn image(fields: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,{fields}"config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"{DIGEST}","size":2}},"layers":[]}}"#
        )
    }

    fn refusal(text: &str) -> String {
        Manifest::from_json(text.as_bytes())
            .expect_err(text)
            .to_string()
    }

    #[test]
    fn an_image_is_recognised_with_and_without_a_media_type() {
        for (field, media) in [
            ("", media_type::OCI_MANIFEST),
            (
                r#""mediaType":"application/vnd.docker.distribution.manifest.v2+json","#,
                media_type::DOCKER_MANIFEST,
            ),
        ] {
            let manifest = Manifest::from_json(image(field).as_bytes()).expect("an image");
            assert_eq!(manifest.kind(), ManifestKind::Image);
            assert_eq!(manifest.media_type(), media);
        }
    }

    #[test]
    fn an_index_is_recognised() {
        let text = r#"{"schemaVersion":2,"manifests":[]}"#;
        let manifest = Manifest::from_json(text.as_bytes()).expect("an index");
        assert_eq!(manifest.kind(), ManifestKind::Index);
        assert_eq!(manifest.media_type(), media_type::OCI_INDEX);
    }

    #[test]
    fn an_index_tells_the_versions_of_operating_systems() {
        let entry = |version: &str| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{DIGEST}","size":2,"platform":{{"os":"windows","architecture":"amd64"{version}}}}}"#
            )
        };
        let (old, none) = (entry(r#","os.version":"10.0.17763.1""#), entry(""));
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{old},{none}]}}"#);
        let index = read_index(text.as_bytes()).expect("an index");
        let versions: Vec<_> = index
            .manifests()
            .iter()
            .map(|entry| entry.platform().as_ref().map(Platform::from))
            .map(|platform| platform.expect("a platform").os_version)
            .collect();
        assert_eq!(versions, ["10.0.17763.1", ""]);
    }

    #[test]
    fn a_document_of_two_meanings_is_refused() {
        assert!(refusal(&image(r#""manifests":[],"#)).contains("both an image and an index"));
        let index = r#""mediaType":"application/vnd.oci.image.index.v1+json","#;
        assert!(refusal(&image(index)).contains("does not fit"));
    }

    #[test]
    fn schema_1_is_refused_with_a_sentence() {
        let text = r#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#;
        assert!(refusal(text).contains("schema 1 format, which is obsolete"));
    }

    #[test]
    fn other_documents_are_refused() {
        assert!(refusal("{}").contains("neither"));
        assert!(refusal("[]").contains("read the manifest"));
        assert!(refusal(r#"{"mediaType":"text/plain","layers":[]}"#).contains("text/plain"));
        let huge = " ".repeat(crate::MAX_DOCUMENT_BYTES + 1);
        assert!(refusal(&huge).contains("more than"));
    }

    #[test]
    fn a_path_is_no_digest() {
        let text = image("").replace(DIGEST, "sha256:../../etc/passwd");
        assert!(refusal(&text).contains("read the image manifest"));
    }
}
