//! Packets with descriptors between processes of this program: unix(7), `SOCK_SEQPACKET`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with, socketpair,
};

/// The largest packet: the paths of five hundred layers fit. What is longer travels in memory files.
const PACKET_BYTES: usize = 128 << 10;
/// The kernel passes up to 253 descriptors at once.
pub const MAX_PASSED_DESCRIPTORS: usize = 253;

/// Who may wait to be let in.
const BACKLOG: i32 = 64;

/// One end of a connection.
#[derive(Debug)]
pub struct Packets(OwnedFd);

/// Where others come in, by a name in a directory.
#[derive(Debug)]
pub struct Door(OwnedFd);

/// The file of a door in its directory: no other is the same as long as the door is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorFile {
    device: u64,
    inode: u64,
}

/// Whether to wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Until there is some.
    Wait,
    /// Fail with `WOULDBLOCK` instead.
    Now,
}

impl Packets {
    /// Two connected ends, both closed by exec.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(left), Self(right)))
    }

    /// Through the door of this name in `directory`; `None` if there is none, or nobody behind it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(directory: &Path, name: &str) -> io::Result<Option<Self>> {
        Self::connect_through(new_socket()?, directory, name)
    }

    /// The same, but neither this nor anything that is done with the result keeps the caller waiting for longer than
    /// `patience`.
    ///
    /// # Errors
    /// `WouldBlock` if nobody lets us in in that time; the kernel's.
    pub fn connect_within(
        directory: &Path,
        name: &str,
        patience: Duration,
    ) -> io::Result<Option<Self>> {
        let socket = new_socket()?;
        // Of room among those who wait at the door, too.
        set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(patience))?;
        Self::connect_through(socket, directory, name)
    }

    fn connect_through(socket: OwnedFd, directory: &Path, name: &str) -> io::Result<Option<Self>> {
        let Some((address, _directory)) = address(directory, name)? else {
            return Ok(None);
        };
        match rustix::io::retry_on_intr(|| connect(&socket, &address)) {
            Ok(()) => Ok(Some(Self(socket))),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends one packet, made of `parts`.
    ///
    /// # Errors
    /// The kernel's: `E2BIG` for too many descriptors, `EPIPE` when the other end is closed.
    pub fn send(
        &self,
        parts: &[&[u8]],
        descriptors: &[BorrowedFd<'_>],
        room: Room,
    ) -> io::Result<()> {
        let mut space =
            vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(Errno::TOOBIG.into());
        }
        let flags = match room {
            Room::Wait => SendFlags::NOSIGNAL,
            Room::Now => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        };
        let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        rustix::io::retry_on_intr(|| sendmsg(&self.0, &parts, &mut ancillary, flags))?;
        Ok(())
    }

    /// The next packet with its descriptors; `None` when the other end is closed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; PACKET_BYTES];
        let mut space =
            vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let received = recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            );
            match received {
                // The other end closed before it had read all: told once, and before what it had sent.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                other => break other?,
            }
        };
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        bytes.truncate(received.bytes);
        Ok((!bytes.is_empty()).then_some((bytes, descriptors)))
    }
}

impl From<OwnedFd> for Packets {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<Packets> for OwnedFd {
    fn from(packets: Packets) -> Self {
        packets.0
    }
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Door {
    /// Opens the door of this name in `directory`, in the place of one that somebody dead has left.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(directory: &Path, name: &str) -> io::Result<Self> {
        Self::remove(directory, name)?;
        let (address, _directory) = address(directory, name)?.ok_or(Errno::NOENT)?;
        let socket = new_socket()?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        Ok(Self(socket))
    }

    /// Whoever comes from here on finds none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(directory: &Path, name: &str) -> io::Result<()> {
        match std::fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The file of the door of this name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn file(directory: &Path, name: &str) -> io::Result<DoorFile> {
        let found = std::fs::symlink_metadata(directory.join(name))?;
        Ok(DoorFile {
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Removes the door of this name, unless it is somebody else's by now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_own(directory: &Path, name: &str, own: DoorFile) -> io::Result<()> {
        match Self::file(directory, name) {
            Ok(there) if there == own => Self::remove(directory, name),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets the next one in.
    ///
    /// # Errors
    /// The kernel's.
    pub fn accept(&self) -> io::Result<Packets> {
        let socket = rustix::io::retry_on_intr(|| accept_with(&self.0, SocketFlags::CLOEXEC))?;
        Ok(Packets(socket))
    }
}

impl std::fmt::Display for DoorFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

impl std::str::FromStr for DoorFile {
    type Err = io::Error;

    /// As it displays.
    fn from_str(text: &str) -> io::Result<Self> {
        let number = |text: &str| text.parse().map_err(io::Error::other);
        let (device, inode) = text.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            device: number(device)?,
            inode: number(inode)?,
        })
    }
}

impl From<OwnedFd> for Door {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<Door> for OwnedFd {
    fn from(door: Door) -> Self {
        door.0
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// A door's address, through an open directory: a socket's path has at most 107 bytes. Good as long as the descriptor.
fn address(directory: &Path, name: &str) -> io::Result<Option<(SocketAddrUnix, OwnedFd)>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(directory, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    Ok(Some((SocketAddrUnix::new(path)?, directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "door";

    #[test]
    fn a_door_that_was_replaced_is_left_to_its_new_owner() {
        let directory = tempfile::tempdir().expect("a place");
        let place = directory.path();
        let _first = Door::open(place, NAME).expect("it opens");
        let own = Door::file(place, NAME).expect("it is there");
        assert_eq!(own.to_string().parse::<DoorFile>().expect("ours"), own);
        let _second = Door::open(place, NAME).expect("it opens");
        Door::remove_own(place, NAME, own).expect("nothing to do");
        assert!(place.join(NAME).exists());
        let newer = Door::file(place, NAME).expect("it is there");
        Door::remove_own(place, NAME, newer).expect("removed");
        assert!(!place.join(NAME).exists());
        Door::remove_own(place, NAME, newer).expect("nothing to do");
    }

    #[test]
    fn nobody_waits_for_ever_at_a_door_that_nobody_opens() {
        const PATIENCE: Duration = Duration::from_millis(1);
        let directory = tempfile::tempdir().expect("a place");
        let _door = Door::open(directory.path(), NAME).expect("it opens");
        let knock = || Packets::connect_within(directory.path(), NAME, PATIENCE);
        let mut waiting = Vec::new();
        let refused = loop {
            match knock() {
                Ok(link) => waiting.push(link.expect("there is a door")),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        let unheard = waiting[0].receive().expect_err("nobody speaks");
        assert_eq!(unheard.kind(), io::ErrorKind::WouldBlock);
    }
}
