//! Cache mounts: directories that steps share between builds (`RUN --mount=type=cache`).
//!
//! ```text
//! mounts/<key>/meta.json        the id and what it is seeded from: sha256 over both is <key>
//! mounts/<key>/<n>/data         what the step sees; 0 unless private mounts ran side by side
//! mounts/<key>/<n>/seeded       there once `data` holds what it shall begin with
//! ```
//!
//! `mounts/<key>/<n>` is locked while a step uses it: shared by `shared` ones, exclusively by the others. The lock is on
//! the directory above `data`, so a step that locks its own cache directory does not meet ours.
//!
//! A *placed* mount has its data in a directory of the user's instead. The store has only what is locked for it, and nobody
//! here lists, prunes or removes it; private users of it take turns.

mod contents;
mod list;
mod place;
mod transfer;

use std::fs::{self, File, FileTimes};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rbuild_image::Digest;
use serde::{Deserialize, Serialize};

pub use self::list::CacheMount;
use crate::Store;
use crate::error::{Result, StoreError};
use crate::flock::{self, Attempt, Hold};
use crate::lease::{list, random_name};
use crate::lock::LockGuard;

/// Who may use a cache mount at the same time (`sharing=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheSharing {
    /// Any number of steps.
    Shared,
    /// One step; another one gets a directory of its own.
    Private,
    /// One step; another one waits.
    Locked,
}

/// Which cache mount, and how it begins.
#[derive(Debug, Clone, Copy)]
pub struct CacheMountSpec<'a> {
    /// `id=`, by default the target path.
    pub id: &'a str,
    /// What `from=` and `source=` name, by content, and owner and mode where they are not the usual ones; empty if it
    /// begins empty and as usual. Part of the mount's identity.
    pub seed: &'a str,
    /// `sharing=`.
    pub sharing: CacheSharing,
    /// `mode=`, of a new directory.
    pub mode: u32,
    /// `uid=`, of a new directory.
    pub uid: u32,
    /// `gid=`, of a new directory.
    pub gid: u32,
    /// The user's directory that it is to be, instead of one of the store's. Whatever its seed, an id is one mount then.
    pub place: Option<&'a Path>,
}

impl<'a> CacheMountSpec<'a> {
    /// The shared mount of `id` that begins empty, with the usual attributes.
    pub fn plain(id: &'a str) -> Self {
        Self {
            id,
            seed: "",
            sharing: CacheSharing::Shared,
            mode: 0o755,
            uid: 0,
            gid: 0,
            place: None,
        }
    }
}

/// Whether a cache mount holds what it shall begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFill {
    /// It is ready for the step.
    Ready,
    /// The caller copies the seed into it, then says [`CacheMountGuard::seeded`]. Nobody else uses it meanwhile.
    Unseeded,
}

/// Who fills a new mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filler {
    /// The caller, if there is a seed.
    OfSeed,
    /// The caller.
    Caller,
}

/// Keeps a cache mount in use until it is dropped or the process ends.
#[derive(Debug)]
#[must_use = "the mount is free as soon as the guard is dropped"]
pub struct CacheMountGuard {
    directory: PathBuf,
    data: PathBuf,
    /// Held while the mount is unseeded, so that one of those who have it open seeds it.
    seeding: Option<LockGuard>,
    _lock: OwnedFd,
}

impl CacheMountGuard {
    /// The directory to mount.
    pub fn path(&self) -> PathBuf {
        self.data.clone()
    }

    /// Whether it must be seeded first.
    pub fn fill(&self) -> CacheFill {
        match self.seeding {
            Some(_) => CacheFill::Unseeded,
            None => CacheFill::Ready,
        }
    }

