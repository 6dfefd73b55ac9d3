//! A container's life: created, started, removed.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rbuild_image::{Digest, LayerId, RuntimeConfig};
use rbuild_sandbox::{Merged, Root, Spec};
use rbuild_store::{Container, LockGuard, NewContainer, Store, StoreError};

use crate::cgroup::Cgroup;
use crate::condition::Condition;
use crate::directories::{self, Directories};
use crate::hosts::NameFiles;
use crate::link::{Link, Message, Start, Tie};
use crate::network_change::NetworkChange;
use crate::options::Cleanup;
use crate::session::{Attachment, Outcome, Session};
use crate::spec::{Surroundings, specification};
use crate::supervisor::{launch, lock_name};
use crate::volume_store::{self, Volumes};
use crate::volumes::Mounts;
use crate::{
    ContainerError, ContainerId, HostFiles, Options, Seed, StoredConfig, control, names, network,
    older,
};

/// What a container is made from; its layers are extracted already.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// As the user named it.
    pub name: &'a str,
    /// Its manifest.
    pub manifest: Option<&'a Digest>,
    /// How it wants to be run.
    pub config: &'a RuntimeConfig,
    /// Its layers, bottom first, so that the store keeps them.
    pub layers: &'a [LayerId],
    /// The same layers' directories, bottom first.
    pub directories: &'a [PathBuf],
}

/// Makes a container's row and its directories.
pub fn create(
    store: &Store,
    image: Image<'_>,
    options: &Options,
    seed: Seed,
) -> Result<Container, ContainerError> {
    options.check()?;
    // A container that could never start is not made.
    crate::command_line(options, image.config)?;
    let id = ContainerId::from_seed(seed);
    let mut options = options.clone().with_anonymous_volumes(image.config, seed);
    options.name_host();
    let config = StoredConfig::new(options.clone(), image.config.clone()).to_json();
    // From the row on, nobody takes its volumes away.
    let named = options.volumes.iter().any(|one| one.name.is_some());
    let volumes = named.then(|| Volumes::lock(store)).transpose()?;
    let container = enter(store, image, &options, seed, (&id, &config))?;
    let directories = Directories::new(store.container_path(id.as_str()));
    let made = directories
        .create(image.directories.last().map(PathBuf::as_path))
        .and_then(|()| match &volumes {
            Some(all) => all.provide(&options.volumes, image.directories, container.created),
            None => Ok(()),
        });
    drop(volumes);
    if let Err(error) = made {
        store.remove_container(id.as_str())?;
        volume_store::remove_anonymous(store, &options.volumes)?;
        return Err(error);
    }
    Ok(container)
}

/// Enters the row, under the user's name or the first generated one that is free.
fn enter(
    store: &Store,
    image: Image<'_>,
    options: &Options,
    seed: Seed,
    (id, config): (&ContainerId, &str),
) -> Result<Container, ContainerError> {
    let mut attempt = 0;
    loop {
        let name = match &options.name {
            Some(name) => name.clone(),
            None => names::generate(seed, attempt),
        };
        let created = store.create_container(&NewContainer {
            id: id.as_str(),
            name: &name,
            image: image.manifest,
            image_name: image.name,
            config,
            layers: image.layers,
        });
        match created {
            Err(StoreError::NameTaken { .. }) if options.name.is_none() => attempt += 1,
            other => return Ok(other?),
        }
    }
}

/// The directories of a container's layers, bottom first. The store keeps them as long as there is the container.
pub fn layer_directories(
    store: &Store,
    container: &Container,
) -> Result<Vec<PathBuf>, ContainerError> {
    let layers = container.layers.iter().map(|id| match store.layer(id)? {
        Some(layer) => Ok(layer.diff_path()),
        None => Err(ContainerError::LayerGone {
            id: ContainerId::from_store(&container.id).short().to_owned(),
            layer: id.to_string(),
        }),
    });
    layers.collect()
}

