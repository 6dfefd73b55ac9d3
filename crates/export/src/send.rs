//! One layer to one repository: packed only if the registry lacks it, sent only if it cannot be had there.
//!
//! ```text
//! known there ─ no → packed here, or as it came ─ there? ─ no → mounted? ─ no → uploaded
//!                          └─ new and large: uploaded while it is packed
//! ```

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rbuild_image::{Compression, Descriptor, Digest, LayerId, Packing, Reference};
use rbuild_layer::FileTimes;
use rbuild_plan::ImageOrigin;
use rbuild_registry::{BlobState, BlobUpload, MountOutcome, RegistryError};
use rbuild_store::LockGuard;

use crate::assemble::BuiltLayer;
use crate::blobs::{Blobs, LayerForm, TravellingLayer, digest_of, named_only};
use crate::error::ExportError;
use crate::growth::{Ending, Follower, Growth};
use crate::pack::{pack, packed_before};
use crate::push::PushProgress;

/// The smallest tar that is uploaded while it is packed, in bytes. Smaller ones are packed in a moment, and asked for then.
pub(crate) const STREAMED_BYTES: u64 = 32 << 20;

/// Sends layers to the repository of a name.
pub(crate) struct LayerSender<'a> {
    pub(crate) blobs: Blobs<'a>,
    pub(crate) name: &'a Reference,
    pub(crate) form: LayerForm,
    pub(crate) progress: &'a dyn PushProgress,
    /// Compressing takes all processors: one layer after the other.
    pub(crate) packing: &'a Mutex<()>,
    /// Ends what is under way.
    pub(crate) stopped: Arc<AtomicBool>,
}

