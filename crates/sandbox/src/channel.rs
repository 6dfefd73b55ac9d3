//! Words between the caller and its init: packets of JSON with descriptors.
//!
//! ```text
//!   caller ═══ control ═══ keeper (waits for the process, kills it when the caller is gone)
//!       ╚═════ report ════ init   (closed by exec: silence means that the command runs)
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rbuild_sys::{Packets, Room};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::InitFailure;
use crate::stub::Made;

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct Channel(Packets);

/// The caller's order, with its descriptors in this order: the specification, the filter where
/// there is one, the report channel, stdin, stdout and stderr where they are given, the trees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) filter: bool,
    pub(crate) stdin: bool,
    pub(crate) output: bool,
    pub(crate) terminal: Option<TerminalSize>,
    pub(crate) tie: Tie,
    /// The AppArmor profile that the command comes under.
    pub(crate) profile: Option<String>,
}

/// Whether a process outlives who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tie {
    /// It is killed when its caller is gone.
    Firm,
    /// It goes on, and what it writes to what its caller has left is read away.
    Loose,
}

/// From the caller of a loose process, with descriptors: what is to be read there once the caller is gone. They take the
/// place of those that were named before.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Hold;

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
        let (left, right) = Packets::pair()?;
        Ok((Self(left), Self(right)))
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0.into()
    }

    pub(crate) fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.0
            .send(&[&serde_json::to_vec(message)?], descriptors, Room::Wait)
    }

    /// The next message with its descriptors, or `None` when the other end is closed.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let Some((bytes, descriptors)) = self.0.receive()? else {
            return Ok(None);
        };
        Ok(Some((serde_json::from_slice(&bytes)?, descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