/// Starts a container that does not run, and leaves it to its supervisor. `layers` are its layers' directories, bottom
/// first. That somebody else has started it meanwhile is fine.
pub fn start_detached(
    store: &Store,
    container: &Container,
    layers: &[PathBuf],
    host: &HostFiles,
) -> Result<(), ContainerError> {
    let start = Start {
        layers: layers.to_vec(),
        size: None,
        tie: Tie::Detached,
        direct: [false; 3],
    };
    match begin(store, container, start, host, &[]) {
        Err(_) if is_started(store, &container.id) => Ok(()),
        other => other.map(drop),
    }
}

/// Whether somebody else has started the container, or is just about to.
fn is_started(store: &Store, id: &str) -> bool {
    let is_active =
        || matches!(store.container(id), Ok(Some(one)) if Condition::of(&one).is_active());
    // Nobody gives the lock up before it runs, or cannot be started.
    drop(store.lock(&lock_name(id), &is_active));
    is_active()
}

/// Starts a container that does not run, with the user's streams connected to it until it ends.
pub fn start_attached(
    store: &Store,
    container: &Container,
    layers: &[PathBuf],
    host: &HostFiles,
    attachment: Attachment<'_>,
) -> Result<Outcome, ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let config = StoredConfig::from_json(&id, &container.config)?;
    let session = Session::new(store, container, &config.options, attachment)?;
    let (direct, streams) = session.direct();
    let start = Start {
        layers: layers.to_vec(),
        size: session.size(),
        tie: Tie::Attached,
        direct,
    };
    let link = begin(store, container, start, host, &streams)?;
    session.run(&link)
}

/// Creates a container, runs it in the foreground and tells its exit status: its own, or 128 and the signal that ended
/// it. With [`Cleanup::Remove`] nothing of it is left, also when it cannot be started.
pub fn run(
    store: &Store,
    image: Image<'_>,
    options: &Options,
    seed: Seed,
    host: &HostFiles,
    attachment: Attachment<'_>,
) -> Result<Outcome, ContainerError> {
    attachment.check(options)?;
    let container = create(store, image, options, seed)?;
    let outcome = start_attached(store, &container, image.directories, host, attachment);
    clean_up_after(store, &container, options, outcome)
}

/// As [`run`], but does not wait for the end.
pub fn run_detached(
    store: &Store,
    image: Image<'_>,
    options: &Options,
    seed: Seed,
    host: &HostFiles,
) -> Result<Container, ContainerError> {
    let container = create(store, image, options, seed)?;
    let outcome = start_detached(store, &container, image.directories, host);
    clean_up_after(store, &container, options, outcome)?;
    Ok(container)
}

/// A container that did not come to run has no supervisor that would remove it.
fn clean_up_after<T>(
    store: &Store,
    container: &Container,
    options: &Options,
    outcome: Result<T, ContainerError>,
) -> Result<T, ContainerError> {
    if outcome.is_err() && options.cleanup == Cleanup::Remove {
        // Why it could not run says more than why it could not be removed.
        let _ = remove(store, &container.id, AnonymousVolumes::Removed);
    }
    outcome
}

fn begin(
    store: &Store,
    container: &Container,
    start: Start,
    host: &HostFiles,
    streams: &[BorrowedFd<'_>],
) -> Result<Link, ContainerError> {
    refuse_active(container, "start")?;
    older::bring_up(store, container)?;
    let id = ContainerId::from_store(&container.id);
    host.write(&store.container_path(&container.id))
        .map_err(ContainerError::Supervise)?;
    network::sweep(store);
    launch(store, &id, start, streams)
}

/// All that the sandbox needs to know of a container.
pub(crate) fn prepare(
    store: &Store,
    id: &ContainerId,
    config: &StoredConfig,
    layers: &[PathBuf],
    files: &NameFiles<'_>,
) -> Result<Spec, ContainerError> {
    let own = Directories::new(store.container_path(id.as_str()));
    let named = |name: &str| volume_store::data(store.root(), name);
    let mounts = Mounts::collect(&config.options, &named);
    for directory in &mounts.directories {
        directories::create(directory)?;
    }
    let surroundings = Surroundings {
        id,
        root: Root::Overlay(Merged {
            lowers: layers.iter().rev().cloned().collect(),
            upper: Some(own.upper()),
        }),
        scaffold: scaffold(store.root()),
        mounts: mounts.mounts,
        names: files,
    };
    specification(&config.options, &config.image, surroundings)
}

fn scaffold(root: &Path) -> PathBuf {
    root.join("scaffold")
}

/// What becomes of the volumes that nobody gave a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousVolumes {
    /// They outlive the container.
    Kept,
    /// They go with the last container that has them.
    Removed,
}

