//! Ranges of the host's ids for sandboxes of root that have users of their own.
//!
//! ```text
//!   /run/rbuild/ids/1073741824    locked: a sandbox has the ids from there on
//!                  /1073807360    nobody holds a lock: free
//! ```
//!
//! Nothing on disk has these ids, so any range does, each time that a sandbox starts. They are taken by all stores of a
//! machine, and none is one that `/etc/subuid` or `/etc/subgid` gives to a user.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rbuild_sys::{IdRange, all_subordinate_ids};
use rustix::fs::{FlockOperation, flock};

use crate::{SandboxError, Users};

/// The first id that is given away. Far above those of people, and below those that systemd-nspawn leaves alone
/// (`CONTAINER_UID_BASE_MAX`, 1,878,982,656).
const FIRST: u32 = 1 << 30;
/// How many ranges there are.
const RANGES: u32 = 1 << 12;
/// Locks of the ranges in use on this machine.
const LOCKS: &str = "/run/rbuild/ids";

/// Ids that nobody else has as long as this lives.
#[derive(Debug)]
pub struct UserRange {
    first: u32,
    _lock: File,
}

impl UserRange {
    /// How many ids a range has: those of usual images, `nobody` (65534) included.
    pub const COUNT: u32 = 1 << 16;

    /// Takes the first range that nobody has.
    ///
    /// # Errors
    /// [`SandboxError::Range`], [`SandboxError::NoRange`].
    pub fn claim() -> Result<Self, SandboxError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(LOCKS)
            .map_err(SandboxError::Range)?;
        let given = all_subordinate_ids();
        let free = (0..RANGES)
            .map(|number| FIRST + number * Self::COUNT)
            .filter(|first| !given.iter().any(|range| overlap(*first, *range)));
        for first in free {
            if let Some(lock) = lock(first).map_err(SandboxError::Range)? {
                return Ok(Self { first, _lock: lock });
            }
        }
        Err(SandboxError::NoRange)
    }

    /// For [`crate::Spec::users`].
    pub fn users(&self) -> Users {
        Users::Own {
            first: self.first,
            count: Self::COUNT,
        }
    }
}

fn overlap(first: u32, given: IdRange) -> bool {
    let end = |first: u32, count: u32| u64::from(first) + u64::from(count);
    u64::from(given.first) < end(first, UserRange::COUNT)
        && u64::from(first) < end(given.first, given.count)
}

fn lock(first: u32) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(Path::new(LOCKS).join(first.to_string()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whom root of the sandbox with this first process is on the host (user_namespaces(7)).
pub fn first_user_of(pid: u32) -> Option<u32> {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).ok()?;
    map.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_shares_an_id_with_a_users_is_known() {
        let given = |first, count| IdRange { first, count };
        assert!(overlap(FIRST, given(FIRST - 1, 2)));
        assert!(overlap(FIRST, given(FIRST + UserRange::COUNT - 1, 1)));
        assert!(overlap(FIRST, given(0, u32::MAX)));
        assert!(!overlap(FIRST, given(FIRST - 1, 1)));
        assert!(!overlap(FIRST, given(FIRST + UserRange::COUNT, 1)));
    }
}
