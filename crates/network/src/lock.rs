//! The kernel's locks: they end with their process, so nothing waits for the dead.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::NetworkError;

/// Something that is locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Whether others may hold it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Exclusive,
    Shared,
}

/// Waits for the lock on the file at `path`, which is made if it is not there.
pub(crate) fn take(path: &Path, hold: Hold) -> Result<Lock, NetworkError> {
    let failed = || NetworkError::file("lock", path);
    let file = open(path)?;
    match hold {
        Hold::Exclusive => file.lock(),
        Hold::Shared => file.lock_shared(),
    }
    .map_err(failed())?;
    Ok(Lock { _file: file })
}

/// The lock, if nobody has it.
pub(crate) fn attempt(path: &Path, hold: Hold) -> Result<Option<Lock>, NetworkError> {
    let file = open(path)?;
    let got = match hold {
        Hold::Exclusive => file.try_lock(),
        Hold::Shared => file.try_lock_shared(),
    };
    match got {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(NetworkError::file("lock", path)(error)),
    }
}

fn open(path: &Path) -> Result<File, NetworkError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(NetworkError::file("open", path))
}
