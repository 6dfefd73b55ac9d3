//! The default output: an image in the local store, whose layers stay as directories.

use rbuild_image::Reference;
use rbuild_store::{ImageOrigin, Store};

use crate::assemble::Document;
use crate::attestations::Attested;
use crate::blobs::{Blobs, LayerForm};
use crate::error::ExportError;
use crate::images::{BuiltImages, Exported, Written};

/// The documents of what was built as the local store is to have them.
#[derive(Debug)]
pub struct StoreImage {
    exported: Exported,
    documents: Vec<Document>,
}

impl StoreImage {
    /// Of `images`, with layers of this form.
    pub fn of(
        blobs: &Blobs<'_>,
        images: &BuiltImages,
        form: LayerForm,
    ) -> Result<Self, ExportError> {
        let mut documents = Vec::new();
        let mut written = Vec::new();
        for image in images {
            let layers = blobs.prepare(image, form.of_store())?;
            let config = images.config(image, &layers)?;
            let manifest = images.manifest(image, &config, &layers)?;
            let attested = images.attestations(image, &manifest)?;
            written.push(Written {
                manifest: manifest.descriptor.clone(),
                config: config.digest(),
                platform: image.platform.clone(),
                attestations: attested
                    .as_ref()
                    .map(|attested| attested.manifest.descriptor.clone()),
            });
            documents.extend([config, manifest]);
            documents.extend(attested.iter().flat_map(Attested::documents).cloned());
        }
        let exported = images.head(&written)?.finish(|index| {
            documents.push(index.clone());
            Ok(())
        })?;
        Ok(Self {
            exported,
            documents,
        })
    }

    /// What it is called by.
    pub fn exported(&self) -> &Exported {
        &self.exported
    }

    /// The same, when nothing else is wanted.
    pub fn into_exported(self) -> Exported {
        self.exported
    }

    /// Puts it into the store under these names; without names it is kept as a dangling image. Nothing is written if all is
    /// there already.
    pub fn keep(&self, store: &Store, names: &[Reference]) -> Result<(), ExportError> {
        if self.is_kept(store, names)? {
            return Ok(());
        }
        for document in &self.documents {
            store.put_blob(&document.bytes)?;
        }
        if names.is_empty() {
            store.add_image(&self.exported.descriptor, &ImageOrigin::Local)?;
        }
        for name in names {
            store.set_tag(name, &self.exported.descriptor)?;
        }
        Ok(())
    }

    /// Whether all these names mean it, and its documents are there.
    fn is_kept(&self, store: &Store, names: &[Reference]) -> Result<bool, ExportError> {
        for name in names {
            let known = store.image(name)?;
            if known.is_none_or(|known| known.digest != self.exported.digest) {
                return Ok(false);
            }
        }
        for document in &self.documents {
            if store.blob(&document.digest())?.is_none() {
                return Ok(false);
            }
        }
        Ok(!names.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rbuild_image::Digest;
    use serde_json::json;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// An image without layers.
    fn image(author: &str) -> Result<StoreImage> {
        let config = json!({"architecture": "amd64", "os": "linux", "author": author,
            "config": {}, "rootfs": {"type": "layers", "diff_ids": []}});
        let config = Document::of(&config, "application/vnd.oci.image.config.v1+json")?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": &config.descriptor, "layers": []});
        let manifest = Document::of(&manifest, kind)?;
        Ok(StoreImage {
            exported: Exported {
                descriptor: manifest.descriptor.clone(),
                digest: manifest.digest(),
                id: config.digest(),
                platform: None,
                created: None,
            },
            documents: vec![config, manifest],
        })
    }

    fn log_bytes(root: &Path) -> Result<u64> {
        Ok(std::fs::metadata(root.join("rbuild.db-wal"))?.len())
    }

    #[test]
    fn nothing_is_written_for_an_image_that_is_there() -> Result {
        let root = tempfile::tempdir()?;
        let (names, image) = (["app".parse()?], image("one")?);
        image.keep(&Store::open(root.path())?, &names)?;
        let before = log_bytes(root.path())?;
        image.keep(&Store::open(root.path())?, &names)?;
        assert_eq!(log_bytes(root.path())?, before);
        Ok(())
    }

    #[test]
    fn what_is_missing_of_an_image_that_is_there_is_written_again() -> Result {
        let root = tempfile::tempdir()?;
        let store = Store::open(root.path())?;
        let (names, image) = (["app".parse()?], image("one")?);
        image.keep(&store, &names)?;
        let blob = root
            .path()
            .join("blobs/sha256")
            .join(Digest::hex(&image.exported.id));
        std::fs::remove_file(&blob)?;
        image.keep(&store, &names)?;
        assert!(blob.exists());
        Ok(())
    }

    #[test]
    fn a_name_that_came_to_mean_another_image_is_taken_back() -> Result {
        let root = tempfile::tempdir()?;
        let store = Store::open(root.path())?;
        let names = ["app".parse()?, "app:two".parse()?];
        let (first, second) = (image("one")?, image("two")?);
        first.keep(&store, &names)?;
        second.keep(&store, &names[1..])?;
        first.keep(&store, &names)?;
        for name in &names {
            let meant = store.image(name)?.map(|image| image.digest);
            assert_eq!(meant, Some(first.exported.digest), "{name}");
        }
        Ok(())
    }
}
