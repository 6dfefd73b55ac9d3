//! The kernel's locks: they end with their process, so nothing waits for the dead.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::NetworkError;

/// Something that is locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Waits for the lock on the file at `path`, which is made if it is not there.
pub(crate) fn take(path: &Path) -> Result<Lock, NetworkError> {
    let file = open(path)?;
    file.lock().map_err(NetworkError::file("lock", path))?;
    Ok(Lock { _file: file })
}

/// Opens the file at `path`, which is made if it is not there.
pub(crate) fn open(path: &Path) -> Result<File, NetworkError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(NetworkError::file("open", path))
}
