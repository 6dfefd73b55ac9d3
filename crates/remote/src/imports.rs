//! Looking into remote caches, and what was found there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rbuild_cache::{Elsewhere, ElsewhereRun};
use rbuild_image::LayerId;
use rbuild_layer::ContentIndex;
use rbuild_store::StepKey;

use crate::alike;
use crate::{Address, Bundle, Entry, EntryLayer, Place, RemoteError};

/// What a lookup may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Nothing: only what was fetched already is looked at.
    Memory,
    /// Round trips.
    Network,
}

/// An entry, and where it was found.
pub struct Hit {
    /// The entry, perhaps without what explanations need.
    pub entry: Entry,
    /// Where.
    pub place: Arc<dyn Place>,
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit")
            .field("entry", &self.entry)
            .field("place", &self.place.title())
            .finish()
    }
}

/// A layer that a remote cache knows.
#[derive(Debug, Clone)]
pub struct KnownLayer {
    /// What the entry says of it.
    pub layer: EntryLayer,
    /// Where it was found.
    pub hit: Arc<Hit>,
}

/// The caches that a build looks into, in order. None of them can fail a build: one that does not answer is told about
/// once, and not asked again.
#[derive(Default)]
pub struct Imports {
    sources: Vec<Source>,
    state: Mutex<State>,
    warn: Option<Warn>,
}

/// Told what goes wrong.
type Warn = Box<dyn Fn(String) + Send + Sync>;

struct Source {
    place: Arc<dyn Place>,
    /// There once the cache was asked for it, empty if it has none.
    bundle: OnceLock<Bundle>,
    down: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Answers by source and address.
    asked: HashMap<(usize, Address), Option<Arc<Hit>>>,
    layers: HashMap<LayerId, KnownLayer>,
    refused: HashSet<LayerId>,
    /// Keys whose entries have a refused layer.
    refused_keys: HashSet<StepKey>,
    all_refused: bool,
    /// Entries that were asked for whole.
    whole: HashMap<StepKey, Option<Arc<Entry>>>,
}

impl Elsewhere for Imports {
    fn last_run(&self, name: &str) -> Option<ElsewhereRun> {
        let entry = self.earlier(name)?;
        let layers = entry.layers.iter().map(|layer| layer.id);
        Some(ElsewhereRun {
            name: entry.name.clone(),
            key: entry.key(),
            created: UNIX_EPOCH + Duration::from_millis(entry.created),
            preimage: entry.preimage()?,
            circumstances: entry.circumstances().unwrap_or_default(),
            layers: layers.collect(),
        })
    }

    fn index(&self, id: &LayerId) -> Option<ContentIndex> {
        let has_it = |entry: &&Entry| entry.layers.iter().any(|layer| layer.id == *id);
        self.sources.iter().find_map(|source| {
            let listed = source.bundle.wait().entries().iter().find(has_it)?;
            let whole = self.whole(source, listed)?;
            whole.layers.iter().find_map(|layer| layer.index_of(id))
        })
    }
}

impl Imports {
    /// These caches. Each needs one call of [`Self::load`], or lookups wait for it; `warn` is told what goes wrong.
    pub fn new(places: Vec<Arc<dyn Place>>, warn: impl Fn(String) + Send + Sync + 'static) -> Self {
        let sources = places.into_iter().map(|place| Source {
            place,
            bundle: OnceLock::new(),
            down: AtomicBool::new(false),
        });
        Self {
            sources: sources.collect(),
            state: Mutex::default(),
            warn: Some(Box::new(warn)),
        }
    }

    /// Whether there is anything to look into.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The caches, in order.
    pub fn places(&self) -> impl Iterator<Item = &Arc<dyn Place>> {
        self.sources.iter().map(|source| &source.place)
    }

    /// Fetches the list of recent entries of the cache at `position`; tells how many there are.
    pub fn load(&self, position: usize) -> usize {
        let source = &self.sources[position];
        let bundle = source.bundle.get_or_init(|| match source.place.bundle() {
            Ok(found) => found.unwrap_or_default(),
            // A list that is not understood says nothing about the entries.
            Err(error @ RemoteError::Document { .. }) => {
                self.warn(&source.place, &error);
                Bundle::default()
            }
            Err(error) => {
                self.give_up(source, &error);
                Bundle::default()
            }
        });
        bundle.entries().len()
    }

    /// The entry of `address`, of the first cache that has it. An entry with a layer that was refused is none.
    pub fn find(&self, address: &Address, ask: Ask) -> Option<Arc<Hit>> {
        if self.sources.is_empty() || self.state().all_refused {
            return None;
        }
        let found = (0..self.sources.len()).find_map(|at| self.find_in(at, address, ask))?;
        self.remember(&found);
        Some(found)
    }

