//! Room for making room: even a removal writes to the database first, which a full disk refuses.
//!
//! `reserve` is a file of [`RESERVE_BYTES`] that maintenance puts there while there is room. Who wants to remove something
//! from a full disk gives it up first.

use std::fs::File;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;

use crate::Store;
use crate::error::{Result, StoreError};

/// The log of the removal of some thousand records, after which it is folded.
const RESERVE_BYTES: u64 = 1 << 20;
/// With less left than this, a removal may fail.
const TIGHT_BYTES: u64 = 8 * RESERVE_BYTES;

impl Store {
    /// Makes sure that something can be removed: on a full disk empties the trash, and where that was not enough, gives up the
    /// reserve.
    pub(crate) fn make_way(&self) -> Result<()> {
        if self.is_tight()? {
            self.empty_trash()?;
        }
        if self.is_tight()? {
            crate::blob::remove_file(&self.reserve_path())?;
        }
        Ok(())
    }

    /// Puts the reserve in its place, if there is room for it. That there is none is no failure.
    pub(crate) fn keep_reserve(&self) -> Result<()> {
        let path = self.reserve_path();
        if path.exists() || self.is_tight()? {
            return Ok(());
        }
        let Ok(file) = File::create_new(&path) else {
            return Ok(());
        };
        if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES).is_err() {
            crate::blob::remove_file(&path)?;
        }
        Ok(())
    }

    /// Whether there is hardly any room left.
    pub(crate) fn is_tight(&self) -> Result<bool> {
        let disk = self.disk()?;
        Ok(disk.free < TIGHT_BYTES || disk.free_files.is_some_and(|files| files < 64))
    }

    fn reserve_path(&self) -> PathBuf {
        self.root().join("reserve")
    }
}

impl StoreError {
    /// Whether these words are those of a failure for want of room, of the system or of the database: errors travel as words
    /// across the rooms of this program.
    pub fn tells_of_no_room(words: &str) -> bool {
        const SIGNS: &[&str] = &[
            "(os error 28)",
            "(os error 122)",
            "database or disk is full",
            crate::disk::NO_ROOM,
        ];
        SIGNS.iter().any(|sign| words.contains(sign))
    }
}
