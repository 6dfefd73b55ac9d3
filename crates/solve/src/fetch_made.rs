//! Brings layers from remote caches into the store, when somebody first needs their files and not before.
//!
//! What comes is compared with what its entry says: the blob's digest, the tar's, and the contents' id. An entry that lied, or
//! whose blob is gone, is refused, and the build goes on without it.

use std::io::{self, Read};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use rbuild_image::{Compression, Descriptor, Digest, LayerId, LayerMediaType};
use rbuild_layer::{FileTimes, TreeWriter, decompress, extract};
use rbuild_progress::EventKind;
use rbuild_remote::KnownLayer;
use rbuild_store::{Layer, LayerTimes, RootAttributes};
use rbuild_sys::OverlayFlavor;

use crate::cancel::Cancel;
use crate::error::{StepError, with_causes};
use crate::fetch::{Fetcher, Tee};
use crate::tree::Stack;

impl Fetcher<'_> {
    /// Whether all layers of `stacks` are in the store.
    pub(crate) fn has_all<'s>(
        &self,
        stacks: impl Iterator<Item = &'s Stack>,
    ) -> Result<bool, StepError> {
        for id in stacks.flat_map(Stack::layers) {
            if self.here(id)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fails if one of `missing` cannot be had: those that were made elsewhere and are in no cache.
    pub(crate) fn check_remote(
        &self,
        missing: impl Iterator<Item = LayerId>,
    ) -> Result<(), StepError> {
        let mut lost = Vec::new();
        for id in missing {
            if let LayerId::Made(_) = id
                && let Some(known) = self.build().imports.layer(&id)
                && known.layer.blob.is_none()
            {
                lost.push(id);
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        Err(StepError::RemoteLayers {
            layers: lost,
            reason: "the cache has their entries only".to_owned(),
        })
    }

    /// One layer that a step made, on another machine.
    pub(crate) fn fetch_made(&self, id: LayerId) -> Result<Arc<Layer>, StepError> {
        let build = self.build();
        let known = build.imports.layer(&id);
        let known = known.ok_or(StepError::LostLayer(id))?;
        let layer = {
            let is_cancelled = || build.cancel.is_cancelled();
            let _lock = build.store.lock(&format!("layer {id}"), &is_cancelled)?;
            match self.here(&id)? {
                Some(layer) => layer,
                None => self.bring(id, &known)?,
            }
        };
        self.adopt(&id)?;
        Ok(layer)
    }

    fn bring(&self, id: LayerId, known: &KnownLayer) -> Result<Arc<Layer>, StepError> {
        let refused = |reason: String| StepError::RemoteLayers {
            layers: vec![id],
            reason,
        };
        let Some(blob) = &known.layer.blob else {
            return Err(refused("the cache has its entry only".to_owned()));
        };
        match self.extract_made(id, known, blob) {
            Ok(layer) => Ok(layer),
            Err(_) if self.build().cancel.is_cancelled() => Err(StepError::Cancelled),
            // The disk is full, say: that is our own.
            Err(error @ StepError::Store(_)) if !is_about_bytes(&error) => Err(error),
            Err(error) => {
                let reason = with_causes(&error);
                let name = &known.hit.entry.name;
                let place = known.hit.place.title();
                self.build().reporter.send(EventKind::Warning {
                    message: format!(
                        "the layer that {place} has for \"{name}\" is of no use: {reason}; the step runs here instead"
                    ),
                    about: None,
                });
                Err(refused(reason))
            }
        }
    }

    fn extract_made(
        &self,
        id: LayerId,
        known: &KnownLayer,
        blob: &Descriptor,
    ) -> Result<Arc<Layer>, StepError> {
        let store = &self.build().store;
        let mut draft = store.draft(&RootAttributes::default())?;
        draft.made_elsewhere(times_of(known));
        let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
        let digest = Digest::try_from(blob.digest())?;
        let extracted = if let Some(here) = store.blob(&digest)? {
            extract(decompress(here.file)?, writer)?
        } else {
            let place = &known.hit.place;
            let source = place.open_blob(blob).map_err(io::Error::other);
            let source = Stoppable {
                source: source.map_err(StepError::Download)?,
                cancel: &self.build().cancel,
            };
            let mut tee = Tee {
                source,
                copy: store.blob_writer()?,
            };
            let extracted = extract(decompress(&mut tee)?, writer)?;
            io::copy(&mut tee, &mut io::sink()).map_err(StepError::Download)?;
            tee.copy.commit(Some(&digest), Some(blob.size()))?;
            extracted
        };
        if extracted.diff_id != known.layer.diff_id {
            return Err(StepError::DiffId {
                expected: known.layer.diff_id,
                found: extracted.diff_id,
            });
        }
        let contents = LayerId::Made(extracted.index.content_id());
        if contents != id {
            return Err(StepError::Contents {
                expected: id,
                found: contents,
            });
        }
        let layer = store.commit_layer(draft, extracted.index, id)?;
        store.set_diff_id(&id, FileTimes::Own, &extracted.diff_id, extracted.size)?;
        let kind = blob.media_type().to_string();
        let compression =
            LayerMediaType::parse(&kind).map_or(Compression::Gzip, |kind| kind.compression);
        store.set_layer_blob(&extracted.diff_id, compression, blob)?;
        Ok(layer)
    }

    /// The record is entered when its layers are here.
    pub(crate) fn adopt_later(&self, adoption: crate::adopt::Adoption) {
        self.adoptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(adoption);
    }

    /// Enters what waited for the layer `id`, and no other.
    fn adopt(&self, id: &LayerId) -> Result<(), StepError> {
        let waiting = {
            let mut adoptions = self
                .adoptions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let (with_it, others): (Vec<_>, Vec<_>) = std::mem::take(&mut *adoptions)
                .into_iter()
                .partition(|one| one.layers().contains(id));
            *adoptions = others;
            with_it
        };
        for adoption in waiting {
            let mut are_here = true;
            for layer in adoption.layers() {
                are_here &= self.here(&layer)?.is_some();
            }
            if are_here {
                adoption.enter(&self.build().store)?;
            } else {
                self.adopt_later(adoption);
            }
        }
        Ok(())
    }
}

/// Whether the store refused bytes for being others than they should be.
fn is_about_bytes(error: &StepError) -> bool {
    use rbuild_store::StoreError::{DigestMismatch, SizeMismatch};
    matches!(
        error,
        StepError::Store(DigestMismatch { .. } | SizeMismatch { .. })
    )
}

fn times_of(known: &KnownLayer) -> LayerTimes {
    let time = |millis: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    LayerTimes {
        created: time(known.layer.created),
        begun: known.layer.begun.map(time),
    }
}

/// Stops reading when the build is cancelled.
struct Stoppable<'a, R> {
    source: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("the build was cancelled"));
        }
        self.source.read(buffer)
    }
}