    fn find_in(&self, at: usize, address: &Address, ask: Ask) -> Option<Arc<Hit>> {
        let known = self.state().asked.get(&(at, *address)).cloned();
        let found = match known {
            Some(known) => known,
            None => self.look(at, address, ask),
        };
        found.filter(|hit| {
            let state = self.state();
            let layers = &hit.entry.layers;
            layers
                .iter()
                .all(|layer| !state.refused.contains(&layer.id))
        })
    }

    /// What the cache says. An answer is kept, unless it was not asked.
    fn look(&self, at: usize, address: &Address, ask: Ask) -> Option<Arc<Hit>> {
        let source = &self.sources[at];
        let bundle = match ask {
            Ask::Memory => source.bundle.get()?,
            Ask::Network => source.bundle.wait(),
        };
        let listed = bundle.find(address).cloned();
        let entry = match (listed, ask) {
            (Some(entry), _) => Some(entry),
            (None, Ask::Memory) => return None,
            (None, Ask::Network) if source.down.load(Ordering::Relaxed) => None,
            (None, Ask::Network) => match source.place.entry(address) {
                Ok(entry) => entry,
                // One entry that is not understood is a miss; the others may be.
                Err(error @ RemoteError::Document { .. }) => {
                    self.warn(&source.place, &error);
                    None
                }
                Err(error) => {
                    self.give_up(source, &error);
                    None
                }
            },
        };
        let hit = entry.map(|entry| {
            let place = Arc::clone(&source.place);
            Arc::new(Hit { entry, place })
        });
        self.state().asked.insert((at, *address), hit.clone());
        hit
    }

    /// The layers of `hit` can be asked for from now on.
    fn remember(&self, hit: &Arc<Hit>) {
        let mut state = self.state();
        for layer in &hit.entry.layers {
            let known = || KnownLayer {
                layer: layer.clone(),
                hit: Arc::clone(hit),
            };
            let slot = state.layers.entry(layer.id).or_insert_with(known);
            // Of two that know it, the one that has it.
            if slot.layer.blob.is_none() && layer.blob.is_some() {
                *slot = known();
            }
        }
    }

    /// What an entry that was found says of the layer `id`.
    pub fn layer(&self, id: &LayerId) -> Option<KnownLayer> {
        self.state().layers.get(id).cloned()
    }

    /// Entries with the layer `id` are no hits any more.
    pub fn refuse(&self, id: &LayerId) {
        let mut state = self.state();
        state.layers.remove(id);
        state.refused.insert(*id);
        let hits = state.asked.values().flatten();
        let with_it = hits.filter(|hit| hit.entry.layers.iter().any(|layer| layer.id == *id));
        let keys: Vec<StepKey> = with_it.map(|hit| hit.entry.key()).collect();
        state.refused_keys.extend(keys);
    }

    /// The entry of `key` is not what is wanted now, though others may use it.
    pub fn pass_over(&self, key: &StepKey) {
        self.state().refused_keys.insert(*key);
    }

    /// Whether the entry of `key` was found and is of no use.
    pub fn is_refused(&self, key: &StepKey) -> bool {
        self.state().refused_keys.contains(key)
    }

    /// Nothing is a hit any more.
    pub fn refuse_all(&self) {
        let mut state = self.state();
        state.layers.clear();
        state.all_refused = true;
    }

    /// The newest listed entry of a step called `name`, else the one called most like it, whole, for explanations. It is asked
    /// for once.
    pub fn earlier(&self, name: &str) -> Option<Arc<Entry>> {
        let listed = self.sources.iter().flat_map(|source| {
            let entries = source.bundle.wait().entries().iter();
            entries.map(move |entry| (source, entry))
        });
        let likeness = |entry: &Entry| (alike::likeness(&entry.name, name), entry.created);
        let (source, entry) = listed
            .filter(|(_, entry)| alike::likeness(&entry.name, name).is_some())
            .max_by_key(|(_, entry)| likeness(entry))?;
        self.whole(source, entry)
    }

    /// A listed entry with what explanations need.
    fn whole(&self, source: &Source, listed: &Entry) -> Option<Arc<Entry>> {
        let key = listed.key();
        if let Some(known) = self.state().whole.get(&key).cloned() {
            return known;
        }
        if source.down.load(Ordering::Relaxed) {
            return None;
        }
        // Without it there is less to tell, and that is all.
        let found = source.place.full_entry(&Address::Key(key)).ok().flatten();
        let found = found.map(Arc::new);
        self.state().whole.insert(key, found.clone());
        found
    }

    /// One warning, and the cache is not asked again.
    fn give_up(&self, source: &Source, error: &RemoteError) {
        if !source.down.swap(true, Ordering::Relaxed) {
            self.warn(&source.place, error);
        }
    }

    fn warn(&self, place: &Arc<dyn Place>, error: &RemoteError) {
        if let Some(warn) = &self.warn {
            let hint = error.hint();
            let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
            warn(format!(
                "--cache-from {}: failed to {error}{hint}; the build goes on without it",
                place.title()
            ));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
