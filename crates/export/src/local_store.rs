//! The default output: an image in the local store, whose layers stay as directories.

use rbuild_image::Reference;
use rbuild_store::{ImageOrigin, Store};

use crate::attestations::Attested;
use crate::blobs::{Blobs, LayerForm};
use crate::error::ExportError;
use crate::images::{BuiltImages, Exported, Written};

/// Writes the documents of `images` to the store, without naming them.
pub fn store_documents(
    blobs: &Blobs<'_>,
    images: &BuiltImages,
    form: LayerForm,
) -> Result<Exported, ExportError> {
    let mut written = Vec::new();
    for image in images {
        let layers = blobs.prepare(image, form.of_store())?;
        let config = images.config(image, &layers)?;
        let manifest = images.manifest(image, &config, &layers)?;
        blobs.store.put_blob(&config.bytes)?;
        blobs.store.put_blob(&manifest.bytes)?;
        let attested = images.attestations(image, &manifest)?;
        for document in attested.iter().flat_map(Attested::documents) {
            blobs.store.put_blob(&document.bytes)?;
        }
        written.push(Written {
            manifest: manifest.descriptor,
            config: config.digest(),
            platform: image.platform.clone(),
            attestations: attested.map(|attested| attested.manifest.descriptor),
        });
    }
    images.head(&written)?.finish(|index| {
        blobs.store.put_blob(&index.bytes)?;
        Ok(())
    })
}

/// Names what [`store_documents`] wrote; without names it is kept as a dangling image.
pub fn name_in_store(
    store: &Store,
    exported: &Exported,
    names: &[Reference],
) -> Result<(), ExportError> {
    if names.is_empty() {
        store.add_image(&exported.descriptor, &ImageOrigin::Local)?;
    }
    for name in names {
        store.set_tag(name, &exported.descriptor)?;
    }
    Ok(())
}
