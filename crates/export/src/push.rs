//! Pushes images: layers side by side, each only if the registry lacks it, then config, manifest, index.

use std::io;
use std::num::NonZeroUsize;

use rbuild_image::{Descriptor, Digest, LayerId, Reference, media_type};
use rbuild_plan::{ImageForm, ImageOrigin};
use rbuild_registry::{BlobState, BlobUpload, MountOutcome, RegistryError, transfer_all};

use crate::assemble::{BuiltImage, BuiltLayer, Document, config_document};
use crate::blobs::{Blobs, LayerForm, digest_of};
use crate::error::ExportError;
use crate::images::{BuiltImages, Exported, Written};

/// Blobs that are pushed at the same time.
const PARALLEL_PUSHES: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

/// What a push tells as it goes.
pub trait PushProgress: Sync {
    /// So much of a blob is there; `total` in bytes.
    fn blob(&self, digest: &Digest, current: u64, total: u64);
    /// The registry had the blob, or took it from another repository of its own.
    fn present(&self, digest: &Digest);
}

/// What a push leaves the image to be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PushBy {
    /// The tag of its name.
    #[default]
    Tag,
    /// Its digest alone, whatever tag the name has: a part of an index that is yet to be put together.
    Digest,
}

/// Pushes `images` to the repository of `name`.
pub fn push(
    blobs: &Blobs<'_>,
    images: &BuiltImages,
    name: &Reference,
    by: PushBy,
    form: LayerForm,
    progress: &dyn PushProgress,
) -> Result<Exported, ExportError> {
    let mut written = Vec::new();
    for image in images {
        let layers = blobs.prepare(image, form)?;
        push_layers(blobs, image, &layers, name, progress)?;
        let config = config_document(image)?;
        push_bytes(blobs, name, &config)?;
        let manifest = images.manifest(image, &config, &layers)?;
        let by = match images.form() {
            ImageForm::Single => by,
            ImageForm::Indexed => PushBy::Digest,
        };
        put_manifest(blobs, name, by, media_type::OCI_MANIFEST, &manifest)?;
        written.push(Written {
            manifest: manifest.descriptor,
            config: config.digest(),
            platform: image.platform.clone(),
        });
    }
    images
        .head(written)?
        .finish(|index| put_manifest(blobs, name, by, media_type::OCI_INDEX, index))
}

fn put_manifest(
    blobs: &Blobs<'_>,
    name: &Reference,
    by: PushBy,
    kind: &str,
    document: &Document,
) -> Result<(), ExportError> {
    let registry = blobs.registry;
    match by {
        PushBy::Tag => registry.put_manifest(name, kind, &document.bytes)?,
        PushBy::Digest => registry.put_manifest_by_digest(name, kind, &document.bytes)?,
    };
    Ok(())
}

/// Every layer once, several at a time; the first failure stops the others from starting.
fn push_layers(
    blobs: &Blobs<'_>,
    image: &BuiltImage,
    descriptors: &[Descriptor],
    name: &Reference,
    progress: &dyn PushProgress,
) -> Result<(), ExportError> {
    let mut jobs: Vec<(&BuiltLayer, &Descriptor)> = image.layers.iter().zip(descriptors).collect();
    jobs.sort_by_key(|(_, descriptor)| descriptor.digest().to_string());
    jobs.dedup_by_key(|(_, descriptor)| descriptor.digest().to_string());
    transfer_all(&jobs, PARALLEL_PUSHES, |(layer, descriptor)| {
        push_layer(blobs, layer, descriptor, name, progress)
    })?;
    Ok(())
}

fn push_layer(
    blobs: &Blobs<'_>,
    layer: &BuiltLayer,
    descriptor: &Descriptor,
    name: &Reference,
    progress: &dyn PushProgress,
) -> Result<(), ExportError> {
    let digest = digest_of(descriptor)?;
    if blobs.registry.has_blob(name, &digest)? == BlobState::Present
        || mounted(blobs, layer, &digest, name)?
    {
        progress.present(&digest);
        return Ok(());
    }
    let total = descriptor.size();
    let report = |current| progress.blob(&digest, current, total);
    let open = || open(blobs, layer, descriptor, &digest);
    let pushed = blobs.registry.push_blob(
        name,
        &BlobUpload {
            descriptor,
            open: &open,
            progress: &report,
        },
    );
    match pushed {
        // The cache lost it since it was asked.
        Err(RegistryError::Source { .. }) if layer.remote.is_some() => {
            Err(ExportError::RemoteLayer { layer: layer.id })
        }
        pushed => Ok(pushed?),
    }
}

/// Asks the registry to take a base image's layer from that image's repository.
fn mounted(
    blobs: &Blobs<'_>,
    layer: &BuiltLayer,
    digest: &Digest,
    name: &Reference,
) -> Result<bool, ExportError> {
    if let Some(remote) = &layer.remote
        && let Some(origin) = remote.hit.place.repository()
    {
        return Ok(blobs.registry.mount_blob(name, digest, origin)? == MountOutcome::Mounted);
    }
    let Some((image, _)) = &layer.base else {
        return Ok(false);
    };
    let (ImageOrigin::Registry(origin) | ImageOrigin::Store(origin)) = &image.origin else {
        return Ok(false);
    };
    let origin: Reference = origin.parse()?;
    Ok(blobs.registry.mount_blob(name, digest, &origin)? == MountOutcome::Mounted)
}

fn open(
    blobs: &Blobs<'_>,
    layer: &BuiltLayer,
    descriptor: &Descriptor,
    digest: &Digest,
) -> io::Result<Box<dyn io::Read + Send>> {
    if let Some(file) = blobs.open_here(digest).map_err(io::Error::other)? {
        return Ok(Box::new(file));
    }
    if let Some(remote) = &layer.remote {
        return remote
            .hit
            .place
            .open_blob(descriptor)
            .map_err(io::Error::other);
    }
    let is_blob_of_base = match &layer.base {
        Some((_, original)) => digest_of(original).map_err(io::Error::other)? == *digest,
        None => false,
    };
    let was_made = matches!(layer.id, LayerId::Made(_));
    if *digest == layer.diff_id.0 && (was_made || !is_blob_of_base) {
        let file = blobs.write_plain_tar(layer).map_err(io::Error::other)?;
        return Ok(Box::new(file));
    }
    match &layer.base {
        Some((image, _)) => blobs
            .open_there(image, descriptor)
            .map_err(io::Error::other),
        None => Err(io::Error::other(ExportError::Layer(layer.id))),
    }
}

fn push_bytes(blobs: &Blobs<'_>, name: &Reference, document: &Document) -> Result<(), ExportError> {
    if blobs.registry.has_blob(name, &document.digest())? == BlobState::Present {
        return Ok(());
    }
    let bytes: std::sync::Arc<[u8]> = document.bytes.as_slice().into();
    let open = || {
        let reader = io::Cursor::new(std::sync::Arc::clone(&bytes));
        Ok(Box::new(reader) as Box<dyn io::Read + Send>)
    };
    let descriptor = &document.descriptor;
    blobs.registry.push_blob(
        name,
        &BlobUpload {
            descriptor,
            open: &open,
            progress: &|_| {},
        },
    )?;
    Ok(())
}
