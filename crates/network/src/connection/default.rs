//! The network of who names none.

use std::path::Path;

use super::{Connection, Membership, Wishes};
use crate::household::{Ground, Home};
use crate::{DEFAULT_NETWORK, NetworkError, Networks, namespace, way_out};

impl Connection {
    /// A place on the default network, if that leads out. Networks of `wishes` are of no matter. An error means that there
    /// is none to be had here.
    pub fn open_default(
        networks: &Networks,
        wishes: &Wishes<'_>,
        program: &Path,
    ) -> Result<Self, NetworkError> {
        let bridge = [Membership {
            network: DEFAULT_NETWORK.to_owned(),
            ..Membership::default()
        }];
        if networks.home != Home::Here {
            way_out().map_err(|reason| NetworkError::NoWayOut { reason })?;
        }
        let wishes = Wishes {
            networks: &bridge,
            ..wishes.clone()
        };
        let connection = Self::open(networks, &wishes, program)?;
        let blocked = connection.ground.as_ref().and_then(Ground::blocked);
        let Some(reason) = blocked.map(str::to_owned) else {
            return Ok(connection);
        };
        connection.close()?;
        Err(NetworkError::Blocked { reason })
    }

    /// Whether nothing of what used it is left in it, so that somebody else may have it. Somebody who could change it is
    /// not meant.
    pub fn is_unused(&self) -> bool {
        let now = namespace::sockets(self.namespace());
        matches!((&self.sockets, now), (Some(then), Ok(now)) if *then == now)
    }
}
