//! The default output: an image in the local store, whose layers stay as directories.

use rbuild_image::{Descriptor, Digest, Reference};
use rbuild_store::{ImageOrigin, Store};

use crate::assemble::{BuiltImage, config_document, index_document, manifest_document};
use crate::blobs::{Blobs, LayerForm};
use crate::error::ExportError;

/// An image or index whose documents are in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The manifest, or the index of several.
    pub descriptor: Descriptor,
    /// The digest of that.
    pub digest: Digest,
    /// The image ID: the digest of the config, or of the index.
    pub id: Digest,
}

/// Writes the documents of `images` (one for each platform) to the store, without naming them.
pub fn store_documents(
    blobs: &Blobs<'_>,
    images: &[BuiltImage],
    form: LayerForm,
) -> Result<Exported, ExportError> {
    let mut manifests = Vec::with_capacity(images.len());
    let mut id = None;
    for image in images {
        let config = config_document(image)?;
        let manifest = manifest_document(&config, &blobs.prepare(image, form)?)?;
        blobs.store.put_blob(&config.bytes)?;
        blobs.store.put_blob(&manifest.bytes)?;
        id = Some(config.digest());
        manifests.push((manifest.descriptor, image.platform.clone()));
    }
    if let (&[(ref descriptor, _)], Some(id)) = (manifests.as_slice(), id) {
        let digest = crate::blobs::digest_of(descriptor)?;
        return Ok(Exported {
            descriptor: descriptor.clone(),
            digest,
            id,
        });
    }
    let index = index_document(&manifests)?;
    blobs.store.put_blob(&index.bytes)?;
    let digest = index.digest();
    Ok(Exported {
        descriptor: index.descriptor,
        digest,
        id: digest,
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
