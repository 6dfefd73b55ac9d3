//! Brings the layers of base images into the store, when somebody first needs their files and not before.
//!
//! ```text
//! registry ─ verify ─ tee ─ decompress ─ extract ─ layers/<diffID>
//!                      └─ blobs/sha256/<digest>      kept, so that the image can be pushed on as it came
//! ```

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use rbuild_image::{Compression, Descriptor, DiffId, Digest, LayerId, LayerMediaType, Reference};
use rbuild_layer::{ContentIndex, FileTimes, TreeWriter, decompress, extract};
use rbuild_plan::{ImageOrigin, Operation, Plan, ResolvedImage, VertexId};
use rbuild_progress::{EventKind, Outcome, StatusState};
use rbuild_registry::transfer_all;
use rbuild_store::{BlobWriter, Layer, RootAttributes};
use rbuild_sys::OverlayFlavor;

use crate::adopt::Adoption;
use crate::build::Build;
use crate::damage::{again_if_damaged, extract_checked};
use crate::error::StepError;
use crate::report::{event_vertex, now_done, now_started};
use crate::tree::{Stack, Tree};

/// Layers of one image that are fetched at the same time.
const PARALLEL_FETCHES: NonZeroUsize = NonZeroUsize::new(6).expect("not zero");
/// Bytes between two reports of a download's progress.
const REPORT_EVERY_BYTES: u64 = 256 << 10;

/// Knows where every pulled layer of a plan comes from.
pub(crate) struct Fetcher<'a> {
    build: &'a Build,
    origins: HashMap<DiffId, LayerOrigin>,
    merged: Mutex<HashMap<Vec<LayerId>, Arc<ContentIndex>>>,
    started: Mutex<HashSet<VertexId>>,
    /// Vertices whose end was told.
    told: Mutex<HashSet<VertexId>>,
    /// Records that wait for their layers.
    pub(crate) adoptions: Mutex<Vec<Adoption>>,
    /// Records that lack what their keys are the hashes of.
    pub(crate) incomplete: Mutex<Vec<Adoption>>,
}

/// Where a layer comes from.
struct LayerOrigin {
    image: Arc<ResolvedImage>,
    position: usize,
    vertex: VertexId,
}

impl LayerOrigin {
    fn descriptor(&self) -> &Descriptor {
        &self.image.layers[self.position]
    }
}

impl<'a> Fetcher<'a> {
    /// A fetcher for the images of `plan`.
    pub(crate) fn new(build: &'a Build, plan: &Plan) -> Self {
        let mut origins = HashMap::new();
        for vertex in plan.vertices() {
            if let Operation::Image(source) = &plan.vertex(vertex).operation {
                for (position, diff_id) in source.diff_ids().iter().enumerate() {
                    origins.entry(*diff_id).or_insert_with(|| LayerOrigin {
                        image: Arc::clone(&source.image),
                        position,
                        vertex,
                    });
                }
            }
        }
        Self {
            build,
            origins,
            merged: Mutex::default(),
            started: Mutex::default(),
            told: Mutex::default(),
            adoptions: Mutex::default(),
            incomplete: Mutex::default(),
        }
    }

