//! A container comes to a network, leaves one, or gets another name there: at once if it runs, else when it starts.

use rbuild_network::{Membership, NetworkError};
use rbuild_store::{Container, Store};
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::link::Message;
use crate::network::network_mode;
use crate::options::{NetworkMode, Options};
use crate::supervisor::lock_name;
use crate::{ContainerError, ContainerId, StoredConfig, control};

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NetworkChange {
    /// On this network, too.
    Join(Membership),
    /// Not on the network of this name any more.
    Leave(String),
    /// Others find it by this name.
    Rename(String),
}

impl NetworkChange {
    /// Notes the change in what the store keeps of the container.
    pub(crate) fn note(&self, container: &str, options: &mut Options) -> Result<(), NetworkError> {
        let named = |name: &str| options.networks.iter().position(|one| one.network == name);
        let owned = || container.to_owned();
        match self {
            Self::Join(new) => {
                if named(&new.network).is_some() {
                    return Err(NetworkError::Connected {
                        container: owned(),
                        network: new.network.clone(),
                    });
                }
                options.networks.push(new.clone());
            }
            Self::Leave(name) => {
                let index = named(name).ok_or_else(|| NetworkError::NotConnected {
                    container: owned(),
                    network: name.clone(),
                })?;
                options.networks.remove(index);
            }
            Self::Rename(_) => {}
        }
        Ok(())
    }
}

/// Puts a container on a network.
pub fn connect_network(
    store: &Store,
    container: &Container,
    membership: &Membership,
) -> Result<(), ContainerError> {
    let change = NetworkChange::Join(membership.clone());
    carry_out(store, container, "connect", &change)
}

/// Takes a container off a network.
pub fn disconnect_network(
    store: &Store,
    container: &Container,
    network: &str,
) -> Result<(), ContainerError> {
    let change = NetworkChange::Leave(network.to_owned());
    carry_out(store, container, "disconnect", &change)
}

fn carry_out(
    store: &Store,
    container: &Container,
    action: &'static str,
    change: &NetworkChange,
) -> Result<(), ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let options = StoredConfig::from_json(&id, &container.config)?.options;
    refuse_shared(action, &id, &network_mode(store, container, &options))?;
    let directory = store.container_path(&container.id);
    if Condition::of(container).is_active() {
        match control::ask(&directory, &id, action, &Message::Network(change.clone())) {
            // It has ended meanwhile.
            Err(ContainerError::NotRunning { .. }) => {}
            other => return other,
        }
    }
    let Some(_lock) = store.try_lock(&lock_name(&container.id))? else {
        return Err(ContainerError::IsRunning {
            action,
            id: id.short().to_owned(),
        });
    };
    keep(store, &id, change)
}

/// Has the store know of it.
pub(crate) fn keep(
    store: &Store,
    id: &ContainerId,
    change: &NetworkChange,
) -> Result<(), ContainerError> {
    store.update_container(id.as_str(), |row| {
        let mut config = StoredConfig::from_json(id, &row.config)?;
        change.note(&row.name, &mut config.options)?;
        row.config = config.to_json();
        Ok(())
    })
}

/// Networks can be joined and left only by who has one of its own.
fn refuse_shared(
    action: &'static str,
    id: &ContainerId,
    mode: &NetworkMode,
) -> Result<(), ContainerError> {
    let reason = match mode {
        NetworkMode::Private | NetworkMode::Default => return Ok(()),
        NetworkMode::Host => {
            "container cannot be disconnected from host network or connected to host network"
        }
        NetworkMode::None => {
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        }
        NetworkMode::Container(_) => {
            "container sharing network namespace with another container or host cannot be connected to any other network"
        }
    };
    Err(ContainerError::FixedNetwork {
        action,
        id: id.short().to_owned(),
        reason,
    })
}
