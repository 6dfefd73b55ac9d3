//! What a place has and is to list, while steps are sent to it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::{Come, Finished, RETRY_WAITS, Target};
use crate::{Address, Bundle, Entry, RemoteError};

/// A target, and what is known of it.
pub(super) struct State {
    pub(super) target: Target,
    bundle: OnceLock<Bundle>,
    /// By the order of the steps.
    pub(super) listed: Mutex<BTreeMap<usize, Entry>>,
    pub(super) failure: Mutex<Option<RemoteError>>,
}

impl State {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            bundle: OnceLock::new(),
            listed: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// What the place lists, asked for once.
    fn bundle(&self) -> Result<&Bundle, RemoteError> {
        if let Some(known) = self.bundle.get() {
            return Ok(known);
        }
        let found = match self.target.place.bundle() {
            // What is not understood is replaced.
            Ok(None) | Err(RemoteError::Document { .. }) => Bundle::default(),
            Ok(Some(found)) => found,
            Err(error) => return Err(error),
        };
        Ok(self.bundle.get_or_init(|| found))
    }

    /// What the place has for the step: the first to write an entry is right.
    pub(super) fn known(&self, step: &Finished) -> Result<Option<Entry>, RemoteError> {
        let place = &self.target.place;
        if let Come::Remote(hit) = &step.come
            && hit.place.title() == place.title()
        {
            return Ok(Some(hit.entry.clone()));
        }
        let address = Address::Key(step.key);
        if let Some(listed) = self.bundle()?.find(&address) {
            return Ok(Some(listed.clone()));
        }
        match place.entry(&address) {
            Err(RemoteError::Document { .. }) => Ok(None),
            other => other,
        }
    }

    /// The entries in the order of their steps. Of one that was sent again the later counts.
    pub(super) fn listed(&self) -> Vec<Entry> {
        let mut seen = HashSet::new();
        let mut listed: Vec<Entry> = lock(&self.listed)
            .values()
            .rev()
            .filter(|entry| seen.insert(entry.key()))
            .cloned()
            .collect();
        listed.reverse();
        listed
    }

    pub(super) fn write_bundle(&self, listed: &[Entry]) -> Result<(), RemoteError> {
        let known = self.bundle()?;
        let is_known = |entry: &Entry| {
            let there = known.find(&Address::Key(entry.key()));
            there.is_some_and(|there| {
                there.layers == entry.layers
                    && entry
                        .aliases()
                        .all(|fast| there.answers(&Address::Fast(fast)))
            })
        };
        if listed.iter().all(is_known) {
            return Ok(());
        }
        // Others may have written meanwhile.
        let current = match self.target.place.bundle() {
            Ok(found) => found.unwrap_or_default(),
            Err(RemoteError::Document { .. }) => Bundle::default(),
            Err(error) => return Err(error),
        };
        let bundle = current.merged(listed);
        let mut waits = RETRY_WAITS.iter();
        loop {
            match (self.target.place.put_bundle(&bundle), waits.next()) {
                (Err(error), Some(wait)) if error.may_pass() => std::thread::sleep(*wait),
                (result, _) => return result,
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
