//! The cache mounts of a build: where new ones may come from, and which it used.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::transfer::fetch_mount;
use crate::Place;

/// Told what goes wrong.
type Warn = Box<dyn Fn(String) + Send + Sync>;

/// A mount that a step of the build used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedMount {
    /// Its key in the store.
    pub key: String,
    /// Its id, for people.
    pub id: String,
}

/// Where new cache mounts come from, and which were used. Nothing of it can fail a build.
#[derive(Default)]
pub struct MountExchange {
    from: Vec<Arc<dyn Place>>,
    used: Mutex<BTreeMap<String, String>>,
    warn: Option<Warn>,
}

impl MountExchange {
    /// New mounts are looked for in these places, in order; `warn` is told what goes wrong.
    pub fn new(from: Vec<Arc<dyn Place>>, warn: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self {
            from,
            used: Mutex::default(),
            warn: Some(Box::new(warn)),
        }
    }

    /// Whether new mounts are looked for anywhere.
    pub fn has_sources(&self) -> bool {
        !self.from.is_empty()
    }

    /// What a new mount is to hold, as a tar, and where it comes from.
    pub fn fetch(&self, key: &str, id: &str) -> Option<(String, Box<dyn Read + Send>)> {
        self.from.iter().find_map(|place| {
            let title = place.title();
            match fetch_mount(place, key) {
                Ok(found) => found.map(|tar| (title, tar)),
                Err(error) => {
                    self.tell(id, &title, &error);
                    None
                }
            }
        })
    }

    /// Says that the mount `id` could not be had from `place`.
    pub fn tell(&self, id: &str, place: &str, error: &dyn std::error::Error) {
        let Some(warn) = &self.warn else { return };
        let mut message = format!("cache mount {id} does not come from {place}: failed to {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        warn(message);
    }

    /// A step uses the mount.
    pub fn note(&self, key: &str, id: &str) {
        self.used().insert(key.to_owned(), id.to_owned());
    }

    /// The mounts that steps used.
    pub fn all_used(&self) -> Vec<UsedMount> {
        let used = self.used();
        let used = used.iter().map(|(key, id)| UsedMount {
            key: key.clone(),
            id: id.clone(),
        });
        used.collect()
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MountExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MountExchange")
            .field("from", &self.from.len())
            .field("used", &self.all_used())
            .finish_non_exhaustive()
    }
}
