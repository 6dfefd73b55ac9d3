//! What the base of a layer has at a path, read without leaving it.

use std::os::fd::{AsFd, BorrowedFd};

use rbuild_layer::{Attributes, Mtime, Xattrs};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::Existing;

/// What the base has at a path.
pub(super) struct Found {
    pub(super) existing: Existing,
    pub(super) attributes: Attributes,
}

/// Looks at `path`, the last link of which is not followed, inside `base`.
pub(super) fn find(base: BorrowedFd<'_>, path: &[u8]) -> Result<Found, Errno> {
    let node = rbuild_sys::openat2(
        base,
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?;
    let stat = rustix::fs::statx(&node, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    let xattrs = match kind {
        FileType::Directory => directory_xattrs(node.as_fd())?,
        _ => Vec::new(),
    };
    let attributes = Attributes {
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        mtime: Mtime {
            seconds: stat.stx_mtime.tv_sec,
            nanoseconds: stat.stx_mtime.tv_nsec,
        },
        xattrs,
    };
    let existing = match kind {
        FileType::Directory => Existing::Directory,
        FileType::Symlink => {
            Existing::Link(rustix::fs::readlinkat(&node, c"", Vec::new())?.into_bytes())
        }
        _ => Existing::Other,
    };
    Ok(Found {
        existing,
        attributes,
    })
}

/// What a layer that holds `directory` too has to repeat.
fn directory_xattrs(directory: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(directory, c".", flags, Mode::empty())?;
    rbuild_layer::layer_xattrs(readable.as_fd())
}
