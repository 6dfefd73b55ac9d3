//! Layers in the making.
//!
//! ```text
//! tmp/<lease>/draft-<n>/layer/diff    where the files go; an overlay's upper directory, or a writer's target
//! tmp/<lease>/draft-<n>/layer/index   written by the commit; then `layer` is renamed to layers/<id>
//! tmp/<lease>/draft-<n>/work          the overlay's work directory
//! ```

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rbuild_image::LayerId;
use rbuild_layer::ContentIndex;
use rustix::fs::{CWD, RenameFlags, Timestamps};
use rustix::io::Errno;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::flock::{self, Attempt, Hold};
use crate::layer::{Layer, LayerTimes};
use crate::lease::Lease;
use crate::store::open_directory;
use crate::time;

/// Attributes of a new layer's root directory. With overlayfs the topmost layer's root is what the step sees as `/`,
/// so a layer takes these from the one below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootAttributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of modification; `None`: now.
    pub mtime: Option<SystemTime>,
}

impl Default for RootAttributes {
    /// `drwxr-xr-x root root`.
    fn default() -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: None,
        }
    }
}

impl RootAttributes {
    /// The attributes that the root directory of `layer` has.
    pub fn of(layer: &Layer) -> Result<Self> {
        let path = layer.diff_path();
        let stat = rustix::fs::lstat(&path).map_err(StoreError::io("look at", &path))?;
        let seconds = Duration::from_secs(stat.st_mtime.max(0) as u64);
        let nanoseconds = Duration::from_nanos(stat.st_mtime_nsec as u64);
        Ok(Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Some(SystemTime::UNIX_EPOCH + seconds + nanoseconds),
        })
    }
}

/// A layer that is being written. Dropped without [`Store::commit_layer`], it is thrown away; if the process dies,
/// the next sweep does that.
#[derive(Debug)]
pub struct LayerDraft {
    store: Store,
    directory: PathBuf,
    /// When it was begun, in milliseconds after 1970: what is written to it now is not older.
    begun: i64,
    /// When a layer that was made elsewhere was made; absent: now.
    created: Option<i64>,
    // Keeps the lease, and with it the directory, until the draft is gone.
    _lease: Arc<Lease>,
}

impl LayerDraft {
    /// Gives the layer's root directory these attributes again.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn set_root(&self, root: &RootAttributes) -> Result<()> {
        set_root(&self.diff_path(), root)
    }

    /// Where the files go.
    pub fn diff_path(&self) -> PathBuf {
        self.layer_path().join("diff")
    }

    /// [`Self::diff_path`], opened.
    pub fn open_diff(&self) -> Result<OwnedFd> {
        open_directory(&self.diff_path())
    }

    /// An empty directory on the same file system, for overlayfs to work in.
    pub fn work_path(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// The layer is one that another store has: it keeps the times that it has there.
    pub fn made_elsewhere(&mut self, times: LayerTimes) {
        self.created = Some(time::to_millis(times.created));
        self.begun = time::to_millis(times.begun.unwrap_or(times.created));
    }

    fn layer_path(&self) -> PathBuf {
        self.directory.join("layer")
    }
}

impl Drop for LayerDraft {
    fn drop(&mut self) {
        // What stays behind is swept once the lease is gone.
        let _ = self.store.throw_away(&self.directory);
    }
}

impl Store {
    /// Begins a layer whose root directory has the attributes `root`. An owner or group that this user
    /// namespace cannot give is left out.
    pub fn draft(&self, root: &RootAttributes) -> Result<LayerDraft> {
        let lease = self.lease()?;
        let directory = lease.fresh("draft");
        let draft = LayerDraft {
            store: self.clone(),
            directory,
            begun: self.now_millis(),
            created: None,
            _lease: lease,
        };
        make(&draft.directory)?;
        make(&draft.work_path())?;
        make(&draft.layer_path())?;
        make(&draft.diff_path())?;
        set_root(&draft.diff_path(), root)?;
        Ok(draft)
    }

