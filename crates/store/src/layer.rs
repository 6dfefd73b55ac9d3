//! Layers: extracted directories that never change, with their content index.
//!
//! ```text
//! layers/<id>/diff    what overlayfs mounts as a lower directory
//! layers/<id>/index   the ContentIndex of diff, encoded
//! ```
//!
//! A [`Layer`] handle holds a shared lock on `layers/<id>`; the collector needs an exclusive one, so what any living
//! process uses stays. A layer's row is entered after its directory, complete with index, was renamed into
//! place: a directory without a row is garbage, a row without a directory is dropped when it is found.

mod tars;
mod whole;

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::SystemTime;

use rbuild_image::{Digest, LayerId};
use rbuild_layer::{ContentIndex, FileTimes, Mtime};
use rusqlite::{OptionalExtension, params};

use crate::Store;
use crate::collect::Removal;
use crate::error::{Result, StoreError};
use crate::flock::{self, Attempt, Hold};
use crate::store::open_directory;
use crate::time;
use tars::own_diff_id;
pub(crate) use whole::is_whole;

/// A layer that exists and stays while this handle does. Handles of the same layer are one.
pub struct Layer {
    id: LayerId,
    directory: PathBuf,
    bytes: u64,
    /// When the step began that made it, in milliseconds after 1970.
    begun: Option<i64>,
    index: OnceLock<Arc<ContentIndex>>,
    loading: Mutex<()>,
    /// The open, share-locked `layers/<id>`.
    _pin: OwnedFd,
}

impl Layer {
    pub(crate) fn new(
        id: LayerId,
        directory: PathBuf,
        bytes: u64,
        begun: Option<i64>,
        pin: OwnedFd,
    ) -> Self {
        Self {
            id,
            directory,
            bytes,
            begun,
            index: OnceLock::new(),
            loading: Mutex::new(()),
            _pin: pin,
        }
    }

    /// Its name.
    pub fn id(&self) -> LayerId {
        self.id
    }

    /// The extracted tree, to be mounted as a lower directory; never to be written to.
    pub fn diff_path(&self) -> PathBuf {
        self.directory.join("diff")
    }

    /// [`Self::diff_path`], opened.
    pub fn open_diff(&self) -> Result<OwnedFd> {
        open_directory(&self.diff_path())
    }

