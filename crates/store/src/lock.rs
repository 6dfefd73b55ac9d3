//! Locks by name between threads and processes.
//!
//! `locks/<sha256 of the name>` exists while somebody holds or wants the lock. The holder has it `flock`ed and
//! removes it before letting go; who waited for the removed file finds that its path leads elsewhere and begins anew.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rbuild_image::{Digest, LayerId};
use rustix::fs::OFlags;

use crate::Store;
use crate::error::Result;
use crate::flock::{self, Attempt, Hold};

/// Holds a named lock until it is dropped, or the process ends.
#[derive(Debug)]
#[must_use = "the lock is free as soon as the guard is dropped"]
pub struct LockGuard {
    path: PathBuf,
    // Closed after the file is unlinked.
    _file: OwnedFd,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // While we hold it nobody else may remove it; if it stays, it is an empty file for the next one.
        let _ = rustix::fs::unlink(&self.path);
    }
}

impl Store {
    /// Waits until no other thread or process holds the lock `name`, and takes it. A holder that is killed frees
    /// it at once. `cancelled` is asked every few milliseconds.
    ///
    /// Fails with [`StoreError::Cancelled`](crate::StoreError::Cancelled) when told so.
    pub fn lock(&self, name: &str, cancelled: &dyn Fn() -> bool) -> Result<LockGuard> {
        let path = self.lock_path(name);
        flock::wait_for(&format!("lock {name}"), cancelled, || take(&path))
    }

    /// Waits until nobody else compresses the tar of `layer` in its own times. Whoever has the lock looks whether the blob is
    /// there by now.
    pub fn lock_packing(&self, layer: &LayerId, cancelled: &dyn Fn() -> bool) -> Result<LockGuard> {
        self.lock(&format!("pack {layer}"), cancelled)
    }

    /// Takes the lock `name` unless another thread or process has it.
    pub fn try_lock(&self, name: &str) -> Result<Option<LockGuard>> {
        take(&self.lock_path(name))
    }

    /// Removes the files of locks whose holders were killed.
    pub(crate) fn sweep_locks(&self) -> Result<()> {
        for path in crate::lease::list(&self.paths().locks())? {
            if let Attempt::Got(file) = flock::try_path(&path, OFlags::RDWR, Hold::Exclusive)? {
                drop(LockGuard { path, _file: file });
            }
        }
        Ok(())
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.paths()
            .locks()
            .join(Digest::sha256_of(name.as_bytes()).hex())
    }
}

fn take(path: &Path) -> Result<Option<LockGuard>> {
    loop {
        match flock::try_path(path, OFlags::RDWR | OFlags::CREATE, Hold::Exclusive)? {
            Attempt::Got(file) => {
                return Ok(Some(LockGuard {
                    path: path.to_owned(),
                    _file: file,
                }));
            }
            Attempt::Busy => return Ok(None),
            Attempt::Missing => {} // cannot be with CREATE, except in the instant of a removal
        }
    }
}
