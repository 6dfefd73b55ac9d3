//! Descriptors of a layer's directories, kept open while they are in use.
//!
//! Every path is walked from a directory that is open already, one component at a time where it is too
//! long for the kernel, and never through a symbolic link: nothing outside the layer can be reached.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rbuild_sys::openat2;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;

use crate::error::{LayerError, Result};
use crate::index::path::split;

/// Directories kept open: enough for the working set of a walk in order, far below the usual limit of
/// 1024 descriptors.
const KEPT_DIRECTORIES: usize = 128;

/// The kernel takes paths of up to 4095 bytes; longer ones are walked in pieces.
const PATH_BYTES: usize = 4000;

/// How every path inside a layer is resolved.
pub(crate) const CONFINED: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// How directories are opened.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens directories below one root; the recently used stay open.
pub(crate) struct Directories<Root> {
    root: Root,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    open: HashMap<Vec<u8>, Arc<OwnedFd>>,
    order: VecDeque<Vec<u8>>,
}

/// A directory to work in.
pub(crate) enum Directory<'a> {
    Root(BorrowedFd<'a>),
    Below(Arc<OwnedFd>),
}

impl AsFd for Directory<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(root) => *root,
            Self::Below(directory) => directory.as_fd(),
        }
    }
}

impl<Root: AsFd> Directories<Root> {
    pub(crate) fn new(root: Root) -> Self {
        Self {
            root,
            kept: Mutex::default(),
        }
    }

    /// The layer's root.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory at `path`, which is clean; empty for the root.
    pub(crate) fn open(&self, path: &[u8]) -> Result<Directory<'_>> {
        if path.is_empty() {
            return Ok(Directory::Root(self.root.as_fd()));
        }
        if let Some(open) = self.kept().open.get(path) {
            return Ok(Directory::Below(Arc::clone(open)));
        }
        let opened = Arc::new(
            self.walk(path)
                .map_err(|errno| LayerError::file("open directory", path, errno))?,
        );
        self.keep(path, &opened);
        Ok(Directory::Below(opened))
    }

    /// Opens the file at `path` for reading; never a link, a device or a pipe's other end.
    pub(crate) fn open_file(&self, path: &[u8]) -> Result<OwnedFd> {
        let (parent, name) = split(path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let directory = self.open(parent)?;
        openat(&directory, name, flags, Mode::empty())
            .map_err(|errno| LayerError::file("open", path, errno))
    }

    /// Forgets `path` and all below it: it is about to be removed.
    pub(crate) fn forget(&self, path: &[u8]) {
        let mut kept = self.kept();
        let Kept { open, order } = &mut *kept;
        order.retain(|name| {
            let gone = crate::index::path::is_within(name, path);
            if gone {
                open.remove(name);
            }
            !gone
        });
    }

    fn walk(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let (parent, name) = split(path);
        if let Some(open) = self.kept().open.get(parent).map(Arc::clone) {
            return openat(&open, name, DIRECTORY, Mode::empty());
        }
        let mut rest = path;
        let mut current: Option<OwnedFd> = None;
        loop {
            let (piece, after) = cut(rest);
            let from = current.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            let next = openat2(from, piece, DIRECTORY, Mode::empty(), CONFINED)?;
            if after.is_empty() {
                return Ok(next);
            }
            current = Some(next);
            rest = after;
        }
    }

    fn keep(&self, path: &[u8], opened: &Arc<OwnedFd>) {
        let mut kept = self.kept();
        if kept
            .open
            .insert(path.to_vec(), Arc::clone(opened))
            .is_some()
        {
            return;
        }
        kept.order.push_back(path.to_vec());
        if kept.order.len() > KEPT_DIRECTORIES
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.open.remove(&oldest);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest leading part of `path` that the kernel takes, and the rest.
fn cut(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= PATH_BYTES {
        return (path, &[]);
    }
    match memchr::memrchr(b'/', &path[..PATH_BYTES]) {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (path, &[]),
    }
}
