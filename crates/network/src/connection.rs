//! A container on its networks: from before its first process until after its last.
//!
//! ```text
//!            place on the network ─▶ bridge up ─▶ namespace ─▶ plugged in ─▶ relay, if ports or names are wanted
//! open():    (a locked file)
//! close():   relay gone ─▶ unplugged ─▶ place given up ─▶ bridge down, if it was the last
//! ```
//!
//! Meanwhile it may [`Connection::join`] further networks, [`Connection::leave`] some, and get another name.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bridge::{Route, Unplugged};
use crate::catalog::{Networks, Reach};
use crate::household::{Ground, Others};
use crate::members::{Applicant, Mac};
use crate::relay::{self, NamesTask, Relay, Task};
use crate::{NetworkError, NetworkId, Publish, Published, Resolver, namespace};

mod default;
mod place;

pub use self::default::DefaultPlace;
use self::place::Place;

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

/// A container on its networks. What is not closed is swept by the next command that asks for it.
#[derive(Debug)]
pub struct Connection {
    networks: Networks,
    namespace: OwnedFd,
    container: String,
    name: String,
    servers: Vec<IpAddr>,
    /// This very program.
    program: PathBuf,
    places: Vec<Place>,
    /// Where the bridges of its networks are; of somebody on none, nowhere yet.
    ground: Option<Ground>,
    relay: Option<Relay>,
    resolver: Resolver,
    /// What there was of sockets in it when it was ready.
    sockets: Option<String>,
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
            container: wishes.container.to_owned(),
            name: wishes.name.to_owned(),
            servers: wishes.servers.to_vec(),
            program: program.to_owned(),
            places: Vec::new(),
            ground: None,
            relay: None,
            resolver: Resolver::Host,
            sockets: None,
        };
        match connection.set_up(wishes) {
            Ok(()) => Ok(connection),
            Err(error) => {
                // Why it cannot be had says more than why it cannot be taken away.
                let _ = connection.close();
                Err(error)
            }
        }
    }

    fn set_up(&mut self, wishes: &Wishes<'_>) -> Result<(), NetworkError> {
        for membership in wishes.networks {
            self.enter(membership, Others::MayEnd)?;
        }
        let mut place = self.place();
        if self.places.is_empty() {
            // Ports lead into a namespace that nothing else leads to.
            place.target = Some(Ipv4Addr::LOCALHOST);
        }
        self.start_relay(wishes.ports, place)?;
        self.sockets = namespace::sockets(self.namespace.as_fd()).ok();
        Ok(())
    }

    /// Starts a relay, if there is something for it to do.
    fn start_relay(&mut self, ports: &[Publish], place: relay::Place) -> Result<(), NetworkError> {
        let has_names = place.names.is_some();
        if !has_names && ports.is_empty() {
            return Ok(());
        }
        let task = Task {
            ports: ports.to_vec(),
            place,
        };
        self.relay = Some(Relay::start(&self.program, &self.namespace, &task)?);
        if has_names {
            self.resolver = Resolver::Own(relay::RESOLVER);
        }
        Ok(())
    }

    /// What a relay has to know of the networks that the container is on.
    fn place(&self) -> relay::Place {
        let with_names = || {
            let networks = self.places.iter().map(|place| &place.network);
            networks.filter(|network| !network.is_default())
        };
        // Those on the host's loopback cannot be asked from elsewhere.
        let only_local = !self.places.is_empty()
            && !self.servers.is_empty()
            && self.servers.iter().all(IpAddr::is_loopback);
        let names = (with_names().next().is_some() || only_local).then(|| NamesTask {
            members: with_names()
                .map(|network| self.networks.members_directory(&network.id))
                .collect(),
            servers: if self.places.iter().any(Place::leads_out) {
                self.servers.clone()
            } else {
                Vec::new()
            },
        });
        relay::Place {
            target: self.places.first().map(Place::address),
            names,
        }
    }

    /// Puts the container on another network.
    pub fn join(&mut self, membership: &Membership) -> Result<(), NetworkError> {
        self.enter(membership, Others::Refuse)?;
        let told = self.tell_relay();
        if told.is_err()
            && let Some(place) = self.places.pop()
        {
            // Why it cannot be had says more than why it cannot be taken away.
            let _ = place.leave(&self.networks, Unplugged::Removed);
        }
        told
    }

    /// Takes the container off a network.
    pub fn leave(&mut self, network: &str) -> Result<(), NetworkError> {
        let index = self
            .places
            .iter()
            .position(|place| place.network.name == network)
            .ok_or_else(|| NetworkError::NotConnected {
                container: self.name.clone(),
                network: network.to_owned(),
            })?;
        let had_route = self.places[index].route == Route::Default;
        let place = self.places.remove(index);
        let left = place.leave(&self.networks, Unplugged::Removed);
        let told = self.tell_relay();
        if had_route && let Some(next) = self.places.iter_mut().find(|place| place.is_outward()) {
            next.lead_out(self.namespace.as_fd())?;
        }
        left.and(told)
    }

    /// Others find the container by this name from here on.
    pub fn rename(&mut self, name: &str) -> Result<(), NetworkError> {
        name.clone_into(&mut self.name);
        for place in &mut self.places {
            let _lock = self.networks.lock(&place.network.id)?;
            place.held.rename(&self.networks, &place.network.id, name)?;
        }
        Ok(())
    }

    fn tell_relay(&mut self) -> Result<(), NetworkError> {
        let place = self.place();
        let has_names = place.names.is_some();
        match &mut self.relay {
            Some(relay) => relay.move_to(&place)?,
            None => return self.start_relay(&[], place),
        }
        if has_names {
            self.resolver = Resolver::Own(relay::RESOLVER);
        }
        Ok(())
    }

    /// Where the bridges are.
    fn ground(&mut self, others: Others) -> Result<Ground, NetworkError> {
        if let Some(ground) = &self.ground {
            return Ok(ground.clone());
        }
        let ground = self.networks.home.open(&self.program, others)?;
        Ok(self.ground.insert(ground).clone())
    }

    fn enter(&mut self, membership: &Membership, others: Others) -> Result<(), NetworkError> {
        let network = self.networks.find(&membership.network)?;
        if self.places.iter().any(|one| one.network.id == network.id) {
            return Err(NetworkError::Connected {
                container: self.name.clone(),
                network: network.name,
            });
        }
        let ground = self.ground(others)?;
        let applicant = Applicant {
            container: &self.container,
            name: &self.name,
            aliases: &membership.aliases,
            address: membership.address,
        };
        let used = |number: &usize| {
            let name = place::interface(*number);
            self.places.iter().any(|place| place.interface == name)
        };
        // One of as many names as there are interfaces, and one more, is free.
        let number = (0..=self.places.len())
            .find(|number| !used(number))
            .unwrap_or_default();
        let has_route = self.places.iter().any(|one| one.route == Route::Default);
        let route = match network.reach {
            Reach::Outside if !has_route => Route::Default,
            _ => Route::None,
        };
        let wanted = place::Wanted {
            network,
            applicant,
            interface: place::interface(number),
            route,
            ground,
            program: &self.program,
        };
        let place = wanted.take(&self.networks, self.namespace.as_fd())?;
        self.places.push(place);
        Ok(())
    }

    /// What can be read from when it is to be mended.
    pub fn trouble(&self) -> Option<BorrowedFd<'_>> {
        self.ground.as_ref().and_then(Ground::keeper)
    }

    /// The process was killed that keeps the network which all of the user's containers have in common: another one is to go
    /// on with it.
    pub fn mend(&mut self) {
        if let Some(ground) = &mut self.ground {
            ground.mend(&self.networks.home, &self.program);
        }
    }

    /// The network namespace.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Where it is, in the order in which it was asked for.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.places.iter().map(Place::endpoint).collect()
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
        for place in self.places.drain(..) {
            outcome = outcome.and(place.leave(&self.networks, Unplugged::Released));
        }
        outcome
    }
}
