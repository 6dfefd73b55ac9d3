//! Docker's table of contents: manifest.json.
//!
//! ```text
//! [{"Config": "<id>.json", "RepoTags": ["app:latest"], "Layers": ["<id>/layer.tar", …]}, …]
//! ```

use std::collections::BTreeSet;

use rbuild_image::{Descriptor, Digest, canonical_json, descriptor, media_type};
use serde::Deserialize;
use serde_json::json;

use super::{ArchivedImage, ArchivedPlatform, ImageArchive, Kept};
use crate::SourceError;
use crate::archive::{Packing, clamp, read_full};

/// The beginning of a layer that tells how it is packed.
const MARK_BYTES: usize = 8;

/// An image of the table.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl ImageArchive {
    /// Adds to `images` what manifest.json says: names to those that are known by their config, and those that are not.
    pub(super) fn tabled(
        &self,
        table: Kept,
        images: &mut Vec<ArchivedImage>,
    ) -> Result<(), SourceError> {
        let bytes = self.document(table)?;
        let entries: Vec<Entry> = serde_json::from_slice(&bytes)
            .map_err(|error| self.wrong(format!("manifest.json: {error}")))?;
        for entry in entries {
            let config = self.named(&entry.config)?;
            let known = images
                .iter()
                .position(|image| has_config(image, &config.digest));
            let at = if let Some(at) = known {
                at
            } else {
                images.push(self.of_table(&entry, config)?);
                images.len() - 1
            };
            images[at]
                .names
                .extend(entry.repo_tags.into_iter().flatten());
        }
        Ok(())
    }

    /// An image that has no manifest: it gets one.
    fn of_table(&self, entry: &Entry, config: Kept) -> Result<ArchivedImage, SourceError> {
        let names = entry.layers.as_deref().unwrap_or_default();
        let layers = names
            .iter()
            .map(|name| self.layer(self.named(name)?))
            .collect::<Result<Vec<_>, _>>()?;
        let config_bytes = self.document(config)?;
        let parsed = self.config(&config_bytes, &layers)?;
        let manifest = canonical_json(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(media_type::OCI_CONFIG, config.digest, config.size),
            "layers": layers,
        }))
        .map_err(|error| self.wrong(error.to_string()))?;
        let digest = Digest::sha256_of(&manifest);
        Ok(ArchivedImage {
            names: BTreeSet::new(),
            head: descriptor(media_type::OCI_MANIFEST, digest, manifest.len() as u64),
            documents: vec![manifest, config_bytes],
            platforms: vec![ArchivedPlatform {
                manifest: digest,
                config: parsed,
                layers,
            }],
        })
    }

    /// A layer's descriptor: the table says nothing of its form, its first bytes do.
    fn layer(&self, kept: Kept) -> Result<Descriptor, SourceError> {
        let mut first = [0; MARK_BYTES];
        let count = read_full(&mut self.open(kept)?, &mut first)
            .map_err(|error| self.wrong(error.to_string()))?;
        let kind = match Packing::of(&first[..count]) {
            Packing::Plain => media_type::OCI_LAYER,
            Packing::Gzip => media_type::OCI_LAYER_GZIP,
            Packing::Zstd => media_type::OCI_LAYER_ZSTD,
            Packing::Bzip2 | Packing::Xz => {
                return Err(
                    self.wrong("a layer is compressed with bzip2 or xz, which no image can hold")
                );
            }
        };
        Ok(descriptor(kind, kept.digest, kept.size))
    }

    fn named(&self, path: &str) -> Result<Kept, SourceError> {
        self.file(&clamp(path.as_bytes()))
            .ok_or_else(|| self.wrong(format!("{path} is missing")))
    }
}

fn has_config(image: &ArchivedImage, config: &Digest) -> bool {
    let mut documents = image.documents.iter();
    documents.any(|bytes| Digest::sha256_of(bytes) == *config)
}