    /// The bytes of its files together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it holds; read from disk the first time and kept.
    pub fn index(&self) -> Result<Arc<ContentIndex>> {
        if let Some(index) = self.index.get() {
            return Ok(Arc::clone(index));
        }
        let _one_reader = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = self.index.get() {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(read_index(self.id, &self.directory)?);
        Ok(Arc::clone(self.index.get_or_init(|| index)))
    }

    /// [`Self::index`] with other times.
    pub fn dated_index(&self, times: FileTimes) -> Result<Arc<ContentIndex>> {
        let index = self.index()?;
        Ok(match times {
            FileTimes::Own => index,
            times => Arc::new(index.dated(times, self.begun.map(made_since))),
        })
    }

    /// Keeps an index that was just written, so that nobody reads it again.
    pub(crate) fn keep_index(&self, index: Arc<ContentIndex>) {
        let _ = self.index.set(index);
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// When a layer was made. The history of an image shows it, and `rewrite-timestamp` needs to know what a step wrote itself: a
/// layer that comes from another store keeps both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerTimes {
    /// When it was finished.
    pub created: SystemTime,
    /// When its step began to write; absent for what older versions made.
    pub begun: Option<SystemTime>,
}

/// The oldest time that a step can have given to a file that it made: the kernel's clock for files lags behind by a tick.
fn made_since(begun_millis: i64) -> Mtime {
    /// A tick of the slowest clock that kernels are built with.
    const TICK_MILLIS: i64 = 10;
    let millis = begun_millis - TICK_MILLIS;
    Mtime {
        seconds: millis.div_euclid(1000),
        nanoseconds: millis.rem_euclid(1000) as u32 * 1_000_000,
    }
}

pub(crate) fn read_index(id: LayerId, directory: &Path) -> Result<ContentIndex> {
    let path = directory.join("index");
    let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
    ContentIndex::decode(&bytes).map_err(|source| StoreError::Layer { id, source })
}

/// What the row of a layer says of its files.
struct LayerRow {
    bytes: u64,
    begun: Option<i64>,
    boot: String,
    synced: bool,
}

impl Store {
    /// The layer `id`, if the store holds it, pinned until the handle is dropped. For a pulled layer, one made here with
    /// the same tar serves as well: an image that was built here may be the base of another.
    ///
    /// Nothing is handed out that is not whole: a row without a directory is dropped, and what an earlier boot may have
    /// left half on the disk is compared with its index first.
    pub fn layer(&self, id: &LayerId) -> Result<Option<Arc<Layer>>> {
        if let Some(layer) = self.layer_by_name(id)? {
            return Ok(Some(layer));
        }
        let LayerId::Pulled(diff_id) = id else {
            return Ok(None);
        };
        match self.layer_by_diff_id(diff_id)? {
            Some(made) => self.layer_by_name(&made),
            None => Ok(None),
        }
    }

    fn layer_by_name(&self, id: &LayerId) -> Result<Option<Arc<Layer>>> {
        if let Some(layer) = self.opened_layer(id) {
            return Ok(Some(layer));
        }
        let directory = self.paths().layer(id);
        let Some(pin) = pin(&directory)? else {
            self.drop_row_without_directory(id)?;
            return Ok(None);
        };
        let Some(row) = self.layer_row(id)? else {
            return Ok(None);
        };
        if !row.synced && row.boot != self.boot() && !self.survived_reboot(id, &directory)? {
            drop(pin);
            self.remove_layer(id, Removal::Always)?;
            return Ok(None);
        }
        let layer = Layer::new(*id, directory, row.bytes, row.begun, pin);
        Ok(Some(self.register(layer)))
    }

    /// When a layer was made and begun; see [`LayerTimes`].
    pub fn layer_times(&self, id: &LayerId) -> Result<Option<LayerTimes>> {
        self.db().read("read a layer's times", |db| {
            let found = db
                .prepare_cached("SELECT created, begun FROM layers WHERE id = ?1")?
                .query_row([id.to_string()], |row| {
                    Ok(LayerTimes {
                        created: time::from_millis(row.get(0)?),
                        begun: row.get::<_, Option<i64>>(1)?.map(time::from_millis),
                    })
                })
                .optional()?;
            Ok(found)
        })
    }

    /// When a layer came into this store. A step that runs again and gives the same contents gives the same layer, so
    /// the time that an image's history shows is that of the first run.
    pub fn layer_created(&self, id: &LayerId) -> Result<Option<SystemTime>> {
        self.db().read("read a layer's time", |db| {
            let found = db
                .prepare_cached("SELECT created FROM layers WHERE id = ?1")?
                .query_row([id.to_string()], |row| row.get(0))
                .optional()?;
            Ok(found.map(time::from_millis))
        })
    }

    /// All layers that have a row, sorted by name. They are not pinned: any may be gone when it is asked for.
    pub fn layer_ids(&self) -> Result<Vec<LayerId>> {
        self.db().read("list layers", |db| {
            let ids: Vec<String> = db
                .prepare_cached("SELECT id FROM layers ORDER BY id")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
        })
    }

    /// Enters a layer whose directory is in place.
    pub(crate) fn insert_layer(
        &self,
        id: &LayerId,
        bytes: u64,
        begun: i64,
        created: i64,
    ) -> Result<()> {
        let diff_id = own_diff_id(id);
        self.db().write("enter a layer", |db| {
            db.prepare_cached(
                "INSERT INTO layers (id, diff_id, tar_bytes, bytes, created, boot, begun)
                 VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                id.to_string(),
                diff_id,
                bytes as i64,
                created,
                self.boot(),
                begun
            ])?;
            Ok(())
        })
    }

    pub(crate) fn has_layer_row(&self, id: &LayerId) -> Result<bool> {
        Ok(self.layer_row(id)?.is_some())
    }

    /// Makes a handle known in this process; if another thread was faster, gives its handle.
    pub(crate) fn register(&self, layer: Layer) -> Arc<Layer> {
        let mut open = self.open_layers();
        if let Some(known) = open.get(&layer.id()).and_then(Weak::upgrade) {
            return known;
        }
        if open.len() >= 64 && open.len().is_power_of_two() {
            open.retain(|_, handle| handle.strong_count() > 0);
        }
        let layer = Arc::new(layer);
        open.insert(layer.id(), Arc::downgrade(&layer));
        layer
    }

    fn opened_layer(&self, id: &LayerId) -> Option<Arc<Layer>> {
        self.open_layers().get(id).and_then(Weak::upgrade)
    }

    fn layer_row(&self, id: &LayerId) -> Result<Option<LayerRow>> {
        self.db().read("read a layer", |db| {
            let row = db
                .prepare_cached("SELECT bytes, boot, synced, begun FROM layers WHERE id = ?1")?
                .query_row([id.to_string()], |row| {
                    Ok(LayerRow {
                        bytes: row.get::<_, i64>(0)? as u64,
                        boot: row.get(1)?,
                        synced: row.get(2)?,
                        begun: row.get(3)?,
                    })
                })
                .optional()?;
            Ok(row)
        })
    }

    /// Somebody removed the directory by hand, or a crash lost it: forget the row, unless a commit has put a
    /// directory there meanwhile (its row comes after its directory, and so after this change).
    fn drop_row_without_directory(&self, id: &LayerId) -> Result<()> {
        if !self.has_layer_row(id)? {
            return Ok(());
        }
        let directory = self.paths().layer(id);
        self.db().write("forget a layer", |db| {
            if !directory.exists() {
                db.prepare_cached("DELETE FROM layers WHERE id = ?1")?
                    .execute([id.to_string()])?;
            }
            Ok(())
        })
    }

    /// Whether a layer that another boot wrote and nobody synced is as its index says, byte for byte; if so,
    /// it counts as written in this boot.
    fn survived_reboot(&self, id: &LayerId, directory: &Path) -> Result<bool> {
        if !is_whole(*id, directory) {
            return Ok(false);
        }
        self.db().write("mark a layer as checked", |db| {
            db.prepare_cached("UPDATE layers SET boot = ?2 WHERE id = ?1")?
                .execute(params![id.to_string(), self.boot()])?;
            Ok(true)
        })
    }
}

/// Share-locks a layer's directory; waits while the collector decides on it. `None` if it is not there.
fn pin(directory: &Path) -> Result<Option<OwnedFd>> {
    flock::wait_for("a layer", &|| false, || {
        Ok(match flock::try_directory(directory, Hold::Shared)? {
            Attempt::Got(pin) => Some(Some(pin)),
            Attempt::Missing => Some(None),
            Attempt::Busy => None,
        })
    })
}

/// A 32-byte column as a digest.
pub(crate) fn digest_column(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    Ok(Digest::from_sha256_bytes(row.get::<_, [u8; 32]>(column)?))
}
