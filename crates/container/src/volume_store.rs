//! Named volumes: directories that outlive containers.
//!
//! ```text
//! volumes/<name>/_data         what containers see
//! volumes/<name>/volume.json   its labels, and when it was made
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rbuild_sandbox::{copy_directory, mount_view};
use rbuild_store::{LockGuard, Store};
use rbuild_sys::openat2;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};

use crate::directories::replace_file;
use crate::mount_options::{Naming, Volume};
use crate::{ContainerError, ContainerId, Options, StoredConfig, names};

/// Below the store's root.
const VOLUMES: &str = "volumes";
/// The directory with what containers see.
const DATA: &str = "_data";
/// What is known of it.
const FACTS: &str = "volume.json";
/// Docker's label of volumes that nobody gave a name.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedVolume {
    /// Its name.
    pub name: String,
    /// Where its files are.
    pub data: PathBuf,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created: SystemTime,
}

/// Nobody else makes or removes volumes, or containers that have some.
#[derive(Debug)]
pub(crate) struct Volumes<'a> {
    store: &'a Store,
    _lock: LockGuard,
}

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    labels: BTreeMap<String, String>,
    created: SystemTime,
}

/// Makes the volume `name`, if it is not there yet.
pub fn create_volume(
    store: &Store,
    name: &str,
    labels: BTreeMap<String, String>,
    now: SystemTime,
) -> Result<NamedVolume, ContainerError> {
    Volumes::lock(store)?.create(name, labels, now)
}

/// The volume `name`, if there is one.
pub fn volume(store: &Store, name: &str) -> Result<Option<NamedVolume>, ContainerError> {
    if names::check(name).is_err() {
        return Ok(None);
    }
    let directory = place(store.root(), name);
    let bytes = match fs::read(directory.join(FACTS)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(ContainerError::Create {
                path: directory,
                source,
            });
        }
    };
    let facts: Facts = serde_json::from_slice(&bytes).map_err(|error| ContainerError::Create {
        path: directory.clone(),
        source: error.into(),
    })?;
    Ok(Some(NamedVolume {
        name: name.to_owned(),
        data: directory.join(DATA),
        labels: facts.labels,
        created: facts.created,
    }))
}

/// All volumes, by name.
pub fn volumes(store: &Store) -> Result<Vec<NamedVolume>, ContainerError> {
    let directory = store.root().join(VOLUMES);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(ContainerError::Create {
                path: directory,
                source,
            });
        }
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let found = names.iter().map(|name| volume(store, name));
    Ok(found
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// The names of the containers that have a volume. What cannot be read may have any.
pub fn volume_users(store: &Store, name: &str) -> Result<Vec<String>, ContainerError> {
    let containers = store.containers()?;
    let user = |container: rbuild_store::Container| {
        let id = ContainerId::from_store(&container.id);
        match StoredConfig::from_json(&id, &container.config) {
            Ok(config) => config.options.has_volume(name).then_some(container.name),
            Err(_) => Some(format!(
                "{} (made by another version of rbuild: nobody knows what it has; remove it first)",
                container.name
            )),
        }
    };
    Ok(containers.into_iter().filter_map(user).collect())
}

impl Options {
    fn has_volume(&self, name: &str) -> bool {
        let mut named = self.volumes.iter().filter_map(|one| one.name.as_deref());
        named.any(|own| own == name)
    }
}

/// Removes a volume that no container has, with all that is in it.
pub fn remove_volume(store: &Store, name: &str) -> Result<(), ContainerError> {
    Volumes::lock(store)?.throw_away(name)?;
    store.empty_trash()?;
    Ok(())
}

impl<'a> Volumes<'a> {
    /// Waits until nobody else does.
    pub(crate) fn lock(store: &'a Store) -> Result<Self, ContainerError> {
        let lock = store.lock(VOLUMES, &|| false)?;
        Ok(Self { store, _lock: lock })
    }

    fn create(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        now: SystemTime,
    ) -> Result<NamedVolume, ContainerError> {
        names::check(name)?;
        if let Some(known) = volume(self.store, name)? {
            return Ok(known);
        }
        let directory = place(self.store.root(), name);
        let failed = |source| ContainerError::Create {
            path: directory.clone(),
            source,
        };
        // What containers write belongs to users of theirs; nobody else gets in.
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(&directory).map_err(failed)?;
        let mut public = fs::DirBuilder::new();
        public.recursive(true).mode(0o755);
        public.create(directory.join(DATA)).map_err(failed)?;
        let facts = Facts {
            labels,
            created: now,
        };
        let text = serde_json::to_vec(&facts).expect("facts are plain JSON");
        // Renamed into place: a volume is known by this file.
        replace_file(&directory, FACTS, &text).map_err(failed)?;
        volume(self.store, name)?.ok_or_else(|| missing(name))
    }

    /// At once and whole: killed on the way, it is there as it was, or not at all.
    fn throw_away(&self, name: &str) -> Result<(), ContainerError> {
        if volume(self.store, name)?.is_none() {
            return Err(missing(name));
        }
        let users = volume_users(self.store, name)?;
        if !users.is_empty() {
            return Err(ContainerError::VolumeInUse {
                name: name.to_owned(),
                users: users.join(", "),
            });
        }
        Ok(self.store.throw_away(&place(self.store.root(), name))?)
    }

    /// Makes those of a new container's volumes that are not there, and fills what is empty with the image's files at
    /// their places. `layers` are the image's, bottom first.
    pub(crate) fn provide(
        &self,
        volumes: &[Volume],
        layers: &[PathBuf],
        now: SystemTime,
    ) -> Result<(), ContainerError> {
        let mut image = None;
        for volume in volumes {
            let Some(name) = &volume.name else { continue };
            let labels = match volume.naming {
                Naming::Given => BTreeMap::new(),
                Naming::MadeUp => anonymous(),
            };
            let made = self.create(name, labels, now)?;
            if !layers.is_empty() && is_empty(&made.data)? {
                let image = match &image {
                    Some(image) => image,
                    None => image.insert(image_view(layers)?),
                };
                fill(image, &volume.target, &made.data)?;
            }
        }
        Ok(())
    }

    /// Makes the directory `own` the anonymous volume `name`, unless that was done before.
    pub(crate) fn adopt(
        &self,
        own: &Path,
        name: &str,
        now: SystemTime,
    ) -> Result<(), ContainerError> {
        let made = self.create(name, anonymous(), now)?;
        match fs::rename(own, &made.data) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ContainerError::Create {
                    path: made.data,
                    source,
                })
            }
            _ => Ok(()),
        }
    }
}

