//! Pushes the very documents and blobs of an image: what was pulled keeps its digest.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use rbuild_image::{Descriptor, Digest, Distribution, LayerMediaType, Reference};
use rbuild_registry::{BlobArrival, BlobUpload, transfer_all};
use rbuild_solve::Cancel;
use rbuild_store::StoredImage;

use crate::app::App;
use crate::commands::fetch::{registry_failure, short};
use crate::commands::image_documents::{Documents, source_of};
use crate::render::{Board, Mark};

/// Blobs that are pushed at the same time.
const PARALLEL_PUSHES: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

/// Pushes blobs, then images, then what the name stands for; gives the last.
pub(super) fn push(
    app: &App,
    documents: &Documents,
    image: &StoredImage,
    name: &Reference,
    board: &mut Board,
    cancel: &Cancel,
) -> anyhow::Result<Descriptor> {
    let (root, left_out) = documents.here("pushed")?;
    if let Some(left_out) = left_out {
        board.say(&left_out);
    }
    for image in &documents.images {
        let pushing = Pushing {
            app,
            name,
            cancel,
            board: Mutex::new(board),
        };
        pushing.layers(image.manifest.layers())?;
        pushing.config(image.manifest.config())?;
    }
    let failed = |error| registry_failure(&error, cancel);
    let is_index = root.is_index();
    for image in documents.images.iter().filter(|_| is_index) {
        let kind = image.document.descriptor.media_type().to_string();
        app.registry()
            .put_manifest_by_digest(name, &kind, &image.document.bytes)
            .map_err(failed)?;
    }
    let media_type = root.descriptor.media_type().to_string();
    app.registry()
        .put_manifest(name, &media_type, &root.bytes)
        .map_err(failed)?;
    if root.descriptor.digest() == image.descriptor.digest() {
        // From now on that registry has what is missing here.
        let origin = rbuild_store::ImageOrigin::Registry(name.clone());
        app.store()?.add_image(&image.descriptor, &origin)?;
    }
    Ok(root.descriptor)
}

/// A push in progress.
struct Pushing<'a> {
    app: &'a App,
    name: &'a Reference,
    cancel: &'a Cancel,
    board: Mutex<&'a mut Board>,
}

impl Pushing<'_> {
    /// Every blob once, several at a time; the first failure stops the others from starting.
    fn layers(&self, layers: &[Descriptor]) -> anyhow::Result<()> {
        let mut jobs: Vec<&Descriptor> = Vec::new();
        for layer in layers {
            if !jobs.iter().any(|known| known.digest() == layer.digest()) {
                jobs.push(layer);
                self.say(layer, "Preparing", Mark::Moving);
            }
        }
        transfer_all(&jobs, PARALLEL_PUSHES, |layer| self.layer(layer))?;
        Ok(())
    }

    fn layer(&self, layer: &Descriptor) -> anyhow::Result<()> {
        let restricted = LayerMediaType::parse(layer.media_type().as_ref())
            .is_some_and(|kind| kind.distribution == Distribution::Restricted);
        if restricted {
            self.say(layer, "Skipped foreign layer", Mark::Last);
            return Ok(());
        }
        let source = source_of(self.app.store()?, layer, Some(self.name))?;
        let words = match self.blob(layer, source.as_ref())? {
            BlobArrival::WasThere => "Layer already exists".to_owned(),
            BlobArrival::Mounted => {
                let from = source.as_ref().map_or("", Reference::repository);
                format!("Mounted from {from}")
            }
            BlobArrival::Uploaded => "Pushed".to_owned(),
        };
        self.say(layer, &words, Mark::Last);
        Ok(())
    }

    fn config(&self, config: &Descriptor) -> anyhow::Result<()> {
        self.blob(config, None)?;
        Ok(())
    }

    fn blob(&self, blob: &Descriptor, source: Option<&Reference>) -> anyhow::Result<BlobArrival> {
        let open = || self.open(blob, source);
        let id = blob.digest().to_string();
        let progress = |current| {
            self.board
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .progress(short(&id), "Pushing", current, blob.size());
        };
        let upload = BlobUpload {
            descriptor: blob,
            open: &open,
            progress: if source.is_some() || is_layer(blob) {
                &progress
            } else {
                &|_| {}
            },
        };
        let arrival = self.app.registry().ensure_blob(self.name, &upload, source);
        arrival.map_err(|error| registry_failure(&error, self.cancel))
    }

    /// A blob's bytes: those that are here, else those of the registry that it came from.
    fn open(
        &self,
        blob: &Descriptor,
        source: Option<&Reference>,
    ) -> io::Result<Box<dyn Read + Send>> {
        let digest = Digest::try_from(blob.digest()).map_err(io::Error::other)?;
        let store = self.app.store().map_err(io::Error::other)?;
        if let Some(here) = store.blob(&digest).map_err(io::Error::other)? {
            return Ok(Box::new(here.file));
        }
        let source = source.ok_or_else(|| {
            io::Error::other(format!(
                "the blob {digest} is not here, and no registry is known to have it"
            ))
        })?;
        let there = self.app.registry().blob(source, blob);
        Ok(Box::new(there.map_err(io::Error::other)?))
    }

    fn say(&self, layer: &Descriptor, words: &str, mark: Mark) {
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .set(short(layer.digest().as_ref()), words, mark);
    }
}

fn is_layer(blob: &Descriptor) -> bool {
    LayerMediaType::parse(blob.media_type().as_ref()).is_some()
}
