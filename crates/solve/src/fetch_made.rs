//! Brings layers from remote caches into the store, when somebody first needs their files and not before.
//!
//! What comes is compared with what its entry says: the blob's digest, the tar's, and the contents' id. An entry that lied, or
//! whose blob is gone, is refused, and the build goes on without it.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rbuild_image::{Compression, Descriptor, Digest, LayerId, LayerMediaType};
use rbuild_layer::{FileTimes, TreeWriter, decompress, extract};
use rbuild_progress::EventKind;
use rbuild_registry::transfer_all;
use rbuild_remote::KnownLayer;
use rbuild_store::{Layer, LayerTimes, RootAttributes};
use rbuild_sys::OverlayFlavor;

use crate::adopt::Adoption;
use crate::build::{BaseLayers, RemoteLayers};
use crate::cancel::Cancel;
use crate::error::{StepError, with_causes};
use crate::fetch::{Fetcher, Tee};
use crate::tree::Stack;

/// Questions to a remote cache that are under way at the same time.
const PARALLEL_QUESTIONS: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

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

    /// Whether a layer of an output is to be here in the end.
    pub(crate) fn is_wanted(&self, id: &LayerId) -> bool {
        let build = self.build();
        match (id, &build.remote_layers) {
            (LayerId::Pulled(_), _) => build.base_layers == BaseLayers::Always,
            (LayerId::Made(_), RemoteLayers::WhenNeeded) => false,
            (LayerId::Made(_), RemoteLayers::Always) => true,
            (LayerId::Made(_), RemoteLayers::WhenNotMoved(compressions)) => {
                let Some(known) = build.imports.layer(id) else {
                    return true;
                };
                let can_be_moved = |times, wanted: &Compression| {
                    let blobs = known.layer.blobs(times);
                    let mut found = blobs.iter().map(|blob| compression_of(blob));
                    found.any(|found| found == Some(*wanted))
                };
                let mut times = build.file_times.iter();
                !times.all(|&times| compressions.iter().all(|one| can_be_moved(times, one)))
            }
        }
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
                        "the layer that {place} has for {name:?} is of no use: {reason}; the step runs here instead"
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
        // A few bytes can be made to unpack to very many: it is not more than was said.
        let tar_bytes = known.layer.size;
        let extracted = if let Some(here) = store.blob(&digest)? {
            extract(decompress(here.file)?.take(tar_bytes), writer)?
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
            let extracted = extract(decompress(&mut tee)?.take(tar_bytes), writer)?;
            io::copy(&mut tee, &mut io::sink()).map_err(StepError::Download)?;
            tee.copy.commit(Some(&digest), Some(blob.size()))?;
            extracted
        };
        if let Some(expected) = known.layer.diff_id
            && extracted.diff_id != expected
        {
            return Err(StepError::DiffId {
                expected,
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
        let compression = compression_of(blob).unwrap_or(Compression::Gzip);
        store.set_layer_blob(&extracted.diff_id, compression, blob)?;
        Ok(layer)
    }

    /// The record is entered when its layers are here.
    pub(crate) fn adopt_later(&self, adoption: Adoption) {
        self.adoptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(adoption);
    }

    /// Enters a record whose layers are here.
    pub(crate) fn adopt_now(&self, adoption: Adoption) -> Result<(), StepError> {
        adoption.enter(&self.build().store)?;
        if !adoption.is_complete() {
            let incomplete = self.incomplete.lock();
            incomplete
                .unwrap_or_else(PoisonError::into_inner)
                .push(adoption);
        }
        Ok(())
    }

    /// Fetches what is missing of records, when nobody waits for anything else.
    pub(crate) fn complete_adoptions(&self) -> Result<(), StepError> {
        let incomplete = {
            let mut incomplete = self
                .incomplete
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *incomplete)
        };
        let waiting: Vec<Mutex<Option<Adoption>>> = incomplete
            .into_iter()
            .map(|adoption| Mutex::new(Some(adoption)))
            .collect();
        transfer_all(&waiting, PARALLEL_QUESTIONS, |slot| {
            let taken = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            match taken.map(Adoption::completed) {
                Some(adoption) if adoption.is_complete() => adoption.enter(&self.build().store),
                _ => Ok(()),
            }
        })?;
        Ok(())
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
                self.adopt_now(adoption)?;
            } else {
                self.adopt_later(adoption);
            }
        }
        Ok(())
    }
}

fn compression_of(blob: &Descriptor) -> Option<Compression> {
    LayerMediaType::parse(blob.media_type().as_ref()).map(|kind| kind.compression)
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
