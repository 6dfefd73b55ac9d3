//! Stopping a build: one flag that everything long looks at, and the processes that must be killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by everything that runs for one build. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requested: AtomicBool,
    hooks: Mutex<Hooks>,
}

#[derive(Default)]
struct Hooks {
    next: u64,
    live: Vec<(u64, Box<dyn Fn() + Send>)>,
}

impl Cancel {
    /// Nothing is cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops what runs; what starts later stops at once.
    pub fn cancel(&self) {
        self.shared.requested.store(true, Ordering::SeqCst);
        for (_, hook) in &self.hooks().live {
            hook();
        }
    }

    /// Whether [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.shared.requested.load(Ordering::SeqCst)
    }

    /// Calls `hook` on cancellation (at once if that has happened) until the guard is dropped.
    #[must_use]
    pub fn on_cancel(&self, hook: impl Fn() + Send + 'static) -> CancelGuard {
        let mut hooks = self.hooks();
        let id = hooks.next;
        hooks.next += 1;
        if self.is_cancelled() {
            hook();
        }
        hooks.live.push((id, Box::new(hook)));
        CancelGuard {
            cancel: self.clone(),
            id,
        }
    }

    fn hooks(&self) -> std::sync::MutexGuard<'_, Hooks> {
        self.shared
            .hooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a hook when dropped.
pub struct CancelGuard {
    cancel: Cancel,
    id: u64,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.cancel.hooks().live.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_hook_registered_after_cancellation_runs_at_once() {
        let cancel = Cancel::new();
        let calls = Arc::new(AtomicU32::new(0));
        cancel.cancel();
        let seen = Arc::clone(&calls);
        let guard = cancel.on_cancel(move || {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        drop(guard);
        cancel.cancel();
        assert_eq!(
            calls.load(Ordering::SeqCst),
            1,
            "a dropped guard's hook is not called"
        );
    }
}
