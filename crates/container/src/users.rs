//! Whose users a container has: `--userns`.
//!
//! With `auto`, users and groups of the container are ids of the host's that nobody else has: a range for each container
//! that runs. Nothing on disk has these ids, so any range does, each time that the container starts; which ones are taken
//! is known by locks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rbuild_sandbox::{Spec, Users};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::namespaces::{IpcMode, PidMode, Sharing};
use crate::options::{NetworkMode, Security};
use crate::{ContainerError, Options};

/// Ids that a container has: those of usual images, `nobody` (65534) included.
pub(crate) const COUNT: u32 = 1 << 16;
/// The first id that is given away. Far above those of people, and below those that systemd-nspawn leaves alone
/// (`CONTAINER_UID_BASE_MAX`, 1,878,982,656).
const FIRST: u32 = 1 << 30;
/// How many ranges there are.
const RANGES: u32 = 1 << 12;
/// What lets users without capabilities over a network have all ports, and send pings: docker's own settings.
const OF_NETWORK: [(&str, &str); 2] = [
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
];
/// Locks of the ranges in use on this machine, by all stores.
const LOCKS: &str = "/run/rbuild/ids";

/// Whose users and groups a container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserMode {
    /// Those of whoever runs it: of root the host's.
    #[default]
    Host,
    /// Its own.
    Auto,
}

impl UserMode {
    /// Reads `--userns`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        match text {
            "" | "host" => Ok(Self::Host),
            "auto" => Ok(Self::Auto),
            _ => Err(ContainerError::option(
                "--userns",
                text,
                "it is host or auto",
            )),
        }
    }

    /// Whether the other options go with it.
    pub(crate) fn check(self, options: &Options) -> Result<(), ContainerError> {
        if self == Self::Host {
            return Ok(());
        }
        let shared = matches!(options.network, NetworkMode::Container(_))
            || options.pid != PidMode::Private
            || options.uts != Sharing::Private
            || options.cgroupns != Sharing::Private
            || matches!(options.ipc, IpcMode::Host | IpcMode::Container(_));
        let reason = if !rbuild_sys::is_initial_user_namespace() {
            "containers of a normal user are in that user's namespace already, which cannot be divided"
        } else if shared {
            "what is shared with the host or another container belongs to users that it does not have"
        } else if options.security == Security::Privileged {
            "a privileged container is root of the host (leave --privileged or --userns out)"
        } else {
            return Ok(());
        };
        Err(ContainerError::option("--userns", "auto", reason))
    }
}

/// A range that is a container's as long as this lives.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) first: u32,
    _lock: File,
}

impl Range {
    /// The first one that nobody has.
    pub(crate) fn claim() -> Result<Self, ContainerError> {
        let failed = |source: io::Error| ContainerError::Create {
            path: LOCKS.into(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(LOCKS)
            .map_err(failed)?;
        let given = given_away(&[
            fs::read_to_string("/etc/subuid").unwrap_or_default(),
            fs::read_to_string("/etc/subgid").unwrap_or_default(),
        ]);
        for first in (0..RANGES).map(|number| FIRST + number * COUNT) {
            let is_given = |(start, end): &(u64, u64)| {
                *start < u64::from(first) + u64::from(COUNT) && u64::from(first) < *end
            };
            if given.iter().any(is_given) {
                continue;
            }
            if let Some(lock) = lock(first).map_err(failed)? {
                return Ok(Self { first, _lock: lock });
            }
        }
        Err(ContainerError::option(
            "--userns",
            "auto",
            "all ranges of ids are in use",
        ))
    }
}

impl Range {
    /// Tells the sandbox.
    pub(crate) fn apply(&self, options: &Options, spec: &mut Spec) {
        spec.users = Users::Own {
            first: self.first,
            count: COUNT,
        };
        if options.network == NetworkMode::Private {
            // The network is not its users', so that they have no capability over it.
            let open = OF_NETWORK.map(|(name, value)| (name.to_owned(), value.to_owned()));
            spec.sysctls.splice(..0, open);
        }
    }
}

fn lock(first: u32) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(Path::new(LOCKS).join(first.to_string()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The ranges that users were given (subuid(5)): the first id of each, and the one after its last.
fn given_away(tables: &[String]) -> Vec<(u64, u64)> {
    let lines = tables.iter().flat_map(|table| table.lines());
    let range = |line: &str| {
        let mut fields = line.trim().split(':').skip(1);
        let first: u64 = fields.next()?.parse().ok()?;
        let count: u64 = fields.next()?.parse().ok()?;
        Some((first, first.saturating_add(count)))
    };
    lines.filter_map(range).collect()
}

/// Whom root of the container with this first process is on the host (user_namespaces(7)).
pub(crate) fn first_of(pid: u32) -> Option<u32> {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).ok()?;
    map.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_users_are_read_whatever_else_is_in_the_files() {
        let tables = ["a:100:10\nbad\nb:5:x\n".to_owned(), "1000:7:1".to_owned()];
        assert_eq!(given_away(&tables), [(100, 110), (7, 8)]);
    }

    #[test]
    fn ids_of_its_own_do_not_go_with_what_is_others() {
        let mut options = Options {
            userns: UserMode::Auto,
            ..Options::default()
        };
        options.ipc = IpcMode::Host;
        assert!(options.userns.check(&options).is_err());
        assert!(UserMode::parse("keep-id").is_err());
        assert!(UserMode::Host.check(&options).is_ok());
    }
}
