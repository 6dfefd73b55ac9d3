//! How much room directories take that others fill: cache mounts, clones, containers.
//!
//! Walking them costs as much as they hold, so what was found is kept with the time of the last use that it was found
//! after, and is taken as it stands while nobody has used the directory since.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::{OptionalExtension as _, params};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::{flock, time};

/// Whether an earlier measurement serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// It is walked now.
    Now,
    /// It is walked if it was used since it was last walked.
    IfUsedSince,
}

impl Store {
    /// The disk space of the tree at `path`, which lies in the store and was last used at `used`.
    pub(crate) fn measured(&self, path: &Path, used: SystemTime, how: Measure) -> Result<u64> {
        let name = path.strip_prefix(self.root()).unwrap_or(path);
        let name = name.to_string_lossy().into_owned();
        let used = time::to_millis(used);
        let known: Option<i64> = self.db().read("look for a measurement", |db| {
            Ok(db
                .prepare_cached("SELECT bytes FROM measured WHERE path = ?1 AND used = ?2")?
                .query_row(params![name, used], |row| row.get(0))
                .optional()?)
        })?;
        if let Some(bytes) = known.filter(|_| how == Measure::IfUsedSince) {
            return Ok(bytes as u64);
        }
        let bytes = tree_bytes(path)?;
        if known != Some(bytes as i64) {
            self.db().write("keep a measurement", |db| {
                db.prepare_cached(
                    "INSERT INTO measured (path, used, bytes) VALUES (?1, ?2, ?3)
                     ON CONFLICT (path) DO UPDATE SET used = ?2, bytes = ?3",
                )?
                .execute(params![name, used, bytes as i64])?;
                Ok(())
            })?;
        }
        Ok(bytes)
    }

    /// Forgets the measurements of what is no more.
    pub(crate) fn sweep_measurements(&self) -> Result<()> {
        let paths: Vec<String> = self.db().read("list measurements", |db| {
            Ok(db
                .prepare_cached("SELECT path FROM measured")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?)
        })?;
        for path in paths.iter().filter(|path| !self.root().join(path).exists()) {
            self.db().write("forget a measurement", |db| {
                db.prepare_cached("DELETE FROM measured WHERE path = ?1")?
                    .execute([path])?;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The disk space of a tree in bytes, files with several names counted once. What vanishes meanwhile counts nothing,
/// nor does what cannot be looked into.
pub fn tree_bytes(path: &Path) -> Result<u64> {
    let Ok(top) = std::fs::symlink_metadata(path) else {
        return Ok(0);
    };
    if !top.is_dir() {
        return Ok(top.blocks() * 512);
    }
    let mut seen = HashSet::new();
    let mut bytes = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error)
                if flock::is_missing(&error)
                    || error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                continue;
            }
            Err(error) => return Err(StoreError::io("list", directory)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &directory))?;
            let Ok(stat) = entry.metadata() else { continue };
            if stat.nlink() < 2 || stat.is_dir() || seen.insert((stat.dev(), stat.ino())) {
                bytes += stat.blocks() * 512;
            }
            if stat.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(bytes)
}
