//! DiffIDs: the digests of layers' tars, computed behind the build for the layers that an output holds.
//!
//! The next step waits for a layer's contents, not for its digest; only the image's config needs that.

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rbuild_image::LayerId;
use rbuild_layer::{FileTimes, tar_digest};
use rbuild_plan::{FileOperation, Operation, Plan, VertexId};

use crate::build::Build;
use crate::error::StepError;
use crate::fetch::Fetcher;
use crate::tree::Stack;

/// Layers that wait for their digest.
pub(crate) struct DiffIds<'a> {
    build: &'a Build,
    fetcher: &'a Fetcher<'a>,
    wanted: HashSet<VertexId>,
    seen: Mutex<HashSet<LayerId>>,
    queue: Mutex<Option<Sender<(VertexId, LayerId)>>>,
    work: Receiver<(VertexId, LayerId)>,
}

impl<'a> DiffIds<'a> {
    /// For the vertices whose layers end up in an output of `plan`.
    pub(crate) fn new(plan: &Plan, build: &'a Build, fetcher: &'a Fetcher<'a>) -> Self {
        let (sender, work) = unbounded();
        Self {
            build,
            fetcher,
            wanted: in_outputs(plan),
            seen: Mutex::default(),
            queue: Mutex::new(Some(sender)),
            work,
        }
    }

    /// The vertex `id` yielded `stack`: its layers are digested if an output needs them.
    pub(crate) fn add(&self, id: VertexId, stack: &Stack) {
        if !self.wanted.contains(&id) {
            return;
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_made = |layer: &LayerId| matches!(layer, LayerId::Made(_));
        if !stack.layers().iter().any(is_made) {
            return;
        }
        for layer in stack.layers() {
            if let (true, Some(queue)) = (seen.insert(*layer), &*queue) {
                // The receiver lives as long as this struct.
                let _ = queue.send((id, *layer));
            }
        }
    }

    /// No more layers will come.
    pub(crate) fn close(&self) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Digests what comes until [`Self::close`].
    pub(crate) fn work(&self) -> Result<(), (VertexId, StepError)> {
        let mut failure = Ok(());
        for (vertex, layer) in &self.work {
            if failure.is_ok() && !self.build.cancel.is_cancelled() {
                failure = self.complete(&layer).map_err(|error| (vertex, error));
            }
        }
        failure
    }

    /// Whether the vertex's layers end up in an output.
    pub(crate) fn is_in_output(&self, id: VertexId) -> bool {
        self.wanted.contains(&id)
    }

    /// Whether a remote cache says which tar the layer has.
    fn is_told(&self, id: &LayerId, times: FileTimes) -> bool {
        let known = self.build.imports.layer(id);
        known.is_some_and(|known| known.layer.tar(times).is_some())
    }

    /// Digests what was made here, and hands the layer on.
    fn complete(&self, id: &LayerId) -> Result<(), StepError> {
        if let LayerId::Made(_) = id {
            self.digest(id)?;
        }
        if let Some(hook) = &self.build.on_layer {
            hook(id);
        }
        Ok(())
    }

    fn digest(&self, id: &LayerId) -> Result<(), StepError> {
        let store = &self.build.store;
        for &times in &self.build.file_times {
            if store.diff_id(id, times)?.is_some() {
                continue;
            }
            let layer = match store.layer(id)? {
                Some(layer) => layer,
                None if self.is_told(id, times) => continue,
                None => self.fetcher.fetch_made(*id)?,
            };
            if let (FileTimes::Own, Some(pack)) = (times, &self.build.packer) {
                pack(&layer);
                if store.diff_id(id, times)?.is_some() {
                    continue;
                }
            }
            let directory = layer.open_diff()?;
            let index = layer.dated_index(times)?;
            let (diff_id, size) = tar_digest(directory.as_fd(), &index)?;
            store.set_diff_id(id, times, &diff_id, size)?;
        }
        Ok(())
    }
}

/// The vertices whose layers are in some output: those reached from it through bases alone.
fn in_outputs(plan: &Plan) -> HashSet<VertexId> {
    let mut found = HashSet::new();
    let mut pending: Vec<VertexId> = plan
        .outputs
        .iter()
        .filter_map(|output| output.root)
        .collect();
    while let Some(id) = pending.pop() {
        if !found.insert(id) {
            continue;
        }
        let inputs = plan.inputs(id);
        match &plan.vertex(id).operation {
            Operation::Exec(_) => pending.extend(inputs.first()),
            Operation::File(FileOperation {
                base: Some(base), ..
            }) => {
                pending.extend(inputs.get(base.0 as usize));
            }
            Operation::Merge => pending.extend(inputs),
            _ => {}
        }
    }
    found
}