/// The labels of a volume that nobody gave a name.
fn anonymous() -> BTreeMap<String, String> {
    BTreeMap::from([(ANONYMOUS_LABEL.to_owned(), String::new())])
}

/// The image's files. Nothing can be written there.
fn image_view(layers: &[PathBuf]) -> Result<OwnedFd, ContainerError> {
    let top_first: Vec<&PathBuf> = layers.iter().rev().collect();
    Ok(mount_view(&top_first, None)?)
}

fn is_empty(directory: &Path) -> Result<bool, ContainerError> {
    let entries = fs::read_dir(directory).map_err(|source| ContainerError::Create {
        path: directory.to_owned(),
        source,
    })?;
    Ok(entries.take(1).count() == 0)
}

/// Copies what the image has at `target`, and the owner and mode of that directory.
fn fill(image: &OwnedFd, target: &Path, data: &Path) -> Result<(), ContainerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let Ok(own) = openat2(image, target, flags, Mode::empty(), resolve) else {
        // The image has nothing there, or no directory.
        return Ok(());
    };
    let copied = fs::File::open(data).and_then(|data| copy_directory(&own, &data.into()));
    copied.map_err(|source| ContainerError::Create {
        path: data.to_owned(),
        source,
    })
}

/// Removes those volumes that nobody gave a name and no other container has.
pub(crate) fn remove_anonymous(store: &Store, volumes: &[Volume]) -> Result<(), ContainerError> {
    let anonymous = volumes.iter().filter(|one| one.naming == Naming::MadeUp);
    for name in anonymous.filter_map(|one| one.name.as_deref()) {
        match remove_volume(store, name) {
            Ok(())
            | Err(ContainerError::VolumeInUse { .. } | ContainerError::MissingVolume { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn missing(name: &str) -> ContainerError {
    ContainerError::MissingVolume {
        name: name.to_owned(),
    }
}

/// Where the files of the volume `name` of a store at `root` are.
pub(crate) fn data(root: &Path, name: &str) -> PathBuf {
    place(root, name).join(DATA)
}

/// Where the volume `name` of a store at `root` is.
fn place(root: &Path, name: &str) -> PathBuf {
    root.join(VOLUMES).join(name)
}
