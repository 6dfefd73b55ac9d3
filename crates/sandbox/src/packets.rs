//! Packets with descriptors between processes of this program: unix(7), `SOCK_SEQPACKET`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// The largest packet: the paths of five hundred layers fit. What is longer travels in memory files.
const PACKET_BYTES: usize = 128 << 10;
/// The kernel passes up to 253 descriptors at once.
pub(crate) const MAX_DESCRIPTORS: usize = 253;

/// One end of a connection.
#[derive(Debug)]
pub struct Packets(OwnedFd);

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
            vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
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
            vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
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
