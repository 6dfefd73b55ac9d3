//! The handle that everything goes through.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::SystemTime;

use rbuild_image::LayerId;
use rusqlite::params;

use crate::db::Db;
use crate::error::{Result, StoreError};
use crate::layer::Layer;
use crate::lease::Lease;
use crate::oci_layout;
use crate::paths::Paths;
use crate::time::{self, Clock};
use crate::uses::Uses;

/// Everything on disk, shared by any number of threads and processes. Clones are the same handle.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    paths: Paths,
    db: Db,
    clock: Clock,
    boot: OnceLock<String>,
    lease: Mutex<Option<Arc<Lease>>>,
    open_layers: Mutex<HashMap<LayerId, Weak<Layer>>>,
    uses: Mutex<Uses>,
}

impl Store {
    /// Opens the store at `root`, which is created, or migrated, where needed. Takes well below 2 ms for a store that
    /// exists: it looks at nothing but the database's first pages. What dead processes left behind is swept by
    /// [`Store::sweep`], not here.
    ///
    /// Fails if the root cannot be written, or was written by a newer version of this program.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_with_clock(root, Arc::new(SystemTime::now))
    }

    /// As [`Store::open`], with another idea of "now" for what is created, used and expired.
    pub fn open_with_clock(root: &Path, clock: Clock) -> Result<Self> {
        let root = std::path::absolute(root).map_err(StoreError::io("find", root))?;
        let paths = Paths::new(root);
        if !paths.database().exists() || !paths.trash().exists() {
            create(&paths, time::to_millis(clock()))?;
        }
        let db = Db::open(&paths.database())?;
        Ok(Self {
            inner: Arc::new(Inner {
                paths,
                db,
                clock,
                boot: OnceLock::new(),
                lease: Mutex::new(None),
                open_layers: Mutex::default(),
                uses: Mutex::default(),
            }),
        })
    }

    /// The directory that holds everything; also an OCI image layout that other tools read.
    pub fn root(&self) -> &Path {
        self.inner.paths.root()
    }

    /// Where to keep the stat cache of the context at `context` (an absolute path): a file of the caller's,
    /// which it replaces by renaming.
    pub fn context_cache_path(&self, context: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        let name = rbuild_image::Digest::sha256_of(context.as_os_str().as_bytes()).hex();
        self.paths().contexts().join(name)
    }

    /// Makes everything that was finished so far safe from a loss of power, and says so in the database.
    ///
    /// Until then a loss of power can cost the newest layers, blobs, records and names, and nothing else: what was
    /// written in another boot and never synced is checked against its digests before it is handed out
    /// again, and dropped where it fails. Order: the files are synced, then marked, then the log with the
    /// marks is folded into the database. Costs as much as there is unwritten data: keep it off the critical path.
    pub fn sync(&self) -> Result<()> {
        let marked = self.db().read("list what is not synced", |db| {
            let layers: Vec<String> = db
                .prepare_cached("SELECT id FROM layers WHERE synced = 0 AND boot = ?1")?
                .query_map(params![self.boot()], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let blobs: Vec<Vec<u8>> = db
                .prepare_cached("SELECT digest FROM blobs WHERE synced = 0 AND boot = ?1")?
                .query_map(params![self.boot()], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok((layers, blobs))
        })?;
        let (layers, blobs) = marked;
        let root = open_directory(self.root())?;
        rustix::fs::syncfs(&root).map_err(StoreError::io("sync", self.root()))?;
        if !layers.is_empty() || !blobs.is_empty() {
            self.db().write("mark what is synced", |db| {
                let mut mark = db.prepare_cached("UPDATE layers SET synced = 1 WHERE id = ?1")?;
                for id in &layers {
                    mark.execute([id])?;
                }
                let mut mark =
                    db.prepare_cached("UPDATE blobs SET synced = 1 WHERE digest = ?1")?;
                for digest in &blobs {
                    mark.execute([digest])?;
                }
                Ok(())
            })?;
        }
        self.db().checkpoint()
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.inner.paths
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.inner.clock)()
    }

    pub(crate) fn now_millis(&self) -> i64 {
        time::to_millis(self.now())
    }

    /// The kernel's name for the time since this machine started.
    pub(crate) fn boot(&self) -> &str {
        self.inner.boot.get_or_init(|| {
            fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
        })
    }

    /// This handle's lease, taken when it is first needed.
    pub(crate) fn lease(&self) -> Result<Arc<Lease>> {
        let mut slot = guard(&self.inner.lease);
        if let Some(lease) = &*slot {
            return Ok(Arc::clone(lease));
        }
        let lease = Arc::new(Lease::take(self.paths(), self.now_millis())?);
        Ok(Arc::clone(slot.insert(lease)))
    }

    pub(crate) fn open_layers(&self) -> MutexGuard<'_, HashMap<LayerId, Weak<Layer>>> {
        guard(&self.inner.open_layers)
    }

    pub(crate) fn uses(&self) -> MutexGuard<'_, Uses> {
        guard(&self.inner.uses)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("root", &self.root()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let now = time::to_millis((self.clock)());
        let _ = guard(&self.uses).write(&self.db, now);
    }
}

/// Maps and caches behind a mutex stay whole whatever panics beside them.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the directories and the empty OCI layout. The database comes last, so where it is, all is.
fn create(paths: &Paths, now_millis: i64) -> Result<()> {
    for directory in paths.directories() {
        make_directory(&directory)?;
    }
    oci_layout::create(paths, &Lease::take(paths, now_millis)?)
}

/// Makes a directory that only its owner may enter: it can hold set-user-ID programs of images.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(StoreError::io("create", path))
}

pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(StoreError::io("open", path))
}
