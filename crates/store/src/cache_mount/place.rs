//! Cache mounts in directories of the user's: what a CI keeps between its jobs, for example.

use std::fs;
use std::path::Path;

use super::{CacheMountSpec, set_attributes};
use crate::error::{Result, StoreError};
use crate::flock;

/// What stood at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// Nothing: the mount begins here.
    Empty,
    /// What an earlier use, or somebody else, left there.
    Full,
}

/// Makes `place` if it is not there. An empty one gets its attributes; what is in another is taken as it is.
pub(super) fn begin(place: &Path, spec: &CacheMountSpec<'_>) -> Result<Begun> {
    fs::create_dir_all(place).map_err(StoreError::io("create the cache mount", place))?;
    if !is_empty(place)? {
        return Ok(Begun::Full);
    }
    set_attributes(place, spec)?;
    Ok(Begun::Empty)
}

/// Whether nothing is at `place`, or a directory with nothing in it.
pub(super) fn is_empty(place: &Path) -> Result<bool> {
    match fs::read_dir(place) {
        Ok(mut names) => Ok(names.next().is_none()),
        Err(error) if flock::is_missing(&error) => Ok(true),
        Err(error) => Err(StoreError::io("use the cache mount", place)(error)),
    }
}