    /// Says that the seed is in place, and lets other users of a shared mount in.
    pub fn seeded(&mut self) -> Result<()> {
        let marker = self.directory.join("seeded");
        File::create(&marker).map_err(StoreError::io("create", &marker))?;
        self.seeding = None;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Meta {
    id: String,
    seed: String,
    #[serde(default)]
    sharing: Option<CacheSharing>,
    /// Where it is, if it is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

impl Store {
    /// Gives the directory of a cache mount, made if it is new. Where it is in use otherwise than `sharing` allows,
    /// waits, or takes another (`private`). `cancelled` is asked every few milliseconds.
    ///
    /// Fails with [`StoreError::Cancelled`] when told so.
    pub fn cache_mount(
        &self,
        spec: &CacheMountSpec<'_>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<CacheMountGuard> {
        self.take_cache_mount(spec, Filler::OfSeed, cancelled)
    }

    /// As [`Self::cache_mount`], but a new mount is [`CacheFill::Unseeded`] whatever its seed: the caller may know what it is to
    /// begin with.
    pub fn cache_mount_to_fill(
        &self,
        spec: &CacheMountSpec<'_>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<CacheMountGuard> {
        self.take_cache_mount(spec, Filler::Caller, cancelled)
    }

    fn take_cache_mount(
        &self,
        spec: &CacheMountSpec<'_>,
        filler: Filler,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<CacheMountGuard> {
        let top = self.paths().mounts().join(cache_mount_key(spec));
        let what = format!("cache mount {}", spec.id);
        flock::wait_for(&what, cancelled, || {
            self.note_mount(&top, spec)?;
            if spec.sharing != CacheSharing::Private || spec.place.is_some() {
                return self.claim(&top.join("0"), spec, filler);
            }
            if let Some(guard) = self.claim_known(&top, spec, filler)? {
                return Ok(Some(guard));
            }
            // Removed as a whole in between, it is made anew by the next attempt.
            for number in (0..).take_while(|_| top.exists()) {
                if let Some(guard) = self.claim(&top.join(number.to_string()), spec, filler)? {
                    return Ok(Some(guard));
                }
            }
            Ok(None)
        })
    }

    /// Takes one of the directories that there are. Who only looks whether they are in use holds them for a moment: that is
    /// no reason to begin with an empty one.
    fn claim_known(
        &self,
        top: &Path,
        spec: &CacheMountSpec<'_>,
        filler: Filler,
    ) -> Result<Option<CacheMountGuard>> {
        const MOMENT: Duration = Duration::from_millis(2);
        for attempt in 0..3 {
            for directory in instances(top)? {
                if let Some(guard) = self.claim(&directory, spec, filler)? {
                    return Ok(Some(guard));
                }
            }
            if attempt < 2 {
                std::thread::sleep(MOMENT);
            }
        }
        Ok(None)
    }

    /// Takes `directory` for a step, made if it is not there; `None` if others use it.
    fn claim(
        &self,
        directory: &Path,
        spec: &CacheMountSpec<'_>,
        filler: Filler,
    ) -> Result<Option<CacheMountGuard>> {
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if !expected(&error) => {
                return Err(StoreError::io("create", directory)(error));
            }
            _ => {}
        }
        let hold = match spec.sharing {
            CacheSharing::Shared => Hold::Shared,
            CacheSharing::Private | CacheSharing::Locked => Hold::Exclusive,
        };
        let Attempt::Got(lock) = flock::try_directory(directory, hold)? else {
            return Ok(None);
        };
        let mut guard = CacheMountGuard {
            directory: directory.to_owned(),
            data: match spec.place {
                Some(place) => place.to_owned(),
                None => directory.join("data"),
            },
            seeding: None,
            _lock: lock,
        };
        if is_ready(directory, spec)? {
            return Ok(Some(guard));
        }
        let Some(seeding) = self.try_lock(&format!("seed {}", directory.display()))? else {
            return Ok(None);
        };
        if !is_ready(directory, spec)? {
            let begun = match spec.place {
                Some(place) => place::begin(place, spec)?,
                None => begin_data(&guard.data, spec).map(|()| place::Begun::Empty)?,
            };
            guard.seeding = Some(seeding);
            let is_empty = spec.seed.is_empty() && filler == Filler::OfSeed;
            if is_empty || begun == place::Begun::Full {
                guard.seeded()?;
            }
        }
        Ok(Some(guard))
    }

    /// Makes the mount's place if it is new, and notes the use as the time of its `meta.json`.
    fn note_mount(&self, top: &Path, spec: &CacheMountSpec<'_>) -> Result<()> {
        let path = top.join("meta.json");
        let meta = Meta {
            id: spec.id.to_owned(),
            seed: spec.seed.to_owned(),
            sharing: Some(spec.sharing),
            place: spec.place.map(|place| place.to_string_lossy().into_owned()),
        };
        let text = serde_json::to_string(&meta).expect("strings are plain JSON");
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            match crate::store::make_directory(top) {
                // Removed while it was looked at: asked again by the caller's loop.
                Err(StoreError::Io { source, .. }) if expected(&source) => return Ok(()),
                outcome => outcome?,
            }
            let draft = top.join(format!("meta-{}", random_name()));
            match fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)) {
                // Removed in this instant: asked again by the caller's loop.
                Err(error) if flock::is_missing(&error) => return Ok(()),
                outcome => outcome.map_err(StoreError::io("write", &path))?,
            }
        }
        let times = FileTimes::new().set_modified(self.now());
        match File::options().write(true).open(&path) {
            Ok(file) => file
                .set_times(times)
                .map_err(StoreError::io("set the times of", path)),
            Err(error) if flock::is_missing(&error) => Ok(()),
            Err(error) => Err(StoreError::io("open", path)(error)),
        }
    }
}

