//! Words between the caller and its init: packets of JSON with descriptors.
//!
//! ```text
//!   caller ═══ control ═══ keeper (waits for the process, kills it when the caller is gone)
//!       ╚═════ report ════ init   (closed by exec: silence means that the command runs)
//! ```

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::InitFailure;
use crate::stub::Made;

/// Packets are small: long contents travel in memory files.
const PACKET_BYTES: usize = 128 << 10;
/// The kernel passes up to 253 descriptors at once.
pub(crate) const MAX_DESCRIPTORS: usize = 253;

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// The caller's order, with its descriptors in this order: the specification, the filter where
/// there is one, the report channel, stdin, stdout and stderr where they are given, the trees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) filter: bool,
    pub(crate) stdin: bool,
    pub(crate) output: bool,
    pub(crate) terminal: Option<TerminalSize>,
    pub(crate) tie: Tie,
}

/// Whether a process outlives who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tie {
    /// It is killed when its caller is gone.
    Firm,
    /// It goes on.
    Loose,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// From the keeper: the process exists; its pidfd comes along.
    Started { pid: u32 },
    /// From the init: the terminal's master comes along.
    Terminal,
    /// From the init: these mount points were made and must go again.
    Made(Vec<MadeAt>),
    /// From either: it ends here.
    Failed(InitFailure),
    /// From the keeper: the process has ended.
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
    },
}

/// A made mount point with its place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MadeAt {
    #[serde(with = "crate::text")]
    pub(crate) path: PathBuf,
    pub(crate) made: Made,
}

impl Channel {
    /// Two connected ends, both closed by exec.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(left), Self(right)))
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    pub(crate) fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let mut space =
            vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(
                &self.0,
                &[IoSlice::new(&bytes)],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            )
        })?;
        Ok(())
    }

    /// The next message with its descriptors, or `None` when the other end is closed.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; PACKET_BYTES];
        let mut space =
            vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        let message = serde_json::from_slice(&bytes[..received.bytes])?;
        Ok(Some((message, descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
