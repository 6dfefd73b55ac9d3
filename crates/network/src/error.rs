//! What can go wrong with a network.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::NoWayOut;

/// Each message follows "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A value does not have the form that its option takes.
    #[error("read {option} {value:?}: {reason}")]
    Value {
        /// `--publish`
        option: &'static str,
        /// As it was given.
        value: String,
        /// What is wrong with it, and what is right.
        reason: String,
    },
    /// There is no such network.
    #[error("find network {name}: network {name} not found")]
    Missing {
        /// As it was given.
        name: String,
    },
    /// There is one of that name.
    #[error("create network {name}: network with name {name} already exists")]
    Exists {
        /// Its name.
        name: String,
    },
    /// Containers are on it.
    #[error("remove network {name}: network {name} has active endpoints ({users})")]
    InUse {
        /// Its name.
        name: String,
        /// Containers.
        users: String,
    },
    /// Those that are always there.
    #[error("remove network {name}: {name} is a pre-defined network and cannot be removed")]
    Predefined {
        /// Its name.
        name: String,
    },
    /// A container is on it already.
    #[error(
        "connect {container}: endpoint with name {container} already exists in network {network}"
    )]
    Connected {
        /// Its name.
        container: String,
        /// The network's name.
        network: String,
    },
    /// A container is not on it.
    #[error("disconnect {container}: container {container} is not connected to network {network}")]
    NotConnected {
        /// Its name.
        container: String,
        /// The network's name.
        network: String,
    },
    /// Its range is somebody else's.
    #[error("create network {name}: Pool overlaps with other one on this address space: {with}")]
    Overlap {
        /// Its name.
        name: String,
        /// Who has the range, or a part of it.
        with: String,
    },
    /// There is no range left.
    #[error(
        "find a range of addresses for network {name}: all that are tried are in use; give one with --subnet"
    )]
    NoSubnet {
        /// Its name.
        name: String,
    },
    /// All addresses are taken.
    #[error(
        "find an address on network {name}: no available IPv4 addresses on this network's address pools"
    )]
    NoAddress {
        /// Its name.
        name: String,
    },
    /// This address is taken, or none of the network's.
    #[error("give the address {address} on network {name}: {reason}")]
    Address {
        /// Its name.
        name: String,
        /// What was asked for.
        address: String,
        /// Why not.
        reason: &'static str,
    },
    /// Whoever we are may not have bridges, or the kernel has none.
    #[error(
        "connect with network {name}: the kernel denies making a bridge here; containers can have published ports (-p), the host's network (--network host), or none"
    )]
    Denied {
        /// Its name.
        name: String,
    },
    /// Nothing is installed that sets the packet filter's rules.
    #[error(
        "connect with network {name}: neither iptables nor nft is installed, without which networks cannot be kept apart nor lead out (on Debian: apt-get install iptables)"
    )]
    NoFirewall {
        /// Its name.
        name: String,
    },
    /// Whoever we are has neither bridges nor a program that leads out.
    #[error("make a private network: {reason}")]
    NoWayOut {
        /// Why not.
        reason: NoWayOut,
    },
    /// The default network cannot be had, although there are networks here.
    #[error("make a private network (--network host does without one)")]
    Private {
        /// The cause.
        #[source]
        source: Box<NetworkError>,
    },
    /// The program that is to lead out does not.
    #[error("lead out of a private network: {reason}")]
    Blocked {
        /// Why not.
        reason: String,
    },
    /// Other processes of the user have the networks, and cannot be joined.
    #[error(
        "reach the networks of this store: they belong to another user namespace, whose ids are not ours any more, or which was made at the same time; stop the containers of this store and start them again"
    )]
    Apart,
    /// It does not answer.
    #[error("reach the networks of this store: the process that holds them ended at once")]
    NoKeeper,
    /// It is there, but stopped or stuck.
    #[error(
        "reach the networks of this store: the process that holds them (rbuild-network) does not answer; have it go on if it was stopped (kill -CONT), or kill it"
    )]
    Silent,
    /// Somebody else listens there.
    #[error("publish a port: Bind for {address} failed: port is already allocated")]
    PortTaken {
        /// Where.
        address: SocketAddr,
    },
    /// It cannot be listened there.
    #[error("publish a port: Bind for {address} failed")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file of a network could not be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// `read`, `write`, `lock`
        action: &'static str,
        /// On the host.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The kernel, or a program, refused a step.
    #[error("{action}")]
    Step {
        /// What was tried.
        action: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl NetworkError {
    pub(crate) fn value(
        option: &'static str,
        value: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Value {
            option,
            value: value.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    pub(crate) fn step<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::Step {
            action,
            source: source.into(),
        }
    }

    /// Whether this machine, or who we are on it, can have no networks at all: trying again would not help.
    pub fn is_for_all_networks(&self) -> bool {
        self.is_denied() || matches!(self, Self::NoFirewall { .. } | Self::NoWayOut { .. })
    }

    /// Whether the kernel denied what only an administrator may do, or has no such thing.
    pub(crate) fn is_denied(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, Unsupported};
        match self {
            Self::Step { source, .. } => matches!(
                source.kind(),
                PermissionDenied | ReadOnlyFilesystem | Unsupported
            ),
            Self::Denied { .. } => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(kind: io::ErrorKind) -> NetworkError {
        NetworkError::step("make the bridge")(io::Error::from(kind))
    }

    #[test]
    fn only_what_the_machine_lacks_is_for_all_networks() {
        let name = || "bridge".to_owned();
        let lacking = [
            NetworkError::NoFirewall { name: name() },
            NetworkError::Denied { name: name() },
            NetworkError::NoWayOut {
                reason: NoWayOut::NotInstalled,
            },
            step(io::ErrorKind::PermissionDenied),
            step(io::ErrorKind::Unsupported),
        ];
        for error in lacking {
            assert!(error.is_for_all_networks(), "{error}");
        }
        let accidents = [
            NetworkError::Apart,
            NetworkError::NoKeeper,
            NetworkError::Silent,
            NetworkError::NoSubnet { name: name() },
            NetworkError::NoAddress { name: name() },
            NetworkError::Blocked { reason: name() },
            step(io::ErrorKind::WouldBlock),
            step(io::ErrorKind::Other),
        ];
        for error in accidents {
            assert!(!error.is_for_all_networks(), "{error}");
        }
    }
}
