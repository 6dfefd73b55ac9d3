//! A container on its networks: from before its first process until after its last.
//!
//! ```text
//!            place on the network ─▶ bridge up ─▶ namespace ─▶ plugged in ─▶ relay, if ports or names are wanted
//! open():    (a locked file)
//! close():   relay gone ─▶ unplugged ─▶ place given up ─▶ bridge down, if it was the last
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bridge::{self, Route};
use crate::catalog::{Network, NetworkId, Networks, Reach};
use crate::members::{Applicant, Held, Mac};
use crate::relay::{NamesTask, Relay, Task};
use crate::{NetworkError, Publish, Published, namespace};

/// A network that a container is to be on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Membership {
    /// The network's name or id.
    pub network: String,
    /// `--ip`.
    pub address: Option<Ipv4Addr>,
    /// `--network-alias`.
    pub aliases: Vec<String>,
}

/// What a container wants of the world.
#[derive(Debug, Clone, Default)]
pub struct Wishes<'a> {
    /// The container's id.
    pub container: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Where it is to be.
    pub networks: &'a [Membership],
    /// What is published of it.
    pub ports: &'a [Publish],
    /// The name servers that are asked for it.
    pub servers: &'a [IpAddr],
}

/// Where a container is on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub id: NetworkId,
    /// The container's address.
    pub address: Ipv4Addr,
    /// The number of fixed bits of the network's addresses.
    pub prefix: u8,
    /// The host's address there.
    pub gateway: Ipv4Addr,
    /// Whether the network leads out.
    pub reach: Reach,
    /// The address of its interface.
    pub mac: Mac,
    /// Further names.
    pub aliases: Vec<String>,
}

/// How a container finds names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolver {
    /// It asks the host's name servers itself.
    Host,
    /// It asks us, at this address.
    Own(Ipv4Addr),
}

/// A container on its networks. What is not closed is swept by the next command that asks for it.
#[derive(Debug)]
pub struct Connection {
    networks: Networks,
    namespace: OwnedFd,
    places: Vec<(Network, Held)>,
    relay: Option<Relay>,
    resolver: Resolver,
}

impl Connection {
    /// Sets all up. `program` is this very program. Nothing is left of what fails.
    pub fn open(
        networks: &Networks,
        wishes: &Wishes<'_>,
        program: &Path,
    ) -> Result<Self, NetworkError> {
        let mut connection = Self {
            networks: networks.clone(),
            namespace: namespace::create()?,
            places: Vec::new(),
            relay: None,
            resolver: Resolver::Host,
        };
        match connection.set_up(wishes, program) {
            Ok(()) => Ok(connection),
            Err(error) => {
                // Why it cannot be had says more than why it cannot be taken away.
                let _ = connection.close();
                Err(error)
            }
        }
    }

    fn set_up(&mut self, wishes: &Wishes<'_>, program: &Path) -> Result<(), NetworkError> {
        for membership in wishes.networks {
            self.join(wishes, membership)?;
        }
        let reaches_out = |network: &Network| network.reach == Reach::Outside;
        let has_names = self.places.iter().any(|(network, _)| !network.is_default());
        // Those on the host's loopback cannot be asked from elsewhere.
        let only_local = !self.places.is_empty() && wishes.servers.iter().all(IpAddr::is_loopback);
        let names = (has_names || only_local).then(|| NamesTask {
            members: self
                .places
                .iter()
                .filter(|(network, _)| !network.is_default())
                .map(|(network, _)| self.networks.members_directory(&network.id))
                .collect(),
            servers: if self.places.iter().any(|(network, _)| reaches_out(network)) {
                wishes.servers.to_vec()
            } else {
                Vec::new()
            },
        });
        if names.is_none() && wishes.ports.is_empty() {
            return Ok(());
        }
        if names.is_some() {
            self.resolver = Resolver::Own(crate::relay::RESOLVER);
        }
        let first = self.places.first();
        let task = Task {
            ports: wishes.ports.to_vec(),
            target: first.map(|(_, held)| held.member.address),
            names,
        };
        self.relay = Some(Relay::start(program, &self.namespace, &task)?);
        Ok(())
    }

    fn join(&mut self, wishes: &Wishes<'_>, membership: &Membership) -> Result<(), NetworkError> {
        let mut network = self.networks.find(&membership.network)?;
        let _lock = self.networks.lock(&network.id)?;
        self.networks.bury(&network.id)?;
        bridge::bring_up(&self.networks, &mut network).map_err(|error| {
            if error.is_denied() {
                return NetworkError::Denied {
                    name: network.name.clone(),
                };
            }
            error
        })?;
        let applicant = Applicant {
            container: wishes.container,
            name: wishes.name,
            aliases: &membership.aliases,
            address: membership.address,
        };
        let plugged = self.networks.admit(&network, &applicant).and_then(|held| {
            let inside = format!("eth{}", self.places.len());
            let has_route = self
                .places
                .iter()
                .any(|(one, _)| one.reach == Reach::Outside);
            let route = match network.reach {
                Reach::Outside if !has_route => Route::Default,
                _ => Route::None,
            };
            bridge::plug(
                &network,
                &held.member,
                self.namespace.as_fd(),
                &inside,
                route,
            )?;
            Ok(held)
        });
        match plugged {
            Ok(held) => {
                self.places.push((network, held));
                Ok(())
            }
            Err(error) => {
                // As above.
                let _ = self
                    .networks
                    .bury(&network.id)
                    .and_then(|()| bridge::take_down_if_empty(&self.networks, &network));
                Err(error)
            }
        }
    }

    /// The network namespace.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Where it is, in the order in which it was asked for.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |(network, held): &(Network, Held)| Endpoint {
            network: network.name.clone(),
            id: network.id.clone(),
            address: held.member.address,
            prefix: network.subnet.prefix(),
            gateway: network.gateway,
            reach: network.reach,
            mac: held.member.mac,
            aliases: held.member.aliases.clone(),
        };
        self.places.iter().map(endpoint).collect()
    }

    /// What is published, and where.
    pub fn published(&self) -> &[Published] {
        self.relay.as_ref().map_or(&[], |relay| &relay.published)
    }

    /// How names are found.
    pub fn resolver(&self) -> Resolver {
        self.resolver
    }

    /// Takes all down. Of what fails, the first is told; the rest is done all the same.
    pub fn close(mut self) -> Result<(), NetworkError> {
        drop(self.relay.take());
        let mut outcome = Ok(());
        for (network, held) in self.places.drain(..) {
            let left = leave(&self.networks, &network, held);
            outcome = outcome.and(left);
        }
        outcome
    }
}

fn leave(networks: &Networks, network: &Network, held: Held) -> Result<(), NetworkError> {
    let _lock = networks.lock(&network.id)?;
    let unplugged = bridge::unplug(&network.id, &held.member.container);
    let left = held.leave();
    let down = bridge::take_down_if_empty(networks, network);
    unplugged.and(left).and(down)
}
