//! Stopping what waits.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Once set, all waits end and no request begins.
#[derive(Default)]
pub(crate) struct CancelFlag {
    set: Mutex<bool>,
    changed: Condvar,
}

impl CancelFlag {
    pub(crate) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless or until the flag is set.
    pub(crate) fn sleep(&self, time: Duration) {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(set, time, |set| !*set);
        drop(waited);
    }
}
