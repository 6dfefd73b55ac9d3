//! Private networks of containers.
//!
//! ```text
//! Networks ─ find ─▶ Network ─┐
//! Wishes (who, where, ports) ─┴─ Connection::open ─▶ a namespace on its bridges, ports published, names known ─▶ close
//! ```
//!
//! A network is a file of the store ([`Networks`]); a bridge is there as long as a container is on it. Each container's
//! supervisor connects it ([`Connection`]) and holds its place on the network by a locked file, so that nothing has to be
//! asked whether somebody is alive. Addresses, interfaces and routes are set by netlink; the packet filter's rules belong to
//! a network, not to a container; published ports and names are the business of a relay, one process for each
//! container that has such.
//!
//! There is no daemon. What a supervisor that was killed has left is swept by the next command ([`sweep`]).
//!
//! `main` has to begin with [`help_if_asked`].
#![forbid(unsafe_code)]

mod bridge;
mod catalog;
mod connection;
mod error;
mod firewall;
mod household;
mod id;
mod keeper;
mod lock;
mod machine;
mod members;
mod namespace;
mod netlink;
mod new_network;
mod pool;
mod ports;
mod programs;
mod relay;
mod resolver;
mod subnet;

pub use bridge::sweep;
pub use catalog::{DEFAULT_NETWORK, Network, Networks, Reach};
pub use connection::{Connection, DefaultPlace, Endpoint, Membership, Wishes};
pub use error::NetworkError;
pub use household::{Founding, Household, NoWayOut, Presence, way_out};
pub use id::NetworkId;
pub use members::{Mac, Member};
pub use new_network::NewNetwork;
pub use ports::{Port, Protocol, Publish, Published};
pub use resolver::{Resolver, name_servers};
pub use subnet::Subnet;

/// Becomes a helper of networks and never returns, if this process was started as one; else does nothing. Must come before any
/// thread.
pub fn help_if_asked() {
    relay::relay_if_asked();
    keeper::keep_if_asked();
    household::keep_if_asked();
}
