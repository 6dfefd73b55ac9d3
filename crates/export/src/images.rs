//! The images of a build together, and what stands at their head.
//!
//! ```text
//! one platform    manifest ─→ config, layers
//! several         index ─→ manifest, manifest, …     also of one, where BUILDKIT_MULTI_PLATFORM asks for it
//! attestations    index ─→ manifest, …, attestation manifest, …
//! ```

use rbuild_image::{Descriptor, Digest, Platform};
use rbuild_plan::ImageForm;
use serde_json::{Value, json};

use crate::annotations::Annotations;
use crate::assemble::{BuiltImage, Document, config_document, index_document, manifest_document};
use crate::attestations::{AttestationPlace, AttestationStyle, Attested, unknown_platform};
use crate::blobs::{TravellingLayer, digest_of};
use crate::error::ExportError;
use crate::media_types::MediaTypes;

/// When an archive was written, as those who read one look for it.
const CREATED_ANNOTATION: &str = "org.opencontainers.image.created";

/// What a build made: an image for each platform.
#[derive(Debug, Clone)]
pub struct BuiltImages {
    images: Vec<BuiltImage>,
    form: ImageForm,
    annotations: Annotations,
    style: AttestationStyle,
    types: MediaTypes,
}

/// An image or index that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The manifest, or the index.
    pub descriptor: Descriptor,
    /// The digest of that.
    pub digest: Digest,
    /// The image ID: the digest of the config, or of the index.
    pub id: Digest,
    /// What a lone image runs on.
    pub platform: Option<Platform>,
    /// When it was written, where it says so (RFC 3339).
    pub created: Option<String>,
}

/// The manifest of one image that was written.
pub(crate) struct Written {
    pub(crate) manifest: Descriptor,
    pub(crate) config: Digest,
    pub(crate) platform: Platform,
    /// The manifest of what is attested of it.
    pub(crate) attestations: Option<Descriptor>,
}

impl BuiltImages {
    /// `images` in the order in which their platforms were asked for. Several are always below an index.
    pub fn new(images: Vec<BuiltImage>, form: ImageForm) -> Self {
        let form = match images.len() {
            1 => form,
            _ => ImageForm::Indexed,
        };
        Self {
            images,
            form,
            annotations: Annotations::default(),
            style: AttestationStyle::default(),
            types: MediaTypes::default(),
        }
    }

    /// The same, with what is attested of its images written so.
    #[must_use]
    pub fn attested(self, style: AttestationStyle) -> Self {
        Self { style, ..self }
    }

    /// The same, in these media types.
    #[must_use]
    pub fn in_media_types(self, types: MediaTypes) -> Self {
        Self { types, ..self }
    }

    /// The same with `annotations`. Fails if one of them has nothing to stand on.
    pub fn annotated(self, annotations: Annotations) -> Result<Self, ExportError> {
        let platforms: Vec<_> = self
            .images
            .iter()
            .map(|image| image.platform.clone())
            .collect();
        annotations.check(&platforms, self.written_form())?;
        Ok(Self {
            annotations,
            ..self
        })
    }

    /// The config of one of the images, whose layers travel as `layers`.
    pub(crate) fn config(
        &self,
        image: &BuiltImage,
        layers: &[TravellingLayer],
    ) -> Result<Document, ExportError> {
        config_document(image, layers, self.types)
    }

    /// The manifest of one of the images, whose layers travel as `layers`.
    pub(crate) fn manifest(
        &self,
        image: &BuiltImage,
        config: &Document,
        layers: &[TravellingLayer],
    ) -> Result<Document, ExportError> {
        let (platform, annotations) = (&image.platform, &self.annotations);
        manifest_document(config, layers, platform, annotations, self.types)
    }

