//! Layers travel while the build goes on: each is compressed and uploaded as soon as its step has ended.
//!
//! ```text
//! step done ─→ pack_new: large and new; digested, packed and uploaded at once
//!              add ─→ queue ─→ workers: LayerSender for each repository
//! build done ─→ wait ─→ push: finds its layers there, and puts config and manifest
//! build failed ─→ dropped: nothing names what was sent, and the registry sweeps it up
//! ```
//!
//! What fails here is tried again by the push itself, which tells it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rbuild_image::{LayerId, Reference};
use rbuild_layer::FileTimes;
use rbuild_plan::Plan;
use rbuild_registry::Client;
use rbuild_remote::Imports;
use rbuild_store::{Layer, Store};

use crate::assemble::{Bases, base_layers, built_layer};
use crate::blobs::{Blobs, LayerForm};
use crate::error::ExportError;
use crate::pack_ahead::pack_new;
use crate::push::{PARALLEL_PUSHES, PushProgress};
use crate::send::LayerSender;

/// A repository that is to get the layers of the outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AheadTarget {
    /// A name in it.
    pub name: Reference,
    /// How the layers travel.
    pub form: LayerForm,
    /// How their files are dated.
    pub times: FileTimes,
}

/// What the layers of a build are sent with.
pub struct AheadBuild<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// Who sends them.
    pub registry: &'a Arc<Client>,
    /// Layers that are elsewhere.
    pub imports: &'a Arc<Imports>,
    /// What is built.
    pub plan: &'a Plan,
}

/// Sends layers while they are made. Dropped, it gives up what was not sent.
pub struct PushAhead {
    shared: Arc<Shared>,
    queue: Sender<Job>,
    added: Mutex<HashSet<LayerId>>,
}

pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) registry: Arc<Client>,
    imports: Arc<Imports>,
    bases: Bases,
    pub(crate) targets: Vec<AheadTarget>,
    progress: Box<dyn PushProgress + Send>,
    pub(crate) packing: Mutex<()>,
    /// What is uploaded while it is packed, by target and layer.
    pub(crate) uploads: Mutex<HashMap<Job, JoinHandle<()>>>,
    /// Jobs that were added and are not done.
    open: Mutex<usize>,
    idle: Condvar,
    abandoned: Arc<AtomicBool>,
}

/// A layer for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) target: usize,
    pub(crate) layer: LayerId,
}

impl PushAhead {
    /// Sends to `targets`, of which each repository in one form is there once.
    pub fn new(
        build: &AheadBuild<'_>,
        targets: Vec<AheadTarget>,
        progress: Box<dyn PushProgress + Send>,
    ) -> Self {
        let shared = Arc::new(Shared {
            store: build.store.clone(),
            registry: Arc::clone(build.registry),
            imports: Arc::clone(build.imports),
            bases: base_layers(build.plan),
            targets,
            progress,
            packing: Mutex::default(),
            uploads: Mutex::default(),
            open: Mutex::default(),
            idle: Condvar::new(),
            abandoned: Arc::default(),
        });
        let (queue, jobs) = unbounded();
        for _ in 0..PARALLEL_PUSHES.get() {
            let (shared, jobs) = (Arc::clone(&shared), jobs.clone());
            std::thread::spawn(move || shared.work(&jobs));
        }
        Self {
            shared,
            queue,
            added: Mutex::default(),
        }
    }

    /// An output will hold `layer`, whose tar is known: it is sent in the background.
    pub fn add(&self, layer: &LayerId) {
        if !lock(&self.added).insert(*layer) {
            return;
        }
        *lock(&self.shared.open) += self.shared.targets.len();
        for target in 0..self.shared.targets.len() {
            // The workers live as long as this.
            let _ = self.queue.send(Job {
                target,
                layer: *layer,
            });
        }
    }

    /// Packs a new and large layer whose tar nobody has digested yet, and notes its diffID, where a target wants it compressed;
    /// it is sent there at the same time. Where it is not packed, for whatever reason, nothing is noted, and it is sent as others are.
    pub fn pack_new(&self, layer: &Layer) {
        // What went wrong will go wrong again where it is digested or sent, and is told then.
        let _ = pack_new(&self.shared, layer);
    }

    /// Waits until all that was added is sent, or has failed to be.
    pub fn wait(&self) {
        let open = lock(&self.shared.open);
        let waited = self.shared.idle.wait_while(open, |open| *open > 0);
        drop(waited);
    }
}

impl Drop for PushAhead {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn work(&self, jobs: &Receiver<Job>) {
        for job in jobs {
            let _done = JobGuard(self);
            let upload = lock(&self.uploads).remove(&job);
            if let Some(upload) = upload {
                // Where it failed, the blob is not there, and sent.
                let _ = upload.join();
            }
            let target = &self.targets[job.target];
            if !self.abandoned.load(Ordering::Relaxed) && !self.registry.is_cancelled() {
                // The push will meet the same failure, and tell it.
                let _ = self.send(target, &job.layer);
            }
        }
    }

    fn send(&self, target: &AheadTarget, id: &LayerId) -> Result<(), ExportError> {
        let layer = built_layer(&self.store, &self.imports, id, target.times, &self.bases)?;
        let sender = LayerSender {
            blobs: Blobs {
                store: &self.store,
                registry: &self.registry,
            },
            name: &target.name,
            form: target.form,
            progress: &*self.progress,
            packing: &self.packing,
            stopped: Arc::clone(&self.abandoned),
        };
        sender.send(&layer)?;
        Ok(())
    }
}

/// A job is over even where it panics: nobody may wait for it forever.
struct JobGuard<'a>(&'a Shared);

impl Drop for JobGuard<'_> {
    fn drop(&mut self) {
        *lock(&self.0.open) -= 1;
        self.0.idle.notify_all();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
