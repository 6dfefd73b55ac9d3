//! File locks on directories and files: how one process sees that another is alive and uses something.
//!
//! All are `flock(2)` locks. They belong to an open file, so two opens in one process exclude each other too, and
//! the kernel frees them when the process ends, however it ends. Whatever is locked may meanwhile have been
//! renamed or removed, so whoever gets a lock looks whether the path still leads to what was locked.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Result, StoreError};

/// Longest pause between two attempts at a lock that another holds: what a takeover costs at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Who else may hold the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Others with the same.
    Shared,
    /// Nobody.
    Exclusive,
}

/// The outcome of an attempt.
pub(crate) enum Attempt {
    /// The lock is held until the descriptor is closed.
    Got(OwnedFd),
    /// Another holds it.
    Busy,
    /// There is nothing at that path.
    Missing,
}

/// Opens the directory at `path` and tries to lock it.
pub(crate) fn try_directory(path: &Path, hold: Hold) -> Result<Attempt> {
    try_path(path, OFlags::RDONLY | OFlags::DIRECTORY, hold)
}

/// As [`try_directory`]; `flags` say how to open (with `CREATE`, the file appears).
pub(crate) fn try_path(path: &Path, flags: OFlags, hold: Hold) -> Result<Attempt> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    loop {
        let file = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Attempt::Missing),
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        match lock_now(&file, hold) {
            Ok(()) if leads_to(path, &file)? => return Ok(Attempt::Got(file)),
            Err(Errno::WOULDBLOCK) if leads_to(path, &file)? => return Ok(Attempt::Busy),
            Ok(()) | Err(Errno::WOULDBLOCK) => {} // replaced meanwhile: look again
            Err(error) => return Err(StoreError::io("lock", path)(error)),
        }
    }
}

/// Locks without waiting.
pub(crate) fn lock_now(file: &OwnedFd, hold: Hold) -> Result<(), Errno> {
    let operation = match hold {
        Hold::Shared => FlockOperation::NonBlockingLockShared,
        Hold::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Whether `path` still names the open `file`.
pub(crate) fn leads_to(path: &Path, file: &OwnedFd) -> Result<bool> {
    let opened = rustix::fs::fstat(file).map_err(StoreError::io("look at", path))?;
    match rustix::fs::lstat(path) {
        Ok(named) => Ok(named.st_ino == opened.st_ino && named.st_dev == opened.st_dev),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(StoreError::io("look at", path)(error)),
    }
}

/// Asks `attempt` until it yields something; soon at first, then at most [`LONGEST_PAUSE`] apart. Asks
/// `cancelled` in between.
pub(crate) fn wait_for<T>(
    what: &str,
    cancelled: &dyn Fn() -> bool,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        if cancelled() {
            return Err(StoreError::Cancelled {
                what: what.to_owned(),
            });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether an error says that something is not there.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
