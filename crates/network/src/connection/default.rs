//! The network of who names none.

use std::path::Path;

use super::{Connection, Membership, Wishes};
use crate::household::{Ground, Home};
use crate::{DEFAULT_NETWORK, NetworkError, Networks, namespace, way_out};

/// Where who names no network is.
#[derive(Debug)]
pub enum DefaultPlace {
    /// On the default network.
    Private(Box<Connection>),
    /// On the host's: this machine has no private ones.
    Host {
        /// What keeps it from having them.
        reason: NetworkError,
    },
}

impl Connection {
    /// A place on the default network, if that leads out, and the host's where there are no networks. All else that goes
    /// wrong is an error: what was to be apart from the host does not come to it by an accident. Networks of `wishes` are
    /// of no matter.
    pub fn open_default(
        networks: &Networks,
        wishes: &Wishes<'_>,
        program: &Path,
    ) -> Result<DefaultPlace, NetworkError> {
        match open_private(networks, wishes, program) {
            Ok(connection) => Ok(DefaultPlace::Private(Box::new(connection))),
            Err(reason) if reason.is_for_all_networks() => Ok(DefaultPlace::Host { reason }),
            Err(error) => Err(NetworkError::Private {
                source: Box::new(error),
            }),
        }
    }

    /// Whether nothing of what used it is left in it, so that somebody else may have it. Somebody who could change it is
    /// not meant.
    pub fn is_unused(&self) -> bool {
        let now = namespace::sockets(self.namespace());
        matches!((&self.sockets, now), (Some(then), Ok(now)) if *then == now)
    }
}

fn open_private(
    networks: &Networks,
    wishes: &Wishes<'_>,
    program: &Path,
) -> Result<Connection, NetworkError> {
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
    let connection = Connection::open(networks, &wishes, program)?;
    let blocked = connection.ground.as_ref().and_then(Ground::blocked);
    let Some(reason) = blocked.map(str::to_owned) else {
        return Ok(connection);
    };
    connection.close()?;
    Err(NetworkError::Blocked { reason })
}
