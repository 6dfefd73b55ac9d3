//! The network of who names none.

use std::path::Path;

use super::{Connection, Membership, Ways, Wishes};
use crate::{DEFAULT_NETWORK, NetworkError, Networks, namespace, way_out};

impl Connection {
    /// A network of its own that leads out: root's on the default bridge, a normal user's behind a program. Networks and
    /// ways of `wishes` are of no matter. An error means that there is none to be had here.
    pub fn open_default(
        networks: &Networks,
        wishes: &Wishes<'_>,
        program: &Path,
    ) -> Result<Self, NetworkError> {
        let bridge = [Membership {
            network: DEFAULT_NETWORK.to_owned(),
            ..Membership::default()
        }];
        let (memberships, ways) = if rbuild_sys::is_initial_user_namespace() {
            (&bridge[..], Ways::Networks)
        } else {
            way_out().map_err(|reason| NetworkError::NoWayOut { reason })?;
            (&[][..], Ways::Program)
        };
        let wishes = Wishes {
            networks: memberships,
            ways,
            ..wishes.clone()
        };
        Self::open(networks, &wishes, program)
    }

    /// Whether nothing of what used it is left in it, so that somebody else may have it. Somebody who could change it is
    /// not meant.
    pub fn is_unused(&self) -> bool {
        let now = namespace::sockets(self.namespace());
        matches!((&self.sockets, now), (Some(then), Ok(now)) if *then == now)
    }
}