    /// Makes `draft` the layer `id`, whose contents are `index`. The overlay that wrote it must be unmounted.
    ///
    /// Where the store has that layer, or another process is faster, the draft is thrown away and the known layer is
    /// returned. Nothing is visible to others before all of it is there.
    pub fn commit_layer(
        &self,
        draft: LayerDraft,
        index: impl Into<Arc<ContentIndex>>,
        id: LayerId,
    ) -> Result<Arc<Layer>> {
        if let Some(known) = self.layer(&id)? {
            return Ok(known);
        }
        let index = index.into();
        let source = draft.layer_path();
        let bytes = index.file_bytes();
        let index_path = source.join("index");
        fs::write(&index_path, index.encode()).map_err(StoreError::io("write", &index_path))?;
        let pin = open_directory(&source)?;
        flock::lock_now(&pin, Hold::Shared).map_err(StoreError::io("lock", &source))?;
        let directory = self.paths().layer(&id);
        if let Some(known) = self.put_in_place(&source, &directory, &id)? {
            return Ok(known);
        }
        let created = draft.created.unwrap_or_else(|| self.now_millis());
        self.insert_layer(&id, bytes, draft.begun, created)?;
        let layer = Layer::new(id, directory, bytes, Some(draft.begun), pin);
        layer.keep_index(index);
        drop(draft); // what is left of it goes
        Ok(self.register(layer))
    }

    /// Renames a finished layer to its place, or finds that a known layer is there.
    fn put_in_place(
        &self,
        source: &Path,
        directory: &Path,
        id: &LayerId,
    ) -> Result<Option<Arc<Layer>>> {
        flock::wait_for("a layer's place", &|| false, || {
            match rustix::fs::renameat_with(CWD, source, CWD, directory, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(Some(None)),
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(error) => return Err(StoreError::io("rename", source)(error)),
            }
            if let Some(known) = self.layer(id)? {
                return Ok(Some(Some(known)));
            }
            // No row: whoever put it there holds it and is about to enter it, or is dead.
            self.discard_unknown(directory, id)?;
            Ok(None)
        })
    }

    /// Throws away a directory under `layers/` that has no row and no living owner. Tells whether it did.
    pub(crate) fn discard_unknown(&self, directory: &Path, id: &LayerId) -> Result<bool> {
        let Attempt::Got(lock) = flock::try_directory(directory, Hold::Exclusive)? else {
            return Ok(false);
        };
        if self.has_layer_row(id)? {
            return Ok(false);
        }
        self.throw_away(directory)?;
        drop(lock);
        Ok(true)
    }

    /// [`Self::discard_unknown`] for all of `layers/`.
    pub(crate) fn sweep_unknown_layers(&self) -> Result<usize> {
        let mut discarded = 0;
        for directory in crate::lease::list(&self.paths().layers())? {
            let name = directory.file_name().and_then(|name| name.to_str());
            match name.and_then(|name| name.parse().ok()) {
                Some(id) if self.has_layer_row(&id)? => {}
                Some(id) => discarded += usize::from(self.discard_unknown(&directory, &id)?),
                None => {
                    self.throw_away(&directory)?;
                    discarded += 1;
                }
            }
        }
        Ok(discarded)
    }
}

fn make(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(StoreError::io("create", path))
}

fn set_root(path: &Path, root: &RootAttributes) -> Result<()> {
    match std::os::unix::fs::chown(path, Some(root.uid), Some(root.gid)) {
        // A single-id map, or no root: the layer's index keeps what is true of its entries.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::InvalidInput
            ) => {}
        outcome => outcome.map_err(StoreError::io("change the owner of", path))?,
    }
    fs::set_permissions(path, fs::Permissions::from_mode(root.mode))
        .map_err(StoreError::io("change the mode of", path))?;
    let Some(mtime) = root.mtime else {
        return Ok(());
    };
    let since = mtime
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let time = rustix::fs::Timespec {
        tv_sec: since.as_secs() as i64,
        tv_nsec: since.subsec_nanos().into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::empty())
        .map_err(StoreError::io("set the times of", path))
}
