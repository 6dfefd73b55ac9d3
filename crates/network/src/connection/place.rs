//! One network that a container is on.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::Endpoint;
use crate::bridge::{self, Route, Unplugged};
use crate::catalog::{Network, Networks, Reach};
use crate::household::Ground;
use crate::members::{Applicant, Held};
use crate::pool::Routes;
use crate::{NetworkError, keeper};

/// The name of a container's interface.
pub(super) fn interface(number: usize) -> String {
    format!("eth{number}")
}

/// A place that is to be had.
pub(super) struct Wanted<'a> {
    pub(super) network: Network,
    pub(super) applicant: Applicant<'a>,
    /// The name that the interface gets in the container.
    pub(super) interface: String,
    pub(super) route: Route,
    /// Where its bridge is to be.
    pub(super) ground: Ground,
    /// This very program.
    pub(super) program: &'a Path,
}

/// A place that is held.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) network: Network,
    pub(super) held: Held,
    pub(super) interface: String,
    /// Whether all that goes elsewhere goes this way.
    pub(super) route: Route,
    ground: Ground,
}

impl Wanted<'_> {
    /// Brings up the network's bridge and puts the container, which is `namespace`, on it. Nothing is left of what fails.
    pub(super) fn take(
        mut self,
        networks: &Networks,
        namespace: BorrowedFd<'_>,
    ) -> Result<Place, NetworkError> {
        let _lock = networks.lock(&self.network.id)?;
        // Somebody may have changed it meanwhile.
        self.network = networks.read(&self.network)?;
        networks.bury(&self.network.id)?;
        let (ground, network) = (&self.ground, &mut self.network);
        let outside = Routes::here();
        let up = ground.inside(|| bridge::bring_up(networks, network, &outside));
        up.map_err(|error| {
            if error.is_denied() {
                return NetworkError::Denied {
                    name: self.network.name.clone(),
                };
            }
            error
        })?;
        let plugged = self.plug(networks, namespace);
        if !self.ground.ends_by_itself() {
            keeper::ensure(networks, &self.network, self.program);
        }
        match plugged {
            Ok(held) => Ok(Place {
                network: self.network,
                held,
                interface: self.interface,
                route: self.route,
                ground: self.ground,
            }),
            Err(error) => {
                // Why it cannot be had says more than why it cannot be taken away.
                let _ = networks.bury(&self.network.id).and_then(|()| {
                    bridge::take_down_if_empty(networks, &self.network, &self.ground)
                });
                Err(error)
            }
        }
    }

    fn plug(&self, networks: &Networks, namespace: BorrowedFd<'_>) -> Result<Held, NetworkError> {
        let held = networks.admit(&self.network, &self.applicant)?;
        self.ground.inside(|| {
            let (network, member) = (&self.network, &held.member);
            bridge::plug(network, member, namespace, &self.interface, self.route)
        })?;
        Ok(held)
    }
}

impl Place {
    pub(super) fn address(&self) -> Ipv4Addr {
        self.held.member.address
    }

    /// Whether it is to lead out.
    pub(super) fn is_outward(&self) -> bool {
        self.network.reach == Reach::Outside
    }

    /// Whether it does.
    pub(super) fn leads_out(&self) -> bool {
        self.is_outward() && self.ground.blocked().is_none()
    }

    /// All that goes elsewhere goes this way from here on.
    pub(super) fn lead_out(&mut self, namespace: BorrowedFd<'_>) -> Result<(), NetworkError> {
        bridge::lead_out(&self.network, namespace, &self.interface)?;
        self.route = Route::Default;
        Ok(())
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let (network, member) = (&self.network, &self.held.member);
        Endpoint {
            network: network.name.clone(),
            id: network.id.clone(),
            address: member.address,
            prefix: network.subnet.prefix(),
            gateway: network.gateway,
            reach: network.reach,
            mac: member.mac,
            aliases: member.aliases.clone(),
        }
    }

    /// Gives it up. Of what fails, the first is told; the rest is done all the same.
    pub(super) fn leave(self, networks: &Networks, how: Unplugged) -> Result<(), NetworkError> {
        let _lock = networks.lock(&self.network.id)?;
        let (id, container) = (&self.network.id, &self.held.member.container);
        let unplugged = self.ground.inside(|| bridge::unplug(id, container, how));
        let left = self.held.leave();
        let down = bridge::take_down_if_empty(networks, &self.network, &self.ground);
        unplugged.and(left).and(down)
    }
}
