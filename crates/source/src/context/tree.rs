//! A context as the rest of the build sees it: an index, and files that can be opened as they were indexed.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rbuild_layer::ContentIndex;
use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};

use crate::context::name::{open_beneath, stamp_of, text};
use crate::context::stat_cache::Stamp;
use crate::context::{Context, Needed, component_order};
use crate::{IgnoreRules, SourceError};

/// The ticks of the kernel's file clock are at most this long (`CONFIG_HZ=100`), doubled.
const TICK_NANOSECONDS: i128 = 20_000_000;
/// File systems without fractions of a second: FAT keeps time in steps of two.
const COARSE_TICK_NANOSECONDS: i128 = 2_000_000_000;

/// A directory and its index. Nothing in the index is the host's: uid and gid are 0 (or an archive's), hard links are
/// plain files, sockets are empty files that nobody can open.
#[derive(Debug)]
pub struct ContextTree {
    root: OwnedFd,
    index: ContentIndex,
    /// For each entry of the index its stamp, if it is a file; empty for a tree that only we write.
    stamps: Vec<Option<Stamp>>,
    quiet: Quiet,
}

/// An opened file of a context.
#[derive(Debug)]
pub struct ContextFile {
    file: File,
    path: Vec<u8>,
    stamp: Option<Stamp>,
    trust: Trust,
}

/// How sure it is that a file whose `stat` is as indexed has the bytes that were indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Every change shows.
    Settled,
    /// It was written so shortly before the walk that a further write may have left its times as they were: whoever
    /// reads it compares the digest.
    Racy,
}

impl ContextTree {
    /// The tree at `directory`, which only we write to: an unpacked archive, a checkout. Nothing is
    /// ignored, nothing is verified later.
    pub fn private(directory: &Path) -> Result<Self, SourceError> {
        let mut tree = Context::open(directory, IgnoreRules::none())?.walk(&Needed::All, None)?;
        tree.stamps = Vec::new();
        Ok(tree)
    }

    /// A tree whose index was made with it.
    pub fn indexed(root: OwnedFd, index: ContentIndex) -> Self {
        let quiet = Quiet::now();
        Self {
            root,
            index,
            stamps: Vec::new(),
            quiet,
        }
    }

    /// The index alone, where the directory goes on as something else.
    #[must_use]
    pub fn into_index(self) -> ContentIndex {
        self.index
    }

    pub(crate) fn stamped(
        root: OwnedFd,
        index: ContentIndex,
        stamps: Vec<Option<Stamp>>,
        quiet: Quiet,
    ) -> Self {
        assert_eq!(index.len(), stamps.len(), "a walk yields every path once");
        Self {
            root,
            index,
            stamps,
            quiet,
        }
    }

    /// The directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// What is in it.
    pub fn index(&self) -> &ContentIndex {
        &self.index
    }

    /// Opens the file at `path`, which must be one of the index, without following any link.
    ///
    /// [`SourceError::ChangedContext`] if it is not the file that was indexed any more. After reading ask
    /// [`ContextFile::verify`] once more.
    pub fn open_file(&self, path: &[u8]) -> Result<ContextFile, SourceError> {
        let changed = || SourceError::ChangedContext { path: text(path) };
        let at = self
            .index
            .entries()
            .binary_search_by(|entry| component_order(&entry.path, path))
            .map_err(|_| changed())?;
        let stamp = self.stamps.get(at).copied().flatten();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor = open_beneath(self.root(), path, flags).map_err(|error| {
            use rustix::io::Errno;
            match error {
                Errno::NOENT | Errno::NOTDIR | Errno::LOOP => changed(),
                error => SourceError::ReadContext {
                    path: text(path),
                    source: error.into(),
                },
            }
        })?;
        let trust = match &stamp {
            Some(stamp) if !self.quiet.covers(stamp) => Trust::Racy,
            _ => Trust::Settled,
        };
        let file = ContextFile {
            file: descriptor.into(),
            path: path.to_vec(),
            stamp,
            trust,
        };
        file.verify()?;
        Ok(file)
    }
}

impl ContextFile {
    /// The file, at its start.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether [`ContextFile::verify`] tells all.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// That it is still what was indexed: inode, size, mtime and ctime.
    pub fn verify(&self) -> Result<(), SourceError> {
        let Some(stamp) = &self.stamp else {
            return Ok(());
        };
        let stat = rustix::fs::fstat(&self.file).map_err(|error| SourceError::ReadContext {
            path: text(&self.path),
            source: error.into(),
        })?;
        if stamp_of(&stat) == *stamp {
            Ok(())
        } else {
            Err(SourceError::ChangedContext {
                path: text(&self.path),
            })
        }
    }
}

/// The moment before a walk, on the clock that the kernel stamps files with: what changed safely before it
/// cannot change again without a new ctime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet {
    now: i128,
}

impl Quiet {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Self {
            now: nanoseconds(now.tv_sec, now.tv_nsec as u32),
        }
    }

    /// Whether a file with this stamp was quiet at that moment. Only ctime counts: it is set by every change, and
    /// nobody can choose it.
    pub(crate) fn covers(&self, stamp: &Stamp) -> bool {
        let (seconds, fraction) = stamp.ctime;
        let tick = if fraction == 0 {
            COARSE_TICK_NANOSECONDS
        } else {
            TICK_NANOSECONDS
        };
        nanoseconds(seconds, fraction) + tick <= self.now
    }
}

fn nanoseconds(seconds: i64, nanoseconds: u32) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

/// Opens the directory at `path`.
pub(crate) fn open_directory(path: &Path) -> std::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
