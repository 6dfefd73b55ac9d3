//! Sockets of the container's namespace, for a process that is in the host's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use nix::sched::{CloneFlags, setns};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::NetworkError;

/// A thread that is in the namespace and makes sockets there.
#[derive(Debug, Clone)]
pub(super) struct Inside(Arc<Maker>);

#[derive(Debug)]
struct Maker {
    wanted: SyncSender<(AddressFamily, SocketType)>,
    made: std::sync::Mutex<Receiver<io::Result<OwnedFd>>>,
}

impl Inside {
    pub(super) fn new(namespace: OwnedFd) -> Result<Self, NetworkError> {
        let (wanted, orders) = sync_channel::<(AddressFamily, SocketType)>(1);
        let (deliver, made) = sync_channel(1);
        let enter = move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            give_up_capabilities()
        };
        std::thread::spawn(move || {
            let entered = enter();
            let failed = entered.is_err();
            // Whoever asked hears of it.
            let told =
                deliver.send(entered.and_then(|()| socket(AddressFamily::INET, SocketType::DGRAM)));
            if failed || told.is_err() {
                return;
            }
            for (family, kind) in orders {
                if deliver.send(socket(family, kind)).is_err() {
                    return;
                }
            }
        });
        made.recv()
            .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
            .map_err(NetworkError::step("enter the container's network"))?;
        Ok(Self(Arc::new(Maker {
            wanted,
            made: std::sync::Mutex::new(made),
        })))
    }

    /// A socket that is being connected with `address` of the container's world.
    pub(super) fn connect(&self, kind: SocketType, address: SocketAddr) -> io::Result<OwnedFd> {
        let socket = self.socket(address.ip(), kind)?;
        begin(&socket, address)?;
        Ok(socket)
    }

    /// A socket for addresses as this one.
    pub(super) fn socket(&self, address: IpAddr, kind: SocketType) -> io::Result<OwnedFd> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let made = self.0.made.lock().map_err(|_| gone())?;
        self.0
            .wanted
            .send((family(address), kind))
            .map_err(|_| gone())?;
        made.recv().map_err(|_| gone())?
    }
}

/// A socket that is being connected with `address` of the host's world.
pub(super) fn connect_outside(kind: SocketType, address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(family(address.ip()), kind)?;
    begin(&socket, address)?;
    Ok(socket)
}

pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    }
}

pub(super) fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, kind, flags, None)?)
}

fn begin(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    match connect(socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The calling thread needs none from here on.
pub(super) fn give_up_capabilities() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    Ok(())
}
