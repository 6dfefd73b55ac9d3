//! Takes mount points that an init had to make out of the changes again.
//!
//! A mount point goes if it is still empty; the directory it was in gets its time back unless the
//! step changed it too; a directory that is in the changes only because a mount point was made in
//! it goes as well.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_sys::openat2;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, fstat,
    futimens, open, statat, unlinkat,
};
use rustix::io::Errno;

use crate::channel::MadeAt;
use crate::stub::{CopiedUp, Made, MadeKind, Moment, State};
use crate::{Root, SandboxError};

/// The directory that holds what a step changes, if it can change anything.
pub(crate) fn changes_of(root: &Root) -> Option<PathBuf> {
    match root {
        Root::Overlay(merged) => merged.upper.as_ref().map(|upper| upper.diff.clone()),
        Root::Directory(directory) => Some(directory.clone()),
    }
}

/// Removes `made`, last made first, from below `changes`.
pub(crate) fn remove(changes: &Path, made: &[MadeAt]) -> Result<(), SandboxError> {
    if made.is_empty() {
        return Ok(());
    }
    let fail = |path: &Path, error: Errno| SandboxError::Cleanup {
        path: path.to_owned(),
        source: io::Error::from(error),
    };
    let root = open(
        changes,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| fail(changes, error))?;
    for MadeAt { path, made } in made.iter().rev() {
        remove_one(root.as_fd(), path, made).map_err(|error| fail(path, error))?;
    }
    Ok(())
}

fn remove_one(root: BorrowedFd<'_>, path: &Path, made: &Made) -> rustix::io::Result<()> {
    let Some((parent, name)) = open_parent(root, path)? else {
        return Ok(());
    };
    let last_change = Moment::from(&fstat(&parent)?);
    let removed = match made.kind {
        MadeKind::Directory => unlinkat(&parent, name, AtFlags::REMOVEDIR),
        MadeKind::File if is_empty_file(parent.as_fd(), name)? => {
            unlinkat(&parent, name, AtFlags::empty())
        }
        MadeKind::File => return Ok(()),
    };
    match removed {
        Ok(()) => {}
        // The step put something there, or took it away itself.
        Err(Errno::NOTEMPTY | Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(error) => return Err(error),
    }
    let time = if last_change == made.after {
        made.before
    } else {
        last_change
    };
    set_time(parent.as_fd(), time)?;
    for copied in made.copied_up.iter().rev() {
        if !remove_copy(root, copied)? {
            break;
        }
    }
    Ok(())
}

/// The directory of `path` and its last name, or `None` when the step took the directory away.
fn open_parent<'a>(
    root: BorrowedFd<'_>,
    path: &'a Path,
) -> rustix::io::Result<Option<(OwnedFd, &'a OsStr)>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let opened = openat2(
        root,
        parent,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    );
    match opened {
        Ok(directory) => Ok(Some((directory, name))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_empty_file(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<bool> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => {
            Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0)
        }
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn set_time(directory: BorrowedFd<'_>, time: Moment) -> rustix::io::Result<()> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: time.seconds,
            tv_nsec: time.nanoseconds,
        },
    };
    futimens(directory, &times)
}

/// Removes a directory that was only copied up, if it is empty and as it was. Says whether it did.
fn remove_copy(root: BorrowedFd<'_>, copied: &CopiedUp) -> rustix::io::Result<bool> {
    let Some((parent, name)) = open_parent(root, &copied.path)? else {
        return Ok(false);
    };
    let before = Moment::from(&fstat(&parent)?);
    match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if State::from(&stat) == copied.state => {}
        Ok(_) | Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error),
    }
    match unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) => {}
        Err(Errno::NOTEMPTY) => return Ok(false),
        Err(error) => return Err(error),
    }
    set_time(parent.as_fd(), before)?;
    Ok(true)
}