impl LayerSender<'_> {
    /// Sees to it that the repository has `layer`; gives its blob.
    pub(crate) fn send(&self, layer: &BuiltLayer) -> Result<TravellingLayer, ExportError> {
        if named_only(layer, self.form)?.is_some() {
            return self.blobs.prepare_layer(layer, self.form);
        }
        if let Some(known) = self.packed_before(layer)?
            && self.is_there(&digest_of(&known.descriptor)?)?
        {
            return Ok(known);
        }
        let packed = self.pack(layer)?;
        let digest = digest_of(&packed.descriptor)?;
        if !self.is_there(&digest)? {
            if self.is_mounted(layer, &digest)? {
                self.progress.present(&digest);
            } else {
                self.upload(layer, &packed.descriptor, &digest)?;
            }
        }
        Ok(packed)
    }

    /// Waits until nobody else packs the layer; of a dated one, nobody does.
    fn only_packer(&self, layer: &BuiltLayer) -> Result<Option<LockGuard>, ExportError> {
        if layer.times != FileTimes::Own {
            return Ok(None);
        }
        let (store, registry) = (self.blobs.store, self.blobs.registry);
        let cancelled = || registry.is_cancelled();
        Ok(Some(store.lock_packing(&layer.id, &cancelled)?))
    }

    /// The layer's blob in this form. What is large and made here, and so is nowhere yet, is uploaded while it is packed.
    fn pack(&self, layer: &BuiltLayer) -> Result<TravellingLayer, ExportError> {
        let one_at_a_time = self.packing.lock().unwrap_or_else(PoisonError::into_inner);
        // A cache that gets it as well may be about to pack it.
        let only_packer = self.only_packer(layer)?;
        if !self.is_new_and_large(layer)? {
            return self.blobs.prepare_layer(layer, self.form);
        }
        let growth = Growth::default();
        thread::scope(|scope| {
            let follower = Follower::new(&growth);
            let registry = self.blobs.registry;
            // Where it fails, the blob is sent as any other.
            scope.spawn(|| registry.push_while_made(self.name, follower, || growth.blob()));
            let _ending = Ending(&growth);
            let packed = pack(&self.blobs, layer, self.form, Some(&growth))?;
            growth.end(&packed.descriptor);
            drop(one_at_a_time);
            drop(only_packer);
            Ok(packed)
        })
    }

    /// Whether the layer has yet to be packed, and there is no asking a registry for it before: files that have their own times
    /// are the same nowhere else. Others may have made what is dated by an epoch.
    fn is_new_and_large(&self, layer: &BuiltLayer) -> Result<bool, ExportError> {
        let is_packed = self.form.packing != Packing::Stream(Compression::None);
        let is_ours = layer.base.is_none() && layer.remote.is_none();
        if !is_packed || !is_ours || layer.times != FileTimes::Own || layer.size < STREAMED_BYTES {
            return Ok(false);
        }
        let store = self.blobs.store;
        let known = store.layer_blob(&layer.diff_id, self.form.packing)?;
        Ok(known.is_none() || self.form.level.is_some())
    }

    /// The blob of a layer that was packed in this form once, wherever that blob is now.
    fn packed_before(&self, layer: &BuiltLayer) -> Result<Option<TravellingLayer>, ExportError> {
        let LayerForm { packing, level, .. } = self.form;
        let is_ours = layer.base.is_none() && layer.remote.is_none();
        if !is_ours || level.is_some() || packing == Packing::Stream(Compression::None) {
            return Ok(None);
        }
        let known = self.blobs.store.packed_layer(&layer.diff_id, packing)?;
        Ok(known.map(|known| packed_before(&known, layer)))
    }

    /// Whether the repository has the blob. Where an earlier push is remembered, the manifest of that one answers for all of
    /// its blobs.
    fn is_there(&self, digest: &Digest) -> Result<bool, ExportError> {
        let registry = self.blobs.registry;
        let present = registry.present_blobs();
        if present.contain(self.name, digest) {
            return Ok(true);
        }
        if let Some(manifest) = self.blobs.store.pushed(self.name, digest)? {
            let is_known = present.contain(self.name, &manifest);
            if is_known || registry.has_manifest(self.name, &manifest)? == BlobState::Present {
                present.add(self.name, &manifest);
                present.add(self.name, digest);
                self.progress.present(digest);
                return Ok(true);
            }
            self.blobs.store.forget_pushed(self.name)?;
        }
        let found = registry.has_blob(self.name, digest)? == BlobState::Present;
        if found {
            self.progress.present(digest);
        }
        Ok(found)
    }

    /// Asks the registry to take the blob from another repository: where the base image or the cache came from, or where it was
    /// pushed before.
    fn is_mounted(&self, layer: &BuiltLayer, digest: &Digest) -> Result<bool, ExportError> {
        let cache = layer
            .remote
            .as_ref()
            .and_then(|remote| remote.hit.place.repository());
        let origin = match &layer.base {
            Some((image, _)) => match &image.origin {
                ImageOrigin::Registry(name) | ImageOrigin::Store(name) => Some(name.parse()?),
                ImageOrigin::OciLayout(_) => None,
            },
            None => None,
        };
        let beside = self.blobs.store.pushed_beside(self.name, digest)?;
        for from in cache.into_iter().chain(&origin).chain(&beside) {
            let registry = self.blobs.registry;
            if registry.mount_blob(self.name, digest, from)? == MountOutcome::Mounted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn upload(
        &self,
        layer: &BuiltLayer,
        descriptor: &Descriptor,
        digest: &Digest,
    ) -> Result<(), ExportError> {
        let total = descriptor.size();
        let report = |current| self.progress.blob(digest, current, total);
        let open = || {
            let inner = open(&self.blobs, layer, descriptor, digest)?;
            let stopped = Arc::clone(&self.stopped);
            Ok(Box::new(Stoppable { inner, stopped }) as Box<dyn Read + Send>)
        };
        let upload = BlobUpload {
            descriptor,
            open: &open,
            progress: &report,
        };
        match self.blobs.registry.push_blob(self.name, &upload) {
            // The cache lost it since it was asked.
            Err(RegistryError::Source { .. }) if layer.remote.is_some() => {
                Err(ExportError::RemoteLayer { layer: layer.id })
            }
            pushed => Ok(pushed?),
        }
    }
}

/// A blob's bytes, from wherever they are.
fn open(
    blobs: &Blobs<'_>,
    layer: &BuiltLayer,
    descriptor: &Descriptor,
    digest: &Digest,
) -> io::Result<Box<dyn Read + Send>> {
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

/// A source that ends with an error when its push is not wanted any more.
struct Stoppable {
    inner: Box<dyn Read + Send>,
    stopped: Arc<AtomicBool>,
}

impl Read for Stoppable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("the build has ended without an image"));
        }
        self.inner.read(buffer)
    }
}
