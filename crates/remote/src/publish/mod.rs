//! Sending what a build did to remote caches, while it goes on.
//!
//! ```text
//! step done ─→ queue ─→ worker: known there? ─ yes → listed
//!                                   └─ no → compress → blobs → entry → listed
//! build done ─→ queue closed ─→ bundle (merged with what is there)
//! ```

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rbuild_image::{Descriptor, Digest, LayerId};
use rbuild_store::{FastKey, Record, StepKey, Store};

use self::state::{State, lock};
use crate::pack::{self, BlobForm};
use crate::{Address, Entry, EntryLayer, Hit, Place, RemoteError, Upload};

mod state;

/// Steps that are sent at the same time. Most of it is waiting.
const WORKERS: usize = 4;

/// How long a registry has to find what it was given.
pub(crate) const RETRY_WAITS: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_500),
    Duration::from_secs(4),
];

/// Which layers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Those that an output holds. Of the others only the entries are.
    #[default]
    Min,
    /// All.
    Max,
}

/// A cache that is written to.
pub struct Target {
    /// Where it is.
    pub place: Arc<dyn Place>,
    /// Which layers it gets.
    pub mode: Mode,
    /// How they are compressed.
    pub form: BlobForm,
}

/// A step that has its result.
pub struct Finished {
    /// Its key.
    pub key: StepKey,
    /// Its fast key, if it has one.
    pub fast: Option<FastKey>,
    /// How it came by its result.
    pub come: Come,
    /// Whether an output holds its layers.
    pub in_output: InOutput,
}

/// Whether an output of the build holds a step's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InOutput {
    /// It does.
    Yes,
    /// They were only copied from, or mounted.
    No,
}

/// Where a result comes from.
pub enum Come {
    /// It is in the store.
    Here,
    /// It was made now, because what a cache had for it was of no use: the entry is to be replaced.
    Again,
    /// A remote cache knows it.
    Remote(Arc<Hit>),
}

/// Sends finished steps to caches.
pub struct Publisher {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Job>>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    steps: Mutex<Vec<Arc<Finished>>>,
}

struct Shared {
    store: Store,
    targets: Vec<State>,
    /// Compressing takes all processors: one layer after the other.
    packing: Mutex<()>,
    abandoned: AtomicBool,
}

struct Job {
    target: usize,
    number: usize,
    step: Arc<Finished>,
}

impl Publisher {
    /// Sends to `targets` what is in `store`.
    pub fn new(store: &Store, targets: Vec<Target>) -> Self {
        let shared = Arc::new(Shared {
            store: store.clone(),
            targets: targets.into_iter().map(State::new).collect(),
            packing: Mutex::default(),
            abandoned: AtomicBool::new(false),
        });
        let (queue, jobs) = unbounded();
        let count = if shared.targets.is_empty() {
            0
        } else {
            WORKERS
        };
        let workers = (0..count).map(|_| {
            let (shared, jobs) = (Arc::clone(&shared), jobs.clone());
            std::thread::spawn(move || shared.work(&jobs))
        });
        Self {
            workers: Mutex::new(workers.collect()),
            shared,
            queue: Mutex::new(Some(queue)),
            steps: Mutex::default(),
        }
    }

    /// The steps that were added, each once: of one that came again, the later.
    pub fn steps(&self) -> Vec<Arc<Finished>> {
        let mut seen = HashSet::new();
        let steps = lock(&self.steps);
        let latest = steps.iter().rev().filter(|step| seen.insert(step.key));
        latest.cloned().collect()
    }

    /// `step` is sent in the background.
    pub fn add(&self, step: Finished) {
        let step = Arc::new(step);
        let number = {
            let mut steps = lock(&self.steps);
            steps.push(Arc::clone(&step));
            steps.len()
        };
        for target in 0..self.shared.targets.len() {
            let step = Arc::clone(&step);
            if let Some(queue) = &*lock(&self.queue) {
                // The workers live until the queue is closed.
                let _ = queue.send(Job {
                    target,
                    number,
                    step,
                });
            }
        }
    }

