//! Pushes an image that was built here: layers that are directories are compressed on their way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rbuild_export::{
    AttestationForm, AttestationPlace, AttestationStyle, Blobs, BuiltImage, BuiltImages,
    BuiltLayer, ExportError, LayerForm, PushBy, PushProgress, TimesNote,
};
use rbuild_image::{
    Compression, Descriptor, Digest, ImageConfig, LayerId, Reference, is_attestation,
};
use rbuild_layer::FileTimes;
use rbuild_plan::{ImageForm, ImageOrigin, ResolvedImage};
use rbuild_solve::Cancel;
use rbuild_store::Store;

use super::{Documents, ImageDocument, attestations, is_plain, source_of};
use crate::app::App;
use crate::commands::fetch::registry_failure;
use crate::render::{Board, Mark};

/// Pushes the images of `documents`; gives what the name stands for then.
pub(super) fn push(
    app: &App,
    documents: &Documents,
    name: &Reference,
    board: Board,
    cancel: &Cancel,
) -> anyhow::Result<Descriptor> {
    let store = app.store()?;
    let mut style = AttestationStyle {
        form: AttestationForm::default(),
        place: AttestationPlace::default(),
        names: vec![name.clone()],
    };
    let (attested, images): (Vec<_>, Vec<_>) = documents
        .images
        .iter()
        .partition(|image| is_attestation(&image.document.descriptor));
    let mut converted = Vec::new();
    for image in &images {
        let mut one = built(store, image, name)?;
        for known in attested
            .iter()
            .filter(|one| attestations::are_of(one, image))
        {
            let form;
            (form, one.attestations) = attestations::read(store, known, image)?;
            style.form = form;
        }
        converted.push(one);
    }
    let form = match images.len() {
        // The index was there for what is attested.
        1 if !attested.is_empty() => ImageForm::Single,
        _ => documents.form,
    };
    let images = BuiltImages::new(converted, form).attested(style);
    let blobs = Blobs {
        store,
        registry: app.registry(),
    };
    let form = LayerForm::new(Compression::Gzip);
    let progress = Progress {
        board: Mutex::new(board),
        sent: Mutex::default(),
    };
    let exported = rbuild_export::push(&blobs, &images, name, PushBy::Tag, form, &progress)
        .map_err(|error| failure(error, cancel))?;
    progress.end();
    Ok(exported.descriptor)
}

fn failure(error: ExportError, cancel: &Cancel) -> anyhow::Error {
    match error {
        ExportError::Registry(error) => registry_failure(&error, cancel),
        _ if cancel.is_cancelled() => crate::failure::Interrupted.into(),
        other => anyhow::anyhow!("failed to {}", crate::failure::chain(&other)),
    }
}

/// An image of the store as its builder had it.
fn built(store: &Store, image: &ImageDocument, name: &Reference) -> anyhow::Result<BuiltImage> {
    let digest = Digest::try_from(image.manifest.config().digest())?;
    let config = store
        .read_blob(&digest)?
        .with_context(|| format!("the config {digest} is missing"))?;
    let config = ImageConfig::from_json(&config)?;
    let layers = config.rootfs.diff_ids.iter().zip(image.manifest.layers());
    let layers = layers
        .map(|(diff_id, blob)| {
            let unknown = (LayerId::Pulled(*diff_id), FileTimes::Own);
            let (id, times) = store.layer_tar(diff_id)?.unwrap_or(unknown);
            Ok(BuiltLayer {
                id,
                diff_id: *diff_id,
                size: 0,
                times,
                remote: None,
                base: if is_plain(blob) {
                    None
                } else {
                    Some((base(store, blob, name)?, blob.clone()))
                },
            })
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(BuiltImage {
        platform: config.platform(),
        config,
        layers,
        note: TimesNote::None,
        attestations: Vec::new(),
    })
}

/// Where a base layer's blob is to be had.
fn base(store: &Store, blob: &Descriptor, name: &Reference) -> anyhow::Result<Arc<ResolvedImage>> {
    let source = source_of(store, blob, name)?;
    let origin = source.as_ref().unwrap_or(name).to_string();
    Ok(Arc::new(ResolvedImage {
        origin: ImageOrigin::Registry(origin),
        manifest: Digest::sha256_of(&[]),
        config: ImageConfig::default(),
        layers: Vec::new(),
    }))
}

/// A push on a board.
struct Progress {
    board: Mutex<Board>,
    sent: Mutex<BTreeSet<Digest>>,
}

impl Progress {
    fn set(&self, digest: &Digest, words: &str) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.set(&digest.short(), words, Mark::Last);
    }

    /// What was sent is there now.
    fn end(&self) {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in sent.iter() {
            self.set(digest, "Pushed");
        }
    }
}

impl PushProgress for Progress {
    fn blob(&self, digest: &Digest, current: u64, total: u64) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.insert(*digest);
        drop(sent);
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.progress(&digest.short(), "Pushing", current, total);
    }

    fn present(&self, digest: &Digest) {
        self.set(digest, "Layer already exists");
    }
}
