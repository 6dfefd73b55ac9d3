//! Pushes an image that was built here: layers that are directories are compressed on their way.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rbuild_export::{
    AttestationForm, AttestationPlace, AttestationStyle, Blobs, BuiltImage, BuiltImages,
    ExportError, LayerForm, MediaTypes, PushBy, PushProgress, TimesNote,
};
use rbuild_image::{Compression, Descriptor, Digest, Reference, is_attestation, media_type};
use rbuild_plan::ImageForm;
use rbuild_solve::Cancel;
use rbuild_store::Store;

use super::attestations;
use crate::app::App;
use crate::commands::fetch::registry_failure;
use crate::commands::image_documents::{Documents, ImageDocument};
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
    let is_dockers = images.iter().all(|image| {
        image.document.descriptor.media_type().as_ref() == media_type::DOCKER_MANIFEST
    });
    let types = if is_dockers && attested.is_empty() {
        MediaTypes::Docker
    } else {
        MediaTypes::Oci
    };
    let images = BuiltImages::new(converted, form)
        .attested(style)
        .in_media_types(types);
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
    let config = image.config(store)?;
    Ok(BuiltImage {
        platform: config.platform(),
        layers: image.layers(store, &config, Some(name))?,
        config,
        note: TimesNote::None,
        attestations: Vec::new(),
    })
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
