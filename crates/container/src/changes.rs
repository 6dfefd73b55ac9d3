//! What a container changed, and its files as an archive.

use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};

use rbuild_layer::{EntryKind, OverlayFlavor, index_upper, write_tar};
use rbuild_store::{Container, Store};
use rbuild_sys::openat2;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::ContainerError;
use crate::directories::Directories;
use crate::view::View;

/// A path that is not as the image has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    /// From the root, with a slash before it.
    pub path: Vec<u8>,
    /// What became of it.
    pub how: How,
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The image does not have it.
    Added,
    /// The image has another.
    Changed,
    /// Only the image has it.
    Deleted,
}

/// What a container changed, in the order of paths.
pub fn changes(store: &Store, container: &Container) -> Result<Vec<Changed>, ContainerError> {
    let upper = open_upper(store, container)?;
    let index = index_upper(upper.as_fd(), OverlayFlavor::detect())?;
    let image = View::image(store, container)?;
    // What is behind a link of the image's is not what the container changed, and may be the host's.
    let (flags, mode) = (
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let in_image = |path: &[u8]| {
        image
            .as_ref()
            .is_some_and(|image| openat2(&image.root, path, flags, mode, resolve).is_ok())
    };
    let mut all: Vec<Changed> = index
        .entries()
        .iter()
        .map(|entry| Changed {
            path: [&b"/"[..], entry.path.as_ref()].concat(),
            how: match entry.kind {
                EntryKind::Whiteout => How::Deleted,
                _ if in_image(&entry.path) => How::Changed,
                _ => How::Added,
            },
        })
        .collect();
    all.sort();
    Ok(all)
}

/// Writes all files of a container as a tar, without what is in its volumes.
pub fn export(
    store: &Store,
    container: &Container,
    sink: impl Write,
) -> Result<(), ContainerError> {
    let view = View::own(store, container)?;
    let root = reopen(&view.root)?;
    let index = index_upper(root.as_fd(), OverlayFlavor::detect())?;
    let mut sink = BufWriter::new(sink);
    write_tar(root.as_fd(), &index, &mut sink)?;
    sink.flush().map_err(ContainerError::Attach)
}

pub(crate) fn open_upper(store: &Store, container: &Container) -> Result<OwnedFd, ContainerError> {
    let diff = Directories::new(store.container_path(&container.id))
        .upper()
        .diff;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&diff, flags, Mode::empty()).map_err(|error| ContainerError::Create {
        path: diff,
        source: error.into(),
    })
}

/// A mount's root, to be listed: its own descriptor can only be passed through.
fn reopen(root: &OwnedFd) -> Result<OwnedFd, ContainerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(root, ".", flags, Mode::empty())
        .map_err(|error| ContainerError::Attach(error.into()))
}
