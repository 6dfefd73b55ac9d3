//! Pushes images: layers side by side, each only if the registry lacks it, then config, manifest, index.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use rbuild_image::{DiffId, Digest, Reference};
use rbuild_plan::ImageForm;
use rbuild_registry::{BlobState, BlobUpload, Referrer, transfer_all};

use crate::assemble::{BuiltImage, BuiltLayer, Document};
use crate::attestations::{ATTESTATION_ARTIFACT_TYPE, Attested};
use crate::blobs::{Blobs, LayerForm, TravellingLayer, digest_of};
use crate::error::ExportError;
use crate::images::{BuiltImages, Exported, Written};
use crate::send::LayerSender;

/// Layers that are pushed at the same time. Most of it is waiting.
pub(crate) const PARALLEL_PUSHES: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

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
    let packing = Mutex::new(());
    let layers = LayerSender {
        blobs: *blobs,
        name,
        form,
        progress,
        packing: &packing,
        stopped: Arc::new(AtomicBool::new(false)),
    };
    let push = Push {
        blobs,
        images,
        name,
        by,
        layers,
    };
    match push.run() {
        // What the registry was thought to have it has lost.
        Err(ExportError::Registry(error)) if error.is_missing_blob() => {
            blobs.registry.present_blobs().forget(name);
            blobs.store.forget_pushed(name)?;
            push.run()
        }
        pushed => pushed,
    }
}

/// A push of images under one name.
struct Push<'a> {
    blobs: &'a Blobs<'a>,
    images: &'a BuiltImages,
    name: &'a Reference,
    by: PushBy,
    layers: LayerSender<'a>,
}

impl Push<'_> {
    fn run(&self) -> Result<Exported, ExportError> {
        let by = match self.images.written_form() {
            ImageForm::Single => self.by,
            ImageForm::Indexed => PushBy::Digest,
        };
        let mut written = Vec::new();
        for image in self.images {
            written.push(self.image(image, by)?);
        }
        self.images
            .head(&written)?
            .finish(|index| self.put_manifest(self.by, index))
    }

    /// The layers, the config, the manifest.
    fn image(&self, image: &BuiltImage, by: PushBy) -> Result<Written, ExportError> {
        let layers = self.send_layers(image)?;
        let config = self.images.config(image, &layers)?;
        self.put_document(&config)?;
        let manifest = self.images.manifest(image, &config, &layers)?;
        self.put_manifest(by, &manifest)?;
        let digests = layers.iter().map(|layer| digest_of(&layer.descriptor));
        let digests = digests.collect::<Result<Vec<_>, _>>()?;
        self.blobs
            .store
            .note_pushed(self.name, &manifest.digest(), &digests)?;
        let attested = self.images.attestations(image, &manifest)?;
        if let Some(attested) = &attested {
            self.attestations(attested)?;
        }
        if let Some(attested) = self.images.referrers(image, &manifest)? {
            self.referrer(&attested, &manifest.digest())?;
        }
        Ok(Written {
            manifest: manifest.descriptor,
            config: config.digest(),
            platform: image.platform.clone(),
            attestations: attested.map(|attested| attested.manifest.descriptor),
        })
    }

    /// What is found from its `subject` alone.
    fn referrer(&self, attested: &Attested, subject: &Digest) -> Result<(), ExportError> {
        for part in &attested.parts {
            self.put_document(part)?;
        }
        let referrer = Referrer {
            bytes: &attested.manifest.bytes,
            subject,
            artifact_type: ATTESTATION_ARTIFACT_TYPE,
        };
        self.blobs.registry.put_referrer(self.name, referrer)?;
        Ok(())
    }

    /// What an index is to name beside an image.
    fn attestations(&self, attested: &Attested) -> Result<(), ExportError> {
        for part in &attested.parts {
            self.put_document(part)?;
        }
        self.put_manifest(PushBy::Digest, &attested.manifest)
    }

    /// Every layer once, several at a time; the first failure stops the others from starting.
    fn send_layers(&self, image: &BuiltImage) -> Result<Vec<TravellingLayer>, ExportError> {
        let mut jobs: Vec<&BuiltLayer> = Vec::new();
        for layer in &image.layers {
            if !jobs.iter().any(|known| known.diff_id == layer.diff_id) {
                jobs.push(layer);
            }
        }
        let sent = transfer_all(&jobs, PARALLEL_PUSHES, |layer| {
            Ok::<_, ExportError>((layer.diff_id, self.layers.send(layer)?))
        })?;
        let sent: HashMap<DiffId, TravellingLayer> = sent.into_iter().collect();
        let all = image.layers.iter();
        let all = all.map(|layer| sent[&layer.diff_id].clone().noted(image, layer));
        Ok(all.collect())
    }

    fn put_manifest(&self, by: PushBy, document: &Document) -> Result<(), ExportError> {
        let (registry, name) = (self.blobs.registry, self.name);
        let kind = document.descriptor.media_type().as_ref();
        match by {
            PushBy::Tag => registry.put_manifest(name, kind, &document.bytes)?,
            PushBy::Digest => registry.put_manifest_by_digest(name, kind, &document.bytes)?,
        };
        Ok(())
    }

    fn put_document(&self, document: &Document) -> Result<(), ExportError> {
        let (registry, name) = (self.blobs.registry, self.name);
        if registry.has_blob(name, &document.digest())? == BlobState::Present {
            return Ok(());
        }
        let bytes: Arc<[u8]> = document.bytes.as_slice().into();
        let open = || {
            let reader = io::Cursor::new(Arc::clone(&bytes));
            Ok(Box::new(reader) as Box<dyn io::Read + Send>)
        };
        let upload = BlobUpload {
            descriptor: &document.descriptor,
            open: &open,
            progress: &|_| {},
        };
        Ok(registry.push_blob(name, &upload)?)
    }
}
