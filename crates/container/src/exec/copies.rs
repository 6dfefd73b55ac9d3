//! Copies between the user's streams and those of a process, each on a thread of its own.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::keys::{DetachKeys, Typed};

/// One read of output or input.
const CHUNK_BYTES: usize = 64 << 10;
/// More than a pipe or a terminal holds: what may still be there when the process has ended. Others that it has left
/// behind may write for ever.
const LAST_BYTES: usize = 128 << 10;

/// What the process writes.
pub(super) struct Outflow {
    pub(super) from: OwnedFd,
    pub(super) to: File,
}

/// What the user types.
pub(super) struct Inflow {
    pub(super) from: File,
    pub(super) to: OwnedFd,
}

/// Why no more output is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dry {
    /// All of it was copied.
    Written,
    /// Nobody reads it.
    Unread,
}

/// Why no more input is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silent {
    /// There is no more, or nobody to read it.
    Ended,
    /// The user typed the keys that leave.
    Left,
}

impl Outflow {
    /// Copies until there are no writers any more, or, once the other end of `over` is closed, what is there.
    pub(super) fn run(mut self, over: &OwnedFd) -> Dry {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut last: Option<usize> = None;
        loop {
            let Some((ready, is_over)) = wait(&self.from, PollFlags::IN, over) else {
                return Dry::Written;
            };
            if is_over && last.is_none() {
                last = Some(LAST_BYTES);
            }
            if last == Some(0) || (last.is_some() && !ready) {
                return Dry::Written;
            }
            let room = last.unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let taken = match rustix::io::read(&self.from, &mut chunk[..room]) {
                Err(Errno::INTR | Errno::AGAIN) => continue,
                // A terminal whose last user is gone ends in an error (EIO).
                Ok(0) | Err(_) => return Dry::Written,
                Ok(taken) => taken,
            };
            if self.to.write_all(&chunk[..taken]).is_err() {
                return Dry::Unread;
            }
            last = last.map(|last| last - taken);
        }
    }
}

impl Inflow {
    /// Copies until the input ends, the user types `keys`, or the other end of `over` is closed.
    pub(super) fn run(mut self, keys: Option<&DetachKeys>, over: &OwnedFd) -> Silent {
        let mut watch = keys.map(DetachKeys::watch);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match wait(&self.from, PollFlags::IN, over) {
                Some((_, false)) => {}
                _ => return Silent::Ended,
            }
            let taken = match self.from.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => return Silent::Ended,
                Ok(taken) => taken,
            };
            let typed = match &mut watch {
                Some(watch) => watch.see(&chunk[..taken]),
                None => Typed::On(chunk[..taken].to_vec()),
            };
            let (bytes, silent) = match typed {
                Typed::On(bytes) => (bytes, None),
                Typed::Leave(bytes) => (bytes, Some(Silent::Left)),
            };
            if !pour(&self.to, &bytes, over) {
                return Silent::Ended;
            }
            if let Some(silent) = silent {
                return silent;
            }
        }
    }
}

/// Writes as the process reads. Whether it took all.
fn pour(to: &OwnedFd, mut bytes: &[u8], over: &OwnedFd) -> bool {
    while !bytes.is_empty() {
        match wait(to, PollFlags::OUT, over) {
            Some((_, false)) => {}
            _ => return false,
        }
        match rustix::io::write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Waits for `stream`, or for the end. Which of them came.
fn wait(stream: &impl std::os::fd::AsFd, flags: PollFlags, over: &OwnedFd) -> Option<(bool, bool)> {
    let mut events = [PollFd::new(stream, flags), PollFd::new(over, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut events, None)).ok()?;
    let [stream, over] = events.map(|event| !event.revents().is_empty());
    Some((stream, over))
}
