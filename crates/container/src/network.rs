//! A container's network, as its supervisor sets it up and other commands find it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rbuild_network::{
    Connection, DEFAULT_NETWORK, DefaultPlace, Endpoint, Networks, Port, Publish, Published,
    Resolver, Wishes,
};
use rbuild_sandbox::safe_program;
use rbuild_store::{Container, Store};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::Sysctl;
use crate::condition::{Condition, live_process};
use crate::directories::replace_file;
use crate::hosts::name_servers;
use crate::network_change::NetworkChange;
use crate::options::{Exposed, NetworkMode, Options};
use crate::{ContainerError, ContainerId, HostFiles, StoredConfig, lifecycle};

/// In a container's directory while it runs.
const FILE: &str = "network.json";
/// Stands in each record. One of another number says nothing to this program.
const RECORD_VERSION: u32 = 1;

/// Where a container is on its networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    version: u32,
    /// Its places, in the order in which they were asked for.
    pub endpoints: Vec<Endpoint>,
    /// What is published of it, and where.
    pub published: Vec<Published>,
    /// How it finds names.
    pub resolver: Resolver,
}

impl NetworkRecord {
    fn of(connection: &Connection) -> Self {
        Self {
            version: RECORD_VERSION,
            endpoints: connection.endpoints(),
            published: connection.published().to_vec(),
            resolver: connection.resolver(),
        }
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        replace_file(directory, FILE, &serde_json::to_vec(self)?)
    }

    fn read(directory: &Path) -> Option<Self> {
        let bytes = fs::read(directory.join(FILE)).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        (record.version == RECORD_VERSION).then_some(record)
    }
}

/// Where a container that runs is on its networks; `None` if it has none of its own.
pub fn network_record(store: &Store, container: &Container) -> Option<NetworkRecord> {
    if !Condition::of(container).is_active() {
        return None;
    }
    NetworkRecord::read(&store.container_path(&container.id))
}

/// Which network a container has: of one that runs, what has become of what was asked for.
pub(crate) fn network_mode(store: &Store, container: &Container, options: &Options) -> NetworkMode {
    if options.network != NetworkMode::Default {
        return options.network.clone();
    }
    let fell_back =
        Condition::of(container).is_active() && network_record(store, container).is_none();
    if fell_back {
        NetworkMode::Host
    } else {
        NetworkMode::Private
    }
}

/// What is kept of a container, with the network that it has; `None` if that is of another version.
pub fn config_as_it_is(store: &Store, container: &Container) -> Option<StoredConfig> {
    let id = ContainerId::from_store(&container.id);
    let mut config = StoredConfig::from_json(&id, &container.config).ok()?;
    config.options.network = network_mode(store, container, &config.options);
    Some(config)
}

