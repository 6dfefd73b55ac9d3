//! Which namespaces a container has for itself, and which are the host's or another container's: `--pid`, `--ipc`,
//! `--uts`, `--cgroupns`.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rbuild_sandbox::{Namespace, Namespaces, SharedMemory, Spec};
use rbuild_store::Store;
use rbuild_sys::same_namespace;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::condition::live_process;
use crate::{ContainerError, ContainerId, Options, StoredConfig, lifecycle};

/// Whose processes a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PidMode {
    /// Its own.
    #[default]
    Private,
    /// All of the host.
    Host,
    /// Those of another container, by its name or id.
    Container(String),
}

/// With whom a container shares memory and message queues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpcMode {
    /// With nobody.
    #[default]
    Private,
    /// With those who ask for it.
    Shareable,
    /// With nobody, and it has no /dev/shm.
    None,
    /// With the host.
    Host,
    /// With another container, by its name or id.
    Container(String),
}

/// Whether something is a container's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// It is.
    #[default]
    Private,
    /// It is the host's.
    Host,
}

impl PidMode {
    /// Reads `--pid`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        match other_container(text) {
            Some(name) => Ok(Self::Container(name)),
            None if text == "private" => Ok(Self::Private),
            None if text == "host" => Ok(Self::Host),
            None => Err(ContainerError::option(
                "--pid",
                text,
                "it is private, host or container:NAME",
            )),
        }
    }
}

impl IpcMode {
    /// Reads `--ipc`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        match (other_container(text), text) {
            (Some(name), _) => Ok(Self::Container(name)),
            (None, "private") => Ok(Self::Private),
            (None, "shareable") => Ok(Self::Shareable),
            (None, "none") => Ok(Self::None),
            (None, "host") => Ok(Self::Host),
            _ => Err(ContainerError::option(
                "--ipc",
                text,
                "it is private, shareable, none, host or container:NAME",
            )),
        }
    }

    /// Whether it has a namespace that nobody else writes the parameters of.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::Private | Self::Shareable | Self::None)
    }
}

impl Sharing {
    /// Reads the value of `option`: `--uts`, `--cgroupns`.
    pub fn parse(option: &'static str, text: &str) -> Result<Self, ContainerError> {
        match text {
            "private" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => Err(ContainerError::option(
                option,
                text,
                "it is private or host",
            )),
        }
    }

    fn namespace(self) -> Namespace {
        match self {
            Self::Private => Namespace::Own,
            Self::Host => Namespace::Host,
        }
    }
}

/// The name in `container:NAME`.
fn other_container(text: &str) -> Option<String> {
    let name = text.strip_prefix("container:")?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// What containers share, opened for the start of one of them.
pub(crate) struct Shared {
    descriptors: Vec<OwnedFd>,
    namespaces: Namespaces,
    memory: SharedMemory,
}

impl Shared {
    /// Opens what `options` ask for. The sandbox is given `before` descriptors before these.
    pub(crate) fn open(
        store: &Store,
        options: &Options,
        before: usize,
    ) -> Result<Self, ContainerError> {
        let mut shared = Self {
            descriptors: Vec::new(),
            namespaces: Namespaces {
                uts: options.uts.namespace(),
                cgroup: options.cgroupns.namespace(),
                ..Namespaces::default()
            },
            memory: SharedMemory::Own,
        };
        let mut add = |name: &str, option, kind| -> Result<usize, ContainerError> {
            let opened = open(store, name, option, kind)?;
            shared.descriptors.push(opened);
            Ok(before + shared.descriptors.len() - 1)
        };
        shared.namespaces.pid = match &options.pid {
            PidMode::Private => Namespace::Own,
            PidMode::Host => Namespace::Host,
            PidMode::Container(name) => Namespace::Join(add(name, "--pid", "pid")?),
        };
        (shared.namespaces.ipc, shared.memory) = match &options.ipc {
            IpcMode::Private | IpcMode::Shareable => (Namespace::Own, SharedMemory::Own),
            IpcMode::None => (Namespace::Own, SharedMemory::Absent),
            IpcMode::Host => (Namespace::Host, SharedMemory::Host),
            IpcMode::Container(name) => {
                check_shareable(store, name)?;
                let namespace = Namespace::Join(add(name, "--ipc", "ipc")?);
                (namespace, SharedMemory::Of(add(name, "--ipc", "mnt")?))
            }
        };
        Ok(shared)
    }

    /// Tells the sandbox.
    pub(crate) fn apply(&self, spec: &mut Spec) {
        spec.namespaces = self.namespaces;
        spec.shared_memory = self.memory;
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.descriptors.iter().map(|one| one.as_fd())
    }
}

/// The namespace of the container that is called `name`.
fn open(
    store: &Store,
    name: &str,
    option: &'static str,
    kind: &str,
) -> Result<OwnedFd, ContainerError> {
    let refused =
        |reason: &str| ContainerError::option(option, format!("container:{name}"), reason);
    let other = lifecycle::find(store, name)?;
    let Some(pid) = live_process(&other) else {
        return Err(refused("that container is not running"));
    };
    if !rbuild_sys::is_initial_user_namespace() && !is_beside_us(pid) {
        return Err(refused(
            "that container is in another user namespace: it was started before others of this user, without need of their networks; start it again with a network or a port",
        ));
    }
    let path = format!("/proc/{pid}/ns/{kind}");
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| ContainerError::Supervise(error.into()))
}

/// Whether a process is in our user namespace.
fn is_beside_us(pid: u32) -> bool {
    let own = rbuild_sys::user_namespace();
    let other = std::fs::File::open(format!("/proc/{pid}/ns/user"));
    matches!((own, other), (Ok(own), Ok(other)) if same_namespace(own.as_fd(), other.as_fd()))
}

fn check_shareable(store: &Store, name: &str) -> Result<(), ContainerError> {
    let other = lifecycle::find(store, name)?;
    let config = StoredConfig::from_json(&ContainerId::from_store(&other.id), &other.config)?;
    if config.options.ipc == IpcMode::Shareable {
        return Ok(());
    }
    Err(ContainerError::option(
        "--ipc",
        format!("container:{name}"),
        "that container shares nothing: it was not started with --ipc shareable",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_docker_writes_them() {
        let other = || "db".to_owned();
        let pid = |text| PidMode::parse(text).ok();
        assert_eq!(pid("host"), Some(PidMode::Host));
        assert_eq!(pid("container:db"), Some(PidMode::Container(other())));
        for bad in ["container:", "ns:/proc/1/ns/pid", "shareable", ""] {
            assert_eq!(pid(bad), None, "{bad}");
        }
        let ipc = |text| IpcMode::parse(text).ok();
        assert_eq!(ipc("shareable"), Some(IpcMode::Shareable));
        assert_eq!(ipc("none"), Some(IpcMode::None));
        assert_eq!(ipc("container:db"), Some(IpcMode::Container(other())));
        assert_eq!(ipc("public"), None);
        assert!(Sharing::parse("--uts", "container:db").is_err());
    }
}
