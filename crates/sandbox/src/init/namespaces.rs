//! The namespaces that process 1 makes for itself.

use std::os::fd::{AsFd, OwnedFd};

use nix::sched::CloneFlags;
use rbuild_sys::{bring_up_loopback, make_mounts_private};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::{InitFailure, Namespace, Network, Spec, Users};

/// What needs no capability in a network of the sandbox's own, as with Docker: low ports, and ping.
const OPEN_TO_ALL: [(&str, &str); 2] = [
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 65535"),
];

/// The same where the network is not that of the sandbox's users, whose groups have other numbers outside.
const OPEN_TO_OTHERS: [(&str, &str); 2] = [
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
];

pub(super) fn enter(spec: &Spec, trees: &[OwnedFd]) -> Result<(), InitFailure> {
    let mut flags = CloneFlags::CLONE_NEWNS;
    for (namespace, flag, action) in [
        (
            spec.namespaces.ipc,
            CloneFlags::CLONE_NEWIPC,
            "join the IPC namespace",
        ),
        (
            spec.namespaces.uts,
            CloneFlags::CLONE_NEWUTS,
            "join the UTS namespace",
        ),
    ] {
        match namespace {
            Namespace::Own => flags |= flag,
            Namespace::Host => {}
            Namespace::Join(index) => nix::sched::setns(trees[index].as_fd(), flag)
                .map_err(|error| InitFailure::step(action, error))?,
        }
    }
    if spec.network == Network::None {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags, "make namespaces")?;
    enter_cgroup_namespace(spec.namespaces.cgroup, trees)?;
    make_mounts_private()?;
    let mut set = Whose::All;
    match spec.network {
        Network::Host => {}
        Network::None => {
            bring_up_loopback()?;
            for (path, value) in OPEN_TO_ALL {
                // Where there are fewer groups, ping needs its capability.
                let _ = set_parameter(path, value);
            }
        }
        // The keeper did, and set its parameters: inside a user namespace nobody may.
        Network::Join(_) if spec.users != Users::Caller => set = Whose::Others,
        Network::Join(index) => join_network(&trees[index])?,
    }
    set_parameters(spec, set)?;
    if spec.namespaces.uts != Namespace::Own {
        return Ok(());
    }
    rustix::system::sethostname(spec.hostname.as_bytes())
        .map_err(|error| InitFailure::step(format!("set host name {}", spec.hostname), error))
}

fn enter_cgroup_namespace(namespace: Namespace, trees: &[OwnedFd]) -> Result<(), InitFailure> {
    match namespace {
        Namespace::Host => Ok(()),
        Namespace::Join(index) => {
            nix::sched::setns(trees[index].as_fd(), CloneFlags::CLONE_NEWCGROUP)
                .map_err(|error| InitFailure::step("join the cgroup namespace", error))
        }
        // Kernels without control groups have no namespace for them, and nothing to hide there.
        Namespace::Own => match nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP) {
            Ok(()) | Err(nix::errno::Errno::EINVAL) => Ok(()),
            Err(error) => Err(InitFailure::step("make a cgroup namespace", error)),
        },
    }
}

fn unshare(flags: CloneFlags, action: &str) -> Result<(), InitFailure> {
    nix::sched::unshare(flags).map_err(|error| InitFailure::step(action, error))
}

/// Joins a network for users who have no capability over it.
pub(super) fn join_network_for_others(spec: &Spec, namespace: &OwnedFd) -> Result<(), InitFailure> {
    join_network(namespace)?;
    for (path, value) in OPEN_TO_OTHERS {
        set_parameter(path, value)?;
    }
    set_parameters(spec, Whose::Network)
}

fn join_network(namespace: &OwnedFd) -> Result<(), InitFailure> {
    nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(|error| InitFailure::step("join the network", error))
}

/// Which kernel parameters are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Those of the network.
    Network,
    /// All but those.
    Others,
    /// All.
    All,
}

fn set_parameters(spec: &Spec, whose: Whose) -> Result<(), InitFailure> {
    for (path, value) in &spec.sysctls {
        let of_network = path.starts_with("net/");
        if whose == Whose::All || (whose == Whose::Network) == of_network {
            set_parameter(path, value)?;
        }
    }
    Ok(())
}

/// Through the host's /proc, which shows each process the parameters of its own namespaces (sysctl(5)). Those that
/// have no namespace are not among what callers may ask for.
fn set_parameter(path: &str, value: &str) -> Result<(), InitFailure> {
    let fail =
        |error: rustix::io::Errno| InitFailure::step(format!("set {path} to {value:?}"), error);
    let directory = rustix::fs::open(
        "/proc/sys",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(fail)?;
    let file = rbuild_sys::openat2(
        &directory,
        path,
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )
    .map_err(fail)?;
    rustix::io::write(&file, value.as_bytes()).map_err(fail)?;
    Ok(())
}