    pub(crate) fn build(&self) -> &'a Build {
        self.build
    }

    /// The layers of `stack`, each extracted in the store.
    pub(crate) fn fetch(&self, stack: &Stack) -> Result<Vec<Arc<Layer>>, StepError> {
        let mut layers = Vec::with_capacity(stack.layers().len());
        let mut missing = Vec::new();
        for (position, id) in stack.layers().iter().enumerate() {
            let layer = self.here(id)?;
            if layer.is_none() {
                missing.push(position);
            }
            layers.push(layer);
        }
        self.check_remote(missing.iter().map(|&position| stack.layers()[position]))?;
        for (position, layer) in self.fetch_missing(stack, &missing)? {
            layers[position] = Some(layer);
        }
        self.note_complete(stack, &missing);
        let layers: Vec<Arc<Layer>> = layers.into_iter().flatten().collect();
        self.build.pin(layers.iter().cloned());
        Ok(layers)
    }

    /// The layer `id`, if the store has it. A layer of a base image that was built here is there under the name of its
    /// contents.
    pub(crate) fn here(&self, id: &LayerId) -> Result<Option<Arc<Layer>>, StepError> {
        let store = &self.build.store;
        if let Some(layer) = store.layer(id)? {
            return Ok(Some(layer));
        }
        let LayerId::Pulled(diff_id) = id else {
            return Ok(None);
        };
        match store.layer_by_diff_id(diff_id)? {
            Some(made) => Ok(store.layer(&made)?),
            None => Ok(None),
        }
    }

    /// One tree of all layers of `stack`: whiteouts applied.
    pub(crate) fn merged_index(&self, stack: &Stack) -> Result<Arc<ContentIndex>, StepError> {
        let known = |merged: &HashMap<_, _>| merged.get(stack.layers()).cloned();
        if let Some(index) = known(&self.merged.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(index);
        }
        let layers = self.fetch(stack)?;
        let indexes = layers
            .iter()
            .map(|layer| layer.index())
            .collect::<Result<Vec<_>, _>>()?;
        let bottom_first: Vec<&ContentIndex> = indexes.iter().map(AsRef::as_ref).collect();
        let index = Arc::new(ContentIndex::merge(&bottom_first));
        self.merged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(stack.layers().to_vec(), Arc::clone(&index));
        Ok(index)
    }

    fn fetch_missing(
        &self,
        stack: &Stack,
        missing: &[usize],
    ) -> Result<Vec<(usize, Arc<Layer>)>, StepError> {
        // What a remote cache lost is asked for to the end: all of it is made here, then, at once.
        let lost = Mutex::new(Vec::new());
        let fetched = transfer_all(missing, PARALLEL_FETCHES, |&position| {
            match self.fetch_layer(stack.layers()[position]) {
                Ok(layer) => Ok(Some((position, layer))),
                Err(StepError::RemoteLayers { layers, reason }) => {
                    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.push((layers, reason));
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })?;
        let lost = lost.into_inner().unwrap_or_else(PoisonError::into_inner);
        match lost.first() {
            None => Ok(fetched.into_iter().flatten().collect()),
            Some((_, reason)) => Err(StepError::RemoteLayers {
                reason: reason.clone(),
                layers: lost.iter().flat_map(|(layers, _)| layers.clone()).collect(),
            }),
        }
    }

    /// One layer. Another process that fetches it already is waited for.
    fn fetch_layer(&self, id: LayerId) -> Result<Arc<Layer>, StepError> {
        let LayerId::Pulled(diff_id) = id else {
            return self.fetch_made(id);
        };
        let origin = self.origins.get(&diff_id).ok_or(StepError::LostLayer(id))?;
        let _lock = self
            .build
            .store
            .lock(&format!("layer {id}"), &|| self.build.cancel.is_cancelled())?;
        if let Some(layer) = self.here(&id)? {
            return Ok(layer);
        }
        self.note_start(origin.vertex);
        let fetched = again_if_damaged(|| self.extract_layer(diff_id, origin));
        self.note_end(origin.vertex, fetched.as_ref().err());
        fetched
    }

    fn extract_layer(
        &self,
        diff_id: DiffId,
        origin: &LayerOrigin,
    ) -> Result<Arc<Layer>, StepError> {
        let store = &self.build.store;
        let draft = store.draft(&RootAttributes::default())?;
        let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
        let digest = Digest::try_from(origin.descriptor().digest())?;
        let extracted = if let Some(blob) = store.blob(&digest)? {
            let mut source = self.watch(blob.file, origin);
            extract(decompress(&mut source)?, writer)?
        } else {
            let mut tee = Tee {
                source: self.open_remote(origin)?,
                copy: store.blob_writer()?,
            };
            let mut source = self.watch(&mut tee, origin);
            let extracted = extract_checked(&mut source, writer)?;
            tee.copy
                .commit(Some(&digest), Some(origin.descriptor().size()))?;
            extracted
        };
        if extracted.diff_id != diff_id {
            return Err(StepError::DiffId {
                expected: diff_id,
                found: extracted.diff_id,
            });
        }
        let id = LayerId::Pulled(diff_id);
        let layer = store.commit_layer(draft, extracted.index, id)?;
        store.set_diff_id(&id, FileTimes::Own, &diff_id, extracted.size)?;
        let kind = origin.descriptor().media_type().to_string();
        let compression =
            LayerMediaType::parse(&kind).map_or(Compression::Gzip, |kind| kind.compression);
        store.set_layer_blob(&diff_id, compression, origin.descriptor())?;
        Ok(layer)
    }

    fn open_remote(&self, origin: &LayerOrigin) -> Result<Box<dyn Read + Send>, StepError> {
        let reference: Reference = match &origin.image.origin {
            ImageOrigin::OciLayout(path) => {
                let layout = rbuild_source::OciLayout::open(std::path::Path::new(path))?;
                return Ok(Box::new(layout.blob(origin.descriptor())?));
            }
            ImageOrigin::Registry(name) | ImageOrigin::Store(name) => name.parse()?,
        };
        Ok(Box::new(
            self.build.registry.blob(&reference, origin.descriptor())?,
        ))
    }

    fn watch<R: Read>(&self, source: R, origin: &LayerOrigin) -> Watched<'_, R> {
        Watched {
            source,
            fetcher: self,
            vertex: origin.vertex,
            id: origin.descriptor().digest().to_string(),
            total: origin.descriptor().size(),
            current: 0,
            reported: None,
        }
    }

    /// The vertex's first fetch starts it.
    fn note_start(&self, vertex: VertexId) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if started.insert(vertex) {
            now_started(&self.build.reporter, vertex);
        }
    }

    /// All of `stack` is here: the images that the layers at `fetched` came with are done.
    fn note_complete(&self, stack: &Stack, fetched: &[usize]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for position in fetched {
            if let LayerId::Pulled(diff_id) = stack.layers()[*position]
                && let Some(origin) = self.origins.get(&diff_id)
                && self.has_fetched(origin.vertex)
                && told.insert(origin.vertex)
            {
                now_done(&self.build.reporter, origin.vertex, Outcome::Completed);
            }
        }
    }

    /// A failure is told at once; that all went well, by [`finish_images`](crate::solve::finish_images).
    fn note_end(&self, vertex: VertexId, error: Option<&StepError>) {
        if let Some(error) = error
            && self
                .told
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(vertex)
        {
            now_done(&self.build.reporter, vertex, error.outcome());
        }
    }

    /// An image whose layers are all here is done at once; of another it is known only in the end whether any step
    /// needed it.
    pub(crate) fn note_if_present(&self, vertex: VertexId, tree: &Tree) {
        let Some(stack) = tree.stack() else { return };
        let here = |id| matches!(self.build.store.layer(id), Ok(Some(_)));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if stack.layers().iter().all(here) && told.insert(vertex) {
            now_done(&self.build.reporter, vertex, Outcome::Cached);
        }
    }

    /// Whether the end of `vertex` was told.
    pub(crate) fn was_told(&self, vertex: VertexId) -> bool {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&vertex)
    }

    /// Whether anything of the image `vertex` was fetched.
    pub(crate) fn has_fetched(&self, vertex: VertexId) -> bool {
        self.started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&vertex)
    }
}

