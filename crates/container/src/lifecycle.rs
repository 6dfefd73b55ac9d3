//! A container's life: created, started, attached to, removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rbuild_image::{Digest, LayerId, RuntimeConfig};
use rbuild_sandbox::{Root, Spec, spawn};
use rbuild_store::{Container, ContainerState, NewContainer, Store, StoreError};

use crate::attach::Wiring;
use crate::directories::{self, Directories};
use crate::options::Cleanup;
use crate::spec::{Surroundings, specification};
use crate::volumes::Mounts;
use crate::{ContainerError, ContainerId, HostFiles, Options, Seed, StoredConfig, Streams, names};

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

/// What the host lends: its files, its clock.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// /etc/hosts and /etc/resolv.conf.
    pub files: &'a HostFiles,
    /// Now.
    pub clock: &'a dyn Fn() -> SystemTime,
}

/// A container whose first process runs. Dropping it kills the container.
pub struct Running<'a> {
    store: Store,
    id: ContainerId,
    host: Host<'a>,
    sandbox: rbuild_sandbox::Running,
    wiring: Wiring<'a>,
}

/// Creates a container, runs it in the foreground and tells its exit status: its own, or 128 and the signal that ended
/// it. With [`Cleanup::Remove`] nothing of it is left, also when it cannot be started.
pub fn run(
    store: &Store,
    image: Image<'_>,
    options: &Options,
    seed: Seed,
    host: Host<'_>,
    streams: Streams<'_>,
) -> Result<i32, ContainerError> {
    let container = create(store, image, options, seed)?;
    let outcome =
        start(store, &container, image.directories, host, streams).and_then(Running::attach);
    if options.cleanup == Cleanup::Remove {
        let removed = remove(store, &container.id);
        // Why it could not run says more than why it could not be removed.
        return outcome.and_then(|code| removed.map(|()| code));
    }
    outcome
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
    let config = StoredConfig::new(options.clone(), image.config.clone()).to_json();
    let container = enter(store, image, options, seed, (&id, &config))?;
    let directories = Directories::new(store.container_path(id.as_str()));
    let made = directories.create(image.directories.last().map(PathBuf::as_path));
    if let Err(error) = made {
        store.remove_container(id.as_str())?;
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

/// Starts a container that does not run. `layers` are its layers' directories, bottom first.
pub fn start<'a>(
    store: &Store,
    container: &Container,
    layers: &[PathBuf],
    host: Host<'a>,
    streams: Streams<'a>,
) -> Result<Running<'a>, ContainerError> {
    let id = ContainerId::from_store(&container.id);
    refuse_running(container, "start")?;
    let config = StoredConfig::from_json(&id, &container.config)?;
    let spec = prepare(store, &id, &config, layers, host.files)?;
    let wiring = Wiring::new(&config.options, streams)?;
    let sandbox = spawn(&spec, wiring.stdio(), &[])?;
    let pid = sandbox.pid();
    let state = ContainerState::Running {
        pid,
        start_ticks: start_ticks(pid).unwrap_or_default(),
        since: (host.clock)(),
    };
    store.set_container_state(id.as_str(), &state)?;
    Ok(Running {
        store: store.clone(),
        id,
        host,
        sandbox,
        wiring,
    })
}

fn prepare(
    store: &Store,
    id: &ContainerId,
    config: &StoredConfig,
    layers: &[PathBuf],
    host: &HostFiles,
) -> Result<Spec, ContainerError> {
    let own = Directories::new(store.container_path(id.as_str()));
    let volumes = config.image.volumes.keys();
    let mounts = Mounts::collect(&config.options, volumes, layers, &own.volumes());
    for directory in &mounts.directories {
        directories::create(directory)?;
    }
    let surroundings = Surroundings {
        id,
        root: Root::Overlay {
            lowers: layers.iter().rev().cloned().collect(),
            upper: Some(own.upper()),
        },
        scaffold: scaffold(store),
        mounts: mounts.mounts,
        host,
    };
    specification(&config.options, &config.image, surroundings)
}

fn scaffold(store: &Store) -> PathBuf {
    store.root().join("scaffold")
}

impl Running<'_> {
    /// The container's ID.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Connects the user's streams and signals until the container ends, and writes its exit status to its row.
    pub fn attach(self) -> Result<i32, ContainerError> {
        let code = self.wiring.run(self.sandbox)?.code();
        let state = ContainerState::Exited {
            code,
            at: (self.host.clock)(),
        };
        self.store.set_container_state(self.id.as_str(), &state)?;
        Ok(code)
    }
}

/// Removes a container that does not run, named by its name, its ID or the ID's beginning.
pub fn remove(store: &Store, name: &str) -> Result<(), ContainerError> {
    let Some(container) = store.container(name)? else {
        return Err(ContainerError::Missing {
            name: name.to_owned(),
        });
    };
    refuse_running(&container, "remove")?;
    store.remove_container(&container.id)?;
    Ok(())
}

/// The first process of a container that runs or is frozen, if it lives: a row says what was last known, the kernel
/// what is so.
pub fn live_process(container: &Container) -> Option<u32> {
    match container.state {
        ContainerState::Running {
            pid,
            start_ticks: started,
            ..
        }
        | ContainerState::Paused {
            pid,
            start_ticks: started,
            ..
        } => (start_ticks(pid) == Some(started)).then_some(pid),
        _ => None,
    }
}

fn refuse_running(container: &Container, action: &'static str) -> Result<(), ContainerError> {
    if live_process(container).is_none() {
        return Ok(());
    }
    Err(ContainerError::IsRunning {
        action,
        id: ContainerId::from_store(&container.id).short().to_owned(),
    })
}

/// When a process started, in clock ticks since the machine did: field 22 of /proc/PID/stat (proc(5)), counted after the
/// command's name, which may hold anything. `None` if there is no such process.
fn start_ticks(pid: u32) -> Option<u64> {
    let path = Path::new("/proc").join(pid.to_string()).join("stat");
    let stat = fs::read_to_string(path).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}