/// The ports that a container exposes: those of its image and the user's.
pub fn exposed_ports(config: &StoredConfig) -> Vec<Port> {
    let of_image = config.image.exposed_ports.keys();
    let mut ports: Vec<Port> = of_image.filter_map(|text| text.parse().ok()).collect();
    ports.extend(&config.options.expose);
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// What is to be published: what the user names, and with `-P` all else that is exposed.
fn wanted(config: &StoredConfig) -> Vec<Publish> {
    let mut ports = config.options.ports.clone();
    if config.options.exposed == Exposed::Published {
        for port in exposed_ports(config) {
            if !ports.iter().any(|known| known.port == port) {
                ports.push(Publish {
                    address: None,
                    host: None,
                    port,
                });
            }
        }
    }
    ports
}

/// The network of a container that is supervised.
pub(crate) enum Attached {
    /// The host's, or none.
    Nothing,
    /// Its own.
    Own {
        connection: Box<Connection>,
        record: NetworkRecord,
    },
    /// That of another container.
    Shared {
        namespace: OwnedFd,
        record: Option<NetworkRecord>,
    },
}

impl Attached {
    /// Sets up what `config` asks for.
    pub(crate) fn new(
        store: &Store,
        container: &Container,
        config: &StoredConfig,
        host: &HostFiles,
    ) -> Result<Self, ContainerError> {
        match &config.options.network {
            NetworkMode::Host | NetworkMode::None => Ok(Self::Nothing),
            NetworkMode::Container(name) => share(store, name),
            NetworkMode::Private => {
                Self::own(store, container, connect(store, container, config, host)?)
            }
            NetworkMode::Default => {
                let networks = Networks::new(store.root());
                let servers = name_servers(&config.options, host);
                let wishes = Wishes {
                    container: &container.id,
                    name: &container.name,
                    servers: &servers,
                    ..Wishes::default()
                };
                match Connection::open_default(&networks, &wishes, &safe_program()?)? {
                    DefaultPlace::Private(connection) => Self::own(store, container, *connection),
                    DefaultPlace::Host { .. } => Ok(Self::Nothing),
                }
            }
        }
    }

    fn own(
        store: &Store,
        container: &Container,
        connection: Connection,
    ) -> Result<Self, ContainerError> {
        let record = NetworkRecord::of(&connection);
        let connection = Box::new(connection);
        record
            .write(&store.container_path(&container.id))
            .map_err(ContainerError::Supervise)?;
        Ok(Self::Own { connection, record })
    }

    /// What has become of what was asked for.
    pub(crate) fn mode(&self, asked: &NetworkMode) -> NetworkMode {
        match (asked, self) {
            (NetworkMode::Default, Self::Own { .. }) => NetworkMode::Private,
            (NetworkMode::Default, _) => NetworkMode::Host,
            (other, _) => other.clone(),
        }
    }

    pub(crate) fn namespace(&self) -> Option<BorrowedFd<'_>> {
        use std::os::fd::AsFd as _;
        match self {
            Self::Nothing => None,
            Self::Own { connection, .. } => Some(connection.namespace()),
            Self::Shared { namespace, .. } => Some(namespace.as_fd()),
        }
    }

    pub(crate) fn record(&self) -> Option<&NetworkRecord> {
        match self {
            Self::Nothing => None,
            Self::Own { record, .. } => Some(record),
            Self::Shared { record, .. } => record.as_ref(),
        }
    }

    /// What can be read from when it is to be mended.
    pub(crate) fn trouble(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Own { connection, .. } => connection.trouble(),
            Self::Nothing | Self::Shared { .. } => None,
        }
    }

    /// Has what it shares with others go on after a death.
    pub(crate) fn mend(&mut self) {
        if let Self::Own { connection, .. } = self {
            connection.mend();
        }
    }

    /// Changes the networks of the container in `directory`. Whether it has such.
    pub(crate) fn change(
        &mut self,
        change: &NetworkChange,
        directory: &Path,
    ) -> Result<bool, ContainerError> {
        let Self::Own { connection, record } = self else {
            return Ok(false);
        };
        let done = match change {
            NetworkChange::Join(membership) => connection.join(membership),
            NetworkChange::Leave(network) => connection.leave(network),
            NetworkChange::Rename(name) => connection.rename(name),
        };
        *record = NetworkRecord::of(connection);
        record.write(directory).map_err(ContainerError::Supervise)?;
        done?;
        Ok(true)
    }

    /// Takes down what was set up for the container in `directory`.
    pub(crate) fn close(self, directory: &Path) -> Result<(), ContainerError> {
        let Self::Own { connection, .. } = self else {
            return Ok(());
        };
        // Gone with the container, if that was to be removed.
        let _ = fs::remove_file(directory.join(FILE));
        Ok(connection.close()?)
    }
}

fn connect(
    store: &Store,
    container: &Container,
    config: &StoredConfig,
    host: &HostFiles,
) -> Result<Connection, ContainerError> {
    let options = &config.options;
    let ports = wanted(config);
    let servers: Vec<IpAddr> = name_servers(options, host);
    let networks = Networks::new(store.root());
    let wishes = Wishes {
        container: &container.id,
        name: &container.name,
        networks: &options.networks,
        ports: &ports,
        servers: &servers,
    };
    let program = safe_program()?;
    // Who names the default network and nothing that works without it wants just that.
    let does_without = options
        .networks
        .iter()
        .all(|membership| membership.network == DEFAULT_NETWORK)
        && (!ports.is_empty() || options.sysctls.iter().any(Sysctl::is_of_network));
    match Connection::open(&networks, &wishes, &program) {
        // Where there are no bridges, it gets a namespace into which the ports lead all the same.
        Err(error) if error.is_for_all_networks() && does_without => {
            let wishes = Wishes {
                networks: &[],
                ..wishes
            };
            Ok(Connection::open(&networks, &wishes, &program)?)
        }
        other => Ok(other?),
    }
}

fn share(store: &Store, name: &str) -> Result<Attached, ContainerError> {
    let other = lifecycle::find(store, name)?;
    let Some(pid) = live_process(&other) else {
        return Err(ContainerError::NotRunning {
            action: "join the network of",
            id: name.to_owned(),
        });
    };
    let path = format!("/proc/{pid}/ns/net");
    let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    Ok(Attached::Shared {
        namespace: namespace.map_err(|error| ContainerError::Supervise(error.into()))?,
        record: network_record(store, &other),
    })
}

/// Removes what supervisors that were killed have left of networks. That it cannot be removed keeps nobody from anything
/// else: whoever needs it is told then.
pub(crate) fn sweep(store: &Store) {
    let _ = rbuild_network::sweep(&Networks::new(store.root()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_does_not_change_unnoticed() {
        let text = r#"{"version":1,"endpoints":[{"network":"app","id":"07","address":"10.5.0.2","prefix":24,"gateway":"10.5.0.1","reach":"outside","mac":[2,66,10,5,0,2],"aliases":["db"]}],"published":[{"port":{"number":80,"protocol":"tcp"},"address":"0.0.0.0","host":8080}],"resolver":{"own":"127.0.0.11"}}"#;
        let record: NetworkRecord = serde_json::from_str(text).expect("it is ours");
        assert_eq!(serde_json::to_string(&record).expect("plain JSON"), text);
        assert_eq!(record.endpoints[0].mac.to_string(), "02:42:0a:05:00:02");
    }
}
