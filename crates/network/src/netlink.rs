//! The kernel's language for interfaces, addresses and routes (rtnetlink(7)), as far as bridges need it.
//!
//! ```text
//! header (16 bytes: length, type, flags, sequence, port) │ family's struct │ attributes (length, type, value; padded to 4)
//! ```

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use crate::members::Mac;

// Kinds of messages (linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const ERROR: u16 = 2;

// Flags of messages (linux/netlink.h).
const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

// Attributes of links (linux/if_link.h).
const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_NAMESPACE_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const NESTED: u16 = 0x8000;

// Attributes of addresses and routes.
const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ROUTE_OUT: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;

const INET: u8 = 2;
const UP: u32 = 1;
/// A route's table, protocol (static), scope (everywhere) and type (unicast).
const ROUTE: [u8; 4] = [254, 4, 0, 1];
/// An answer is an error code and the head of the message that it is about.
const ANSWER_BYTES: usize = 4096;

/// The index of an interface.
pub(crate) type Index = u32;

/// A conversation with the kernel about the network of the namespace that it was begun in.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

/// A message that grows.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST | ACKNOWLEDGE).to_ne_bytes());
        bytes.extend([0; 8]);
        Self(bytes)
    }

    /// The struct of messages about links.
    fn link(mut self, index: Index, flags: u32) -> Self {
        self.0.extend(link_struct(index, flags));
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        attribute(&mut self.0, kind, value);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("messages are short");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

fn link_struct(index: Index, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Which flags are meant.
    bytes.extend(flags.to_ne_bytes());
    bytes
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("attributes are short");
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The pair of interfaces between a bridge and a container.
pub(crate) struct Pair<'a> {
    pub(crate) outside: &'a str,
    pub(crate) bridge: Index,
    pub(crate) inside: &'a str,
    pub(crate) mac: Mac,
    pub(crate) namespace: BorrowedFd<'a>,
}

impl Netlink {
    /// In the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?))
    }

    fn ask(&self, message: Message) -> io::Result<()> {
        let kernel = NetlinkAddr::new(0, 0);
        let socket = self.0.as_raw_fd();
        sendto(socket, &message.finish(), &kernel, MsgFlags::empty())?;
        let mut answer = [0; ANSWER_BYTES];
        let length = recv(socket, &mut answer, MsgFlags::empty())?;
        let kind = answer
            .get(4..6)
            .map(|two| u16::from_ne_bytes([two[0], two[1]]));
        let code = answer[..length].get(16..20);
        match (kind, code) {
            (Some(ERROR), Some(&[a, b, c, d])) => match i32::from_ne_bytes([a, b, c, d]) {
                0 => Ok(()),
                error => Err(io::Error::from_raw_os_error(-error)),
            },
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Makes a bridge. `AlreadyExists` if there is one.
    pub(crate) fn add_bridge(&self, interface: &str, mac: Mac) -> io::Result<()> {
        let mut info = Vec::new();
        attribute(&mut info, INFO_KIND, b"bridge");
        let message = Message::new(NEW_LINK, CREATE | EXCLUSIVE)
            .link(0, 0)
            .attribute(LINK_NAME, &name(interface))
            // A bridge without one of its own changes it with whoever comes and goes.
            .attribute(LINK_ADDRESS, &mac.0)
            .attribute(LINK_INFO | NESTED, &info);
        self.ask(message)
    }

    /// Makes a pair of interfaces: one on the bridge, one in the namespace.
    pub(crate) fn add_pair(&self, pair: &Pair<'_>) -> io::Result<()> {
        let mut peer = link_struct(0, 0);
        attribute(&mut peer, LINK_NAME, &name(pair.inside));
        attribute(&mut peer, LINK_ADDRESS, &pair.mac.0);
        let namespace = u32::try_from(pair.namespace.as_raw_fd()).expect("it is open");
        attribute(&mut peer, LINK_NAMESPACE_FD, &namespace.to_ne_bytes());
        let mut data = Vec::new();
        attribute(&mut data, VETH_PEER | NESTED, &peer);
        let mut info = Vec::new();
        attribute(&mut info, INFO_KIND, b"veth");
        attribute(&mut info, INFO_DATA | NESTED, &data);
        let message = Message::new(NEW_LINK, CREATE | EXCLUSIVE)
            .link(0, UP)
            .attribute(LINK_NAME, &name(pair.outside))
            .attribute(LINK_MASTER, &pair.bridge.to_ne_bytes())
            .attribute(LINK_INFO | NESTED, &info);
        self.ask(message)
    }

    /// Removes an interface.
    pub(crate) fn delete(&self, interface: &str) -> io::Result<()> {
        self.ask(
            Message::new(DELETE_LINK, 0)
                .link(0, 0)
                .attribute(LINK_NAME, &name(interface)),
        )
    }

    /// Takes an interface off its bridge.
    pub(crate) fn release(&self, index: Index) -> io::Result<()> {
        let nobody: Index = 0;
        let message = Message::new(NEW_LINK, 0).link(index, 0);
        self.ask(message.attribute(LINK_MASTER, &nobody.to_ne_bytes()))
    }

    /// Switches an interface on.
    pub(crate) fn bring_up(&self, index: Index) -> io::Result<()> {
        self.ask(Message::new(NEW_LINK, 0).link(index, UP))
    }

    /// Gives an interface an address.
    pub(crate) fn add_address(
        &self,
        index: Index,
        address: Ipv4Addr,
        prefix: u8,
    ) -> io::Result<()> {
        let message = Message::new(NEW_ADDRESS, CREATE | EXCLUSIVE)
            .bytes(&[INET, prefix, 0, 0])
            .bytes(&index.to_ne_bytes())
            .attribute(ADDRESS_LOCAL, &address.octets())
            .attribute(ADDRESS_ADDRESS, &address.octets());
        self.ask(message)
    }

    /// Sends all else through a gateway.
    pub(crate) fn add_default_route(&self, index: Index, gateway: Ipv4Addr) -> io::Result<()> {
        let message = Message::new(NEW_ROUTE, CREATE | EXCLUSIVE)
            .bytes(&[INET, 0, 0, 0])
            .bytes(&ROUTE)
            .bytes(&[0; 4])
            .attribute(ROUTE_GATEWAY, &gateway.octets())
            .attribute(ROUTE_OUT, &index.to_ne_bytes());
        self.ask(message)
    }
}

/// The index of an interface in the namespace of the calling thread.
pub(crate) fn index_of(interface: &str) -> io::Result<Index> {
    Ok(nix::net::if_::if_nametoindex(interface)?)
}
