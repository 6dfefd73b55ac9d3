//! The disk that the store lies on, and how much of it the cache may have.

use crate::Store;
use crate::error::{Result, StoreError};

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Its bytes altogether.
    pub total: u64,
    /// The bytes that are left for us.
    pub free: u64,
    /// The files that can still be made; `None` where the file system does not count them.
    pub free_files: Option<u64>,
}

/// How much disk the build cache may take. What is not given does not bound; where all three are missing, nothing may stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// At most this many bytes.
    pub max_used: Option<u64>,
    /// This many bytes may stay, whatever the other two say.
    pub reserved: Option<u64>,
    /// So many bytes of the disk are to be free.
    pub min_free: Option<u64>,
}

impl Limits {
    /// How many of `used` bytes may stay. `None`: nothing was given.
    pub fn target(&self, used: u64, disk: Disk) -> Option<u64> {
        if *self == Self::default() {
            return None;
        }
        let most = match (self.max_used, self.min_free) {
            (None, None) => 0,
            (max_used, _) => max_used.unwrap_or(u64::MAX),
        };
        let missing = self
            .min_free
            .map_or(0, |wanted| wanted.saturating_sub(disk.free));
        let bounded = match missing {
            0 => most,
            missing => most.min(used.saturating_sub(missing)),
        };
        Some(bounded.max(self.reserved.unwrap_or(0)))
    }
}

/// What is said of a command that failed when nothing was left.
pub const NO_ROOM: &str = "no space was left on the disk";

impl Disk {
    /// Whether so little is left that what failed just now failed for that.
    pub fn is_full(&self) -> bool {
        const NOTHING_BYTES: u64 = 64 << 10;
        self.free < NOTHING_BYTES || self.free_files == Some(0)
    }
}

impl Store {
    /// How full the disk is that the store lies on.
    pub fn disk(&self) -> Result<Disk> {
        let stat =
            rustix::fs::statvfs(self.root()).map_err(StoreError::io("look at", self.root()))?;
        Ok(Disk {
            total: stat.f_blocks * stat.f_frsize,
            free: stat.f_bavail * stat.f_frsize,
            free_files: (stat.f_files > 0).then_some(stat.f_favail),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(limits: Limits, used: u64, free: u64) -> Option<u64> {
        let disk = Disk {
            total: 1000,
            free,
            free_files: None,
        };
        limits.target(used, disk)
    }

    #[test]
    fn without_limits_there_is_no_target() {
        assert_eq!(target(Limits::default(), 10, 10), None);
    }

    #[test]
    fn the_most_that_may_be_used_is_a_cap() {
        let limits = Limits {
            max_used: Some(100),
            ..Limits::default()
        };
        assert_eq!(target(limits, 500, 0), Some(100));
    }

    #[test]
    fn what_is_missing_on_the_disk_is_taken_from_the_cache() {
        let limits = Limits {
            min_free: Some(200),
            ..Limits::default()
        };
        assert_eq!(target(limits, 500, 150), Some(450));
        // Enough is free, so all may stay.
        assert!(target(limits, 500, 200) >= Some(500));
        assert_eq!(target(limits, 20, 150), Some(0));
    }

    #[test]
    fn what_is_reserved_stays_even_on_a_full_disk() {
        let limits = Limits {
            max_used: Some(100),
            reserved: Some(50),
            min_free: Some(1000),
        };
        assert_eq!(target(limits, 500, 0), Some(50));
        let alone = Limits {
            reserved: Some(50),
            ..Limits::default()
        };
        assert_eq!(target(alone, 500, 1000), Some(50));
    }
}
