//! Who is alive, and whose temporary files are whose.
//!
//! A process that writes takes a lease: a locked directory `tmp/<start>-<pid>-<random>` that all its work in
//! flight lies in. The kernel drops the lock when the process ends, and then anyone may sweep the directory. The start in
//! the name protects what a lease's owner has written or touched but not yet tied to an image or a record: the
//! collector spares what was used since the oldest living lease began.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::flock::{self, Attempt, Hold};
use crate::oci_layout;
use crate::paths::Paths;
use crate::remove;

/// One process' (in tests: one handle's) share of `tmp/`.
#[derive(Debug)]
pub(crate) struct Lease {
    directory: PathBuf,
    started: i64,
    next: AtomicU64,
    _lock: OwnedFd,
}

impl Lease {
    pub(crate) fn take(paths: &Paths, now_millis: i64) -> Result<Self> {
        loop {
            let name = format!(
                "{now_millis}-{}-{}",
                rustix::process::getpid().as_raw_nonzero(),
                random_name()
            );
            let directory = paths.tmp().join(name);
            crate::store::make_directory(&directory)?;
            // A sweeper may have come between; then the directory is not ours.
            if let Attempt::Got(lock) = flock::try_directory(&directory, Hold::Exclusive)? {
                return Ok(Self {
                    directory,
                    started: now_millis,
                    next: AtomicU64::new(0),
                    _lock: lock,
                });
            }
        }
    }

    /// A path in the lease's directory that was not used before.
    pub(crate) fn fresh(&self, kind: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{kind}-{number}"))
    }

    pub(crate) fn started(&self) -> i64 {
        self.started
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Drafts hold the lease, so it is empty; if not, the next sweep has it.
        let _ = std::fs::remove_dir(&self.directory);
    }
}

/// What [`Store::sweep`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that ended without cleaning up.
    pub dead_owners: usize,
    /// Layer directories that never got a row.
    pub unknown_layers: usize,
    /// Trees that were removed from `tmp/trash`.
    pub removed_trees: usize,
}

impl Store {
    /// Removes what is no one's: the temporary files of dead processes, layers and blobs that were never entered, and
    /// all that was thrown into `tmp/trash`. Repairs `index.json` and folds the database's log. Any number of processes
    /// may sweep at once. Takes as long as there is to remove: run it beside or after a build.
    pub fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        for owner in list(&self.paths().tmp())? {
            if owner == self.paths().trash() {
                continue;
            }
            if let Attempt::Got(lock) = flock::try_directory(&owner, Hold::Exclusive)? {
                self.throw_away(&owner)?;
                drop(lock);
                swept.dead_owners += 1;
            }
        }
        self.sweep_locks()?;
        swept.unknown_layers = self.sweep_unknown_layers()?;
        self.sweep_unknown_blobs()?;
        self.sweep_unknown_containers()?;
        self.sweep_downloads()?;
        oci_layout::write(self)?;
        swept.removed_trees = self.empty_trash()?;
        self.db().checkpoint()?;
        self.keep_reserve()?;
        Ok(swept)
    }

    /// Renames `path` into the trash, which takes no time however big it is. What is not there is fine.
    pub fn throw_away(&self, path: &Path) -> Result<()> {
        let target = self.paths().trash().join(random_name());
        match std::fs::rename(path, &target) {
            Err(error) if !flock::is_missing(&error) => Err(StoreError::io("rename", path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes all that is in the trash, together with whoever else does so.
    pub fn empty_trash(&self) -> Result<usize> {
        let trash = self.paths().trash();
        let directory = crate::store::open_directory(&trash)?;
        let mut removed = 0;
        for path in list(&trash)? {
            let name = path.file_name().expect("a listed path has a last part");
            remove::remove_tree(&directory, name.as_bytes())
                .map_err(StoreError::io("remove", &path))?;
            removed += 1;
        }
        Ok(removed)
    }

    /// The time since which nothing may be collected: when the oldest living lease began; `None` if there is none.
    pub(crate) fn oldest_lease(&self) -> Result<Option<i64>> {
        let mut oldest = None;
        for owner in list(&self.paths().tmp())? {
            if owner == self.paths().trash() {
                continue;
            }
            if let Attempt::Busy = flock::try_directory(&owner, Hold::Shared)? {
                let started = start_of(&owner);
                oldest = Some(oldest.map_or(started, |other: i64| other.min(started)));
            }
        }
        Ok(oldest)
    }
}

/// The start in a lease's name; the beginning of time for a name that is not ours.
fn start_of(owner: &Path) -> i64 {
    owner
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.split('-').next())
        .and_then(|start| start.parse().ok())
        .unwrap_or(0)
}

/// The paths of a directory's entries, sorted. A directory that is not there has none.
pub(crate) fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if flock::is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", directory)(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(StoreError::io("list", directory))?;
    paths.sort();
    Ok(paths)
}

/// 16 hexadecimal digits that no other process has.
pub(crate) fn random_name() -> String {
    let mut bytes = [0; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // Below 256 bytes it is never short, and it fails only before the kernel has gathered any randomness.
    debug_assert_eq!(got, Ok(bytes.len()), "getrandom gives 8 bytes");
    hex::encode(bytes)
}