    /// No more steps will come: waits until all are sent. Then [`Self::finish`].
    pub fn close(&self) {
        lock(&self.queue).take();
        for worker in lock(&self.workers).drain(..) {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// Writes the bundle of the target at `position`; tells how many entries the build gave it.
    pub fn finish(&self, position: usize) -> Result<usize, RemoteError> {
        let state = &self.shared.targets[position];
        if let Some(error) = lock(&state.failure).take() {
            return Err(error);
        }
        let listed = state.listed();
        state.write_bundle(&listed)?;
        Ok(listed.len())
    }
}

impl Drop for Publisher {
    /// What was not closed is given up.
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn work(&self, jobs: &Receiver<Job>) {
        for job in jobs {
            let state = &self.targets[job.target];
            if self.abandoned.load(Ordering::Relaxed) || lock(&state.failure).is_some() {
                continue;
            }
            match self.send_patiently(state, &job.step) {
                Ok(Some(entry)) => {
                    lock(&state.listed).insert(job.number, entry.brief());
                }
                Ok(None) => {}
                Err(error) => {
                    lock(&state.failure).get_or_insert(error);
                }
            }
        }
    }

    /// [`Self::send`], again where a registry does not find what it was just given: some do so for a moment when several
    /// writers send the same blob.
    fn send_patiently(&self, state: &State, step: &Finished) -> Result<Option<Entry>, RemoteError> {
        let mut waits = RETRY_WAITS.iter();
        loop {
            match (self.send(state, step), waits.next()) {
                (Err(error), Some(wait)) if error.may_pass() => std::thread::sleep(*wait),
                (result, _) => return result,
            }
        }
    }

    /// Sees to it that the place has the step; gives its entry.
    fn send(&self, state: &State, step: &Finished) -> Result<Option<Entry>, RemoteError> {
        let target = &state.target;
        let blobs_wanted = target.mode == Mode::Max || step.in_output == InOutput::Yes;
        if !matches!(step.come, Come::Again)
            && let Some(mut known) = state.known(step)?
            && (known.has_blobs() || !blobs_wanted)
        {
            let Some(fast) = step
                .fast
                .filter(|fast| !known.answers(&Address::Fast(*fast)))
            else {
                return Ok(Some(known));
            };
            let whole = target.place.full_entry(&Address::Key(step.key))?;
            known = whole.unwrap_or(known);
            known.add_alias(&fast);
            target.place.put_entry(&known)?;
            return Ok(Some(known));
        }
        let made = match &step.come {
            Come::Remote(hit) => self.entry_of_hit(target, hit, blobs_wanted)?,
            Come::Here | Come::Again => match self.entry_of_record(target, step, blobs_wanted)? {
                Some(entry) => entry,
                // Forgotten by somebody meanwhile.
                None => return Ok(None),
            },
        };
        let mut entry = made;
        if let Some(fast) = &step.fast {
            entry.add_alias(fast);
        }
        target.place.put_entry(&entry)?;
        Ok(Some(entry))
    }

    /// The entry of a step that this store has, its blobs sent.
    fn entry_of_record(
        &self,
        target: &Target,
        step: &Finished,
        blobs_wanted: bool,
    ) -> Result<Option<Entry>, RemoteError> {
        let Some(record) = self.store.record(&step.key)? else {
            return Ok(None);
        };
        let layers = record.layers.iter();
        let layers = layers.map(|id| self.layer(target, id, blobs_wanted));
        let mut entry = Entry::new(&step.key, layers.collect::<Result<_, _>>()?);
        fill(&mut entry, &record);
        if let Some(preimage) = self.store.preimage(&step.key)? {
            entry.set_preimage(&preimage);
        }
        Ok(Some(entry))
    }

    fn layer(
        &self,
        target: &Target,
        id: &LayerId,
        blobs_wanted: bool,
    ) -> Result<EntryLayer, RemoteError> {
        if !blobs_wanted {
            return pack::without_blob(&self.store, id);
        }
        let layer = {
            let _one_at_a_time = lock(&self.packing);
            pack::with_blob(&self.store, id, target.form)?
        };
        if let Some(blob) = &layer.blob {
            let digest = Digest::try_from(blob.digest())?;
            let open = || {
                let found = self.store.blob(&digest).map_err(io::Error::other)?;
                let found = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                Ok(Box::new(found.file) as Box<dyn io::Read + Send>)
            };
            put_blob(target, blob, &open, None)?;
        }
        Ok(layer)
    }

    /// The entry that another cache has, its blobs sent on.
    fn entry_of_hit(
        &self,
        target: &Target,
        hit: &Hit,
        blobs_wanted: bool,
    ) -> Result<Entry, RemoteError> {
        let whole = hit.place.full_entry(&Address::Key(hit.entry.key()))?;
        let mut entry = whole.unwrap_or_else(|| hit.entry.clone());
        for layer in &mut entry.layers {
            if !blobs_wanted {
                layer.blob = None;
            } else if self.store.layer(&layer.id)?.is_some() {
                *layer = self.layer(target, &layer.id, blobs_wanted)?;
            } else if let Some(blob) = &layer.blob {
                let open = || hit.place.open_blob(blob).map_err(io::Error::other);
                put_blob(target, blob, &open, Some(hit))?;
            }
        }
        Ok(entry)
    }
}

fn put_blob(
    target: &Target,
    descriptor: &Descriptor,
    open: &dyn Fn() -> io::Result<Box<dyn io::Read + Send>>,
    hit: Option<&Hit>,
) -> Result<(), RemoteError> {
    target.place.put_blob(&Upload {
        descriptor,
        open,
        neighbour: hit.and_then(|hit| hit.place.repository()),
    })
}

fn fill(entry: &mut Entry, record: &Record) {
    entry.name.clone_from(&record.name);
    entry.created = millis(record.created);
    entry.run_millis = record.run_time.as_millis() as u64;
    entry.set_circumstances(&record.outcome);
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
