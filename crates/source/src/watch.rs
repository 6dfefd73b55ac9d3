//! Waiting for something to change in directories (inotify).
//!
//! What changed is for the caller to find out by looking: editors write files in many ways (in place, beside it and renamed), and all
//! of them show as something that happened in the file's directory.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::SourceError;

/// Room for what happened, in bytes: more is read in several goes.
const BUFFER_BYTES: usize = 64 << 10;

/// Directories of which it is told when something happens in them, not below.
#[derive(Debug)]
pub struct DirectoryWatch {
    queue: OwnedFd,
    /// The kernel's number for each directory.
    watched: HashMap<i32, PathBuf>,
}

/// Whether there are directories that were not watched before: what happened in them until now is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grown {
    /// There are.
    Yes,
    /// All were watched already.
    No,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something happened in one of the directories.
    Change,
    /// The time is over.
    Timeout,
    /// There was something to read from the other descriptor.
    Other,
}

impl DirectoryWatch {
    /// Of no directory yet.
    pub fn new() -> Result<Self, SourceError> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        Ok(Self {
            queue: queue.map_err(|error| failed(Path::new("."), error))?,
            watched: HashMap::new(),
        })
    }

    /// Watches these directories and no others. What is not there, or no directory, is left out.
    pub fn set(
        &mut self,
        directories: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Grown, SourceError> {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let mut next = HashMap::new();
        let mut grown = Grown::No;
        for directory in directories {
            match inotify::add_watch(&self.queue, &directory, flags) {
                Ok(number) => {
                    if !self.watched.contains_key(&number) {
                        grown = Grown::Yes;
                    }
                    next.insert(number, directory);
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(error) => return Err(failed(&directory, error)),
            }
        }
        for number in self.watched.keys() {
            if !next.contains_key(number) {
                // It is gone already when its directory is.
                let _ = inotify::remove_watch(&self.queue, *number);
            }
        }
        self.watched = next;
        Ok(grown)
    }

    /// Waits for something to happen, for `other` to be readable, or for the end of `time`.
    pub fn wait(&mut self, other: BorrowedFd<'_>, time: Option<Duration>) -> io::Result<Woken> {
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let mut polled = [
            PollFd::from_borrowed_fd(other, PollFlags::IN),
            PollFd::from_borrowed_fd(self.queue.as_fd(), PollFlags::IN),
        ];
        match poll(&mut polled, time.as_ref()) {
            Ok(0) => Ok(Woken::Timeout),
            Ok(_) if !polled[0].revents().is_empty() => Ok(Woken::Other),
            // Looking once too often does no harm.
            Ok(_) | Err(Errno::INTR) => {
                self.forget_events()?;
                Ok(Woken::Change)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what happened until now.
    fn forget_events(&mut self) -> io::Result<()> {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
        let mut events = inotify::Reader::new(&self.queue, &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {
                    self.watched.remove(&event.wd());
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn failed(path: &Path, error: Errno) -> SourceError {
    let hint = match error {
        Errno::NOSPC => {
            " (there are more directories than the kernel watches for a user: raise fs.inotify.max_user_watches, or name what is not to be watched in .dockerignore)"
        }
        Errno::MFILE => {
            " (too many programs watch files for this user: raise fs.inotify.max_user_instances)"
        }
        _ => "",
    };
    SourceError::Watch {
        path: path.to_owned(),
        hint,
        source: error.into(),
    }
}