/// Copies what is read.
pub(crate) struct Tee<R> {
    pub(crate) source: R,
    pub(crate) copy: BlobWriter,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        io::Write::write_all(&mut self.copy, &buffer[..read])?;
        Ok(read)
    }
}

/// Reports how much was read, and stops reading when the build is cancelled.
struct Watched<'a, R> {
    source: R,
    fetcher: &'a Fetcher<'a>,
    vertex: VertexId,
    id: String,
    total: u64,
    current: u64,
    reported: Option<u64>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fetcher.build.cancel.is_cancelled() {
            return Err(io::Error::other("the build was cancelled"));
        }
        let read = self.source.read(buffer)?;
        self.current += read as u64;
        let finished = read == 0 && !buffer.is_empty();
        let due = self
            .reported
            .is_none_or(|at| self.current - at >= REPORT_EVERY_BYTES);
        if due || (finished && self.reported != Some(u64::MAX)) {
            self.report(if finished {
                StatusState::Finished
            } else {
                StatusState::Running
            });
            self.reported = Some(self.current);
        }
        Ok(read)
    }
}

impl<R> Watched<'_, R> {
    fn report(&self, state: StatusState) {
        self.fetcher.build.reporter.send(EventKind::Status {
            vertex: event_vertex(self.vertex),
            id: self.id.clone(),
            current: self.current,
            total: Some(self.total),
            state,
        });
    }
}
