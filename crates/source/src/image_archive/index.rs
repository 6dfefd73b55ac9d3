//! OCI's table of contents: index.json, and what its descriptors lead to.

use std::collections::BTreeSet;

use rbuild_image::{Descriptor, Digest, Manifest, descriptor, is_attestation};

use super::{ArchivedImage, ArchivedPlatform, ImageArchive, Kept};
use crate::SourceError;

/// Where containerd and Docker write an image's name.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Where others do: a tag, or a whole name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl ImageArchive {
    /// The images that index.json names, each once.
    pub(super) fn indexed(&self, index: Kept) -> Result<Vec<ArchivedImage>, SourceError> {
        let bytes = self.document(index)?;
        let index = rbuild_image::read_index(&bytes)
            .map_err(|error| self.wrong(format!("failed to {error}")))?;
        let mut images: Vec<ArchivedImage> = Vec::new();
        for entry in index.manifests() {
            let known = images
                .iter()
                .position(|image| image.head.digest() == entry.digest());
            let at = if let Some(at) = known {
                at
            } else {
                images.push(self.image(entry)?);
                images.len() - 1
            };
            images[at].names.extend(name(entry));
        }
        Ok(images)
    }

    fn image(&self, entry: &Descriptor) -> Result<ArchivedImage, SourceError> {
        let kept = self.blob(entry)?;
        let bytes = self.document(kept)?;
        let manifest = self.manifest(&bytes)?;
        let mut image = ArchivedImage {
            names: BTreeSet::new(),
            head: descriptor(&manifest.media_type(), kept.digest, kept.size),
            documents: vec![bytes],
            platforms: Vec::new(),
        };
        match &manifest {
            Manifest::Image(_) => self.add_platform(&manifest, kept.digest, &mut image)?,
            Manifest::Index(index) => {
                for below in index.manifests() {
                    // Only the platforms that somebody wanted are there.
                    let digest = Digest::try_from(below.digest()).ok();
                    if digest.is_some_and(|digest| self.blobs.contains_key(&digest)) {
                        self.add_below(below, &mut image)?;
                    }
                }
            }
        }
        if image.platforms.is_empty() {
            let reason = format!("none of the images of index {} is in it", kept.digest);
            return Err(self.wrong(reason));
        }
        Ok(image)
    }

    fn add_below(&self, below: &Descriptor, image: &mut ArchivedImage) -> Result<(), SourceError> {
        let kept = self.blob(below)?;
        let bytes = self.document(kept)?;
        let manifest = self.manifest(&bytes)?;
        image.documents.push(bytes);
        match &manifest {
            Manifest::Index(_) => Err(self.wrong("there is an index in an index")),
            Manifest::Image(attested) if is_attestation(below) => {
                for part in std::iter::once(attested.config()).chain(attested.layers()) {
                    let kept = self.blob(part)?;
                    image.documents.push(self.document(kept)?);
                }
                Ok(())
            }
            Manifest::Image(_) => self.add_platform(&manifest, kept.digest, image),
        }
    }

    fn add_platform(
        &self,
        manifest: &Manifest,
        digest: Digest,
        image: &mut ArchivedImage,
    ) -> Result<(), SourceError> {
        let Manifest::Image(manifest) = manifest else {
            return Ok(());
        };
        for layer in manifest.layers() {
            self.blob(layer)?;
        }
        let config = self.document(self.blob(manifest.config())?)?;
        image.platforms.push(ArchivedPlatform {
            manifest: digest,
            config: self.config(&config, manifest.layers())?,
            layers: manifest.layers().clone(),
        });
        image.documents.push(config);
        Ok(())
    }

    fn manifest(&self, bytes: &[u8]) -> Result<Manifest, SourceError> {
        Manifest::from_json(bytes).map_err(|error| self.wrong(format!("failed to {error}")))
    }
}

/// The image's name, where the entry has a whole one: a tag alone is none.
fn name(entry: &Descriptor) -> Option<String> {
    let annotations = entry.annotations().as_ref()?;
    let whole = |name: &&String| name.contains(['/', ':']);
    annotations
        .get(IMAGE_NAME)
        .or_else(|| annotations.get(REF_NAME).filter(whole))
        .cloned()
}