    /// What an index says of one of the images, whose manifest is `manifest`, beside the image itself.
    pub(crate) fn attestations(
        &self,
        image: &BuiltImage,
        manifest: &Document,
    ) -> Result<Option<Attested>, ExportError> {
        match self.style.place {
            AttestationPlace::Index => self.style.attested(image, manifest),
            AttestationPlace::Referrers => Ok(None),
        }
    }

    /// What is attested of one of the images without an index knowing of it.
    pub(crate) fn referrers(
        &self,
        image: &BuiltImage,
        manifest: &Document,
    ) -> Result<Option<Attested>, ExportError> {
        match self.style.place {
            AttestationPlace::Index => Ok(None),
            AttestationPlace::Referrers => self.style.attested(image, manifest),
        }
    }

    /// Whether an index stands above what is written: attestations need one.
    pub(crate) fn written_form(&self) -> ImageForm {
        let is_attested = |image: &BuiltImage| !image.attestations.is_empty();
        let is_in_index = self.style.place == AttestationPlace::Index;
        if is_in_index && self.images.iter().any(is_attested) {
            ImageForm::Indexed
        } else {
            self.form
        }
    }

    /// The images.
    pub fn iter(&self) -> std::slice::Iter<'_, BuiltImage> {
        self.images.iter()
    }

    /// Whether an index of platforms stands above them.
    pub fn form(&self) -> ImageForm {
        self.form
    }

    /// The one image without an index of platforms.
    pub fn single(&self) -> Option<&BuiltImage> {
        match (self.form, self.images.as_slice()) {
            (ImageForm::Single, [image]) => Some(image),
            _ => None,
        }
    }

    /// What stands above the images that were written so: the only one's manifest, or an index, which is yet to be written.
    pub(crate) fn head(&self, written: &[Written]) -> Result<Head, ExportError> {
        if self.written_form() == ImageForm::Single
            && let [image] = written
        {
            return Ok(Head::Manifest(Exported {
                descriptor: image.manifest.clone(),
                digest: digest_of(&image.manifest)?,
                id: image.config,
                platform: Some(image.platform.clone()),
                created: None,
            }));
        }
        // What is no image comes last: some look no further than the first entry.
        let attested = written.iter().filter_map(|image| {
            let manifest = image.attestations.clone()?;
            Some((manifest, unknown_platform()))
        });
        let images = written
            .iter()
            .map(|image| (image.manifest.clone(), image.platform.clone()));
        let manifests: Vec<_> = images.chain(attested).collect();
        let index = index_document(&manifests, &self.annotations, self.types)?;
        Ok(Head::Index(index))
    }
}

impl<'a> IntoIterator for &'a BuiltImages {
    type Item = &'a BuiltImage;
    type IntoIter = std::slice::Iter<'a, BuiltImage>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The topmost document of what is written.
pub(crate) enum Head {
    /// A manifest, which is there with its image.
    Manifest(Exported),
    /// An index, which is not.
    Index(Document),
}

impl Head {
    /// What this came to, after `put` wrote the index.
    pub(crate) fn finish(
        self,
        put: impl FnOnce(&Document) -> Result<(), ExportError>,
    ) -> Result<Exported, ExportError> {
        match self {
            Self::Manifest(exported) => Ok(exported),
            Self::Index(index) => {
                put(&index)?;
                let digest = index.digest();
                Ok(Exported {
                    descriptor: index.descriptor,
                    digest,
                    id: digest,
                    platform: None,
                    created: None,
                })
            }
        }
    }
}

impl Exported {
    /// Whether it is an image without an index above it.
    pub fn is_single(&self) -> bool {
        self.platform.is_some()
    }

    /// The descriptor with what belongs to it: platform and time.
    pub fn described(&self) -> Value {
        let mut value = serde_json::to_value(&self.descriptor).expect("a descriptor is plain JSON");
        if let Some(platform) = &self.platform {
            value["platform"] = json!(platform);
        }
        if let Some(created) = &self.created {
            value["annotations"][CREATED_ANNOTATION] = json!(created);
        }
        value
    }
}
