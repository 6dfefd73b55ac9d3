//! The `git` processes that run for a client, so that a cancelled build leaves none behind.

use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// What runs now. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes {
    live: Arc<Mutex<Live>>,
}

#[derive(Debug, Default)]
struct Live {
    stopped: bool,
    groups: Vec<Pid>,
}

impl Processes {
    /// Counts `child`, which leads a process group, until [`Self::leave`]. Ends it if all are stopped.
    pub(crate) fn enter(&self, child: &Child) -> Option<Pid> {
        let group = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
        let mut live = self.live();
        if live.stopped {
            end(group);
        }
        live.groups.push(group);
        Some(group)
    }

    /// Forgets a group. Its leader must not have been reaped yet.
    pub(crate) fn leave(&self, group: Option<Pid>) {
        self.live().groups.retain(|known| Some(*known) != group);
    }

    /// Ends what runs and what will be started.
    pub(crate) fn stop(&self) {
        let mut live = self.live();
        live.stopped = true;
        for group in &live.groups {
            end(*group);
        }
    }

    pub(crate) fn are_stopped(&self) -> bool {
        self.live().stopped
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(group: Pid) {
    // All of it may have ended by itself.
    let _ = kill_process_group(group, Signal::KILL);
}
