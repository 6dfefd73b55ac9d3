//! Listening on the host's ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SocketType, bind, listen, sockopt};

use super::sockets::{family, socket};
use crate::{NetworkError, Protocol, Publish, Published};

/// Connections that may wait to be taken.
const BACKLOG: i32 = 128;
/// How often any free port is looked for that both kinds of addresses have.
const TRIES: usize = 16;

/// What listens.
pub(super) enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

type Listening = Vec<(Socket, u16)>;

/// Listens for all of `ports`; which of the host's these are.
pub(super) fn on(ports: &[Publish]) -> Result<(Listening, Vec<Published>), NetworkError> {
    let mut sockets = Vec::new();
    let mut published = Vec::new();
    for port in ports {
        let (first, last) = port.host.unwrap_or((0, 0));
        let mut candidates = if first == 0 {
            vec![0; TRIES]
        } else {
            (first..=last).collect()
        };
        let end = candidates.pop().unwrap_or(0);
        let found = candidates
            .into_iter()
            .find_map(|candidate| on_all(port, candidate).ok());
        let found = found.map_or_else(|| on_all(port, end), Ok)?;
        for (socket, address) in found {
            sockets.push((socket, port.port.number));
            published.push(Published {
                port: port.port,
                address: address.ip(),
                host: address.port(),
            });
        }
    }
    Ok((sockets, published))
}

/// On one port of all addresses that are meant.
fn on_all(publish: &Publish, port: u16) -> Result<Vec<(Socket, SocketAddr)>, NetworkError> {
    let protocol = publish.port.protocol;
    if let Some(address) = publish.address {
        return Ok(vec![on_one(protocol, SocketAddr::new(address, port))?]);
    }
    let (first, bound) = on_one(protocol, (IpAddr::from(Ipv4Addr::UNSPECIFIED), port).into())?;
    let other = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), bound.port());
    match on_one(protocol, other) {
        Ok(second) => Ok(vec![(first, bound), second]),
        Err(error @ NetworkError::PortTaken { .. }) => Err(error),
        // A host without IPv6.
        Err(_) => Ok(vec![(first, bound)]),
    }
}

fn on_one(protocol: Protocol, address: SocketAddr) -> Result<(Socket, SocketAddr), NetworkError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => NetworkError::PortTaken { address },
        _ => NetworkError::Bind {
            address,
            source: error,
        },
    };
    match protocol {
        Protocol::Tcp => {
            let socket = bound(SocketType::STREAM, address).map_err(failed)?;
            listen(&socket, BACKLOG).map_err(|error| failed(error.into()))?;
            let listener = TcpListener::from(socket);
            let address = listener.local_addr().map_err(failed)?;
            Ok((Socket::Tcp(listener), address))
        }
        Protocol::Udp => {
            let socket = UdpSocket::from(bound(SocketType::DGRAM, address).map_err(failed)?);
            let address = socket.local_addr().map_err(failed)?;
            Ok((Socket::Udp(socket), address))
        }
    }
}

/// A socket at an address.
fn bound(kind: SocketType, address: SocketAddr) -> io::Result<OwnedFd> {
    bind_to(socket(family(address.ip()), kind)?, kind, address)
}

/// Gives a socket an address.
pub(super) fn bind_to(
    socket: OwnedFd,
    kind: SocketType,
    address: SocketAddr,
) -> io::Result<OwnedFd> {
    if kind == SocketType::STREAM {
        // Connections of the last one that are still dying do not count.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address).map_err(|error: Errno| io::Error::from(error))?;
    Ok(socket)
}