/// Removes a container that does not run, named by its name, its ID or the ID's beginning.
pub fn remove(store: &Store, name: &str, volumes: AnonymousVolumes) -> Result<(), ContainerError> {
    let container = find(store, name)?;
    refuse_active(&container, "remove")?;
    let _lock = lock_at_rest(store, &container, "remove")?;
    let id = ContainerId::from_store(&container.id);
    let config = match StoredConfig::from_json(&id, &container.config) {
        // Its volumes lie among what is removed with it.
        Ok(config) if volumes == AnonymousVolumes::Kept => {
            Some(older::brought_up(store, &container, config)?)
        }
        Ok(config) => Some(config),
        // One of another version of this program: what it had is not known.
        Err(_) => None,
    };
    // Those that a supervisor which was killed has left.
    Cgroup::recorded(&store.container_path(&container.id)).remove();
    network::sweep(store);
    store.remove_container(&container.id)?;
    match (volumes, config) {
        (AnonymousVolumes::Removed, Some(config)) => {
            volume_store::remove_anonymous(store, &config.options.volumes)
        }
        _ => Ok(()),
    }
}

/// The lock of a container that does not run. Others who have it are waited for: they are removing it, or about to start it.
fn lock_at_rest(
    store: &Store,
    container: &Container,
    action: &'static str,
) -> Result<LockGuard, ContainerError> {
    let id = &container.id;
    let is_active = |one: &Container| Condition::of(one).is_active();
    let is_over = || !matches!(store.container(id), Ok(Some(one)) if !is_active(&one));
    let lock = store.lock(&lock_name(id), &is_over);
    // Gone, or running, it is not to be touched, whoever has the lock.
    refuse_active(&find(store, id)?, action)?;
    Ok(lock?)
}

/// Gives a container another name, by which others on its networks find it from here on.
pub fn rename(store: &Store, container: &Container, name: &str) -> Result<(), ContainerError> {
    names::check(name)?;
    store.rename_container(&container.id, name)?;
    if !Condition::of(container).is_active() {
        return Ok(());
    }
    let id = ContainerId::from_store(&container.id);
    let directory = store.container_path(&container.id);
    let message = Message::Network(NetworkChange::Rename(name.to_owned()));
    match control::ask(&directory, &id, "rename", &message) {
        // It has ended meanwhile.
        Err(ContainerError::NotRunning { .. }) => Ok(()),
        other => other,
    }
}

/// The container that `name` means: its name, its ID or the ID's beginning.
pub fn find(store: &Store, name: &str) -> Result<Container, ContainerError> {
    match store.container(name)? {
        Some(container) => Ok(container),
        None => Err(ContainerError::Missing {
            name: name.to_owned(),
        }),
    }
}

fn refuse_active(container: &Container, action: &'static str) -> Result<(), ContainerError> {
    if Condition::of(container).is_active() {
        return Err(is_running(container, action));
    }
    Ok(())
}

fn is_running(container: &Container, action: &'static str) -> ContainerError {
    ContainerError::IsRunning {
        action,
        id: ContainerId::from_store(&container.id).short().to_owned(),
    }
}