/// `sha256(id, NUL, seed)`; the name of a directory, so a change loses every cache mount that there is. Of a placed one, it is
/// the place that counts.
pub fn cache_mount_key(spec: &CacheMountSpec<'_>) -> String {
    match spec.place {
        None => Digest::sha256_of(format!("{}\0{}", spec.id, spec.seed).as_bytes()).hex(),
        Some(place) => {
            let place = place.as_os_str().as_encoded_bytes();
            Digest::sha256_of(&[b"\0\0", place].concat()).hex()
        }
    }
}

/// Whether a mount holds what it shall begin with.
fn is_ready(directory: &Path, spec: &CacheMountSpec<'_>) -> Result<bool> {
    Ok(directory.join("seeded").exists()
        && match spec.place {
            Some(place) => !place::is_empty(place)?,
            None => true,
        })
}

/// An empty `data`. What a seeding that was cut off left there goes.
fn begin_data(data: &Path, spec: &CacheMountSpec<'_>) -> Result<()> {
    let top = data.parent().expect("data lies in its instance");
    let parent = crate::store::open_directory(top)?;
    crate::remove::remove_tree(&parent, b"data").map_err(StoreError::io("remove", data))?;
    fs::create_dir(data).map_err(StoreError::io("create", data))?;
    set_attributes(data, spec)
}

/// Gives a new directory its owner and mode.
fn set_attributes(data: &Path, spec: &CacheMountSpec<'_>) -> Result<()> {
    match std::os::unix::fs::chown(data, Some(spec.uid), Some(spec.gid)) {
        // A single-id map knows no other owner.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::InvalidInput
            ) => {}
        outcome => outcome.map_err(StoreError::io("change the owner of", data))?,
    }
    fs::set_permissions(data, fs::Permissions::from_mode(spec.mode))
        .map_err(StoreError::io("change the mode of", data))
}

/// Whether making a directory failed because it is there, or what it lies in was just removed.
fn expected(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::AlreadyExists || flock::is_missing(error)
}

/// The directories `<n>` of a mount.
fn instances(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = list(top)?;
    found.retain(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.parse::<u32>().is_ok())
    });
    Ok(found)
}
