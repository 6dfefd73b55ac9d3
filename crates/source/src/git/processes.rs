//! The `git` processes that run for a client, so that a cancelled build leaves none behind.

use std::fs::{File, TryLockError};
use std::io;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// Between two attempts at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

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

    /// Locks `file`, which another process may hold for as long as its network takes: who is stopped does not wait for that.
    pub(crate) fn lock(&self, file: &File) -> io::Result<()> {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if self.are_stopped() => {
                    return Err(io::Error::other("the build was cancelled"));
                }
                Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE),
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_stopped_does_not_wait_for_a_clone_that_another_holds() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("lock");
        let held = File::create(&path)?;
        held.lock()?;
        let processes = Processes::default();
        let waiting = std::thread::spawn({
            let (processes, file) = (processes.clone(), File::create(&path)?);
            move || processes.lock(&file)
        });
        processes.stop();
        assert!(waiting.join().expect("no panic").is_err());
        Ok(())
    }
}
