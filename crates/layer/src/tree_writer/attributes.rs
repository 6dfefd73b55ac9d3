//! Owner, mode, times and extended attributes of what is written.

use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fchmod, fchown, fstat,
    futimens, statat, utimensat,
};
use rustix::io::Errno;

use crate::OverlayFlavor;
use crate::error::{LayerError, Result};
use crate::index::entry::{Entry, Mtime};

/// What an entry has besides its contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Mtime,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    /// Of root, from 1970, with these permission bits.
    pub fn with_mode(mode: u32) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }
}

impl From<&Entry> for Attributes {
    fn from(entry: &Entry) -> Self {
        Self {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        }
    }
}

/// What this process can do about owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Any owner of the map can be set.
    Settable,
    /// The user namespace knows a single id: everything stays with it, the index says who it belongs to.
    Single,
}

impl Ownership {
    pub(super) fn detect(flavor: OverlayFlavor) -> Result<Self> {
        if flavor == OverlayFlavor::Trusted {
            return Ok(Self::Settable);
        }
        let map = std::fs::read_to_string("/proc/self/uid_map")
            .map_err(|error| LayerError::file("read the id map for", b"", error))?;
        let ids: u64 = map
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok())
            .sum();
        Ok(if ids > 1 {
            Self::Settable
        } else {
            Self::Single
        })
    }

    /// Gives an open file or directory its owner, mode and extended attributes: in this order, since
    /// changing the owner takes set-user-id bits and capabilities away.
    pub(super) fn apply(
        self,
        file: BorrowedFd<'_>,
        attributes: &Attributes,
        path: &[u8],
    ) -> Result<()> {
        let stat = fstat(file).map_err(|errno| LayerError::file("stat", path, errno))?;
        let (owner, group) = ids(attributes, path)?;
        let mut mode_is_kept = true;
        if !is_owned(&stat, attributes) {
            mode_is_kept = false;
            self.tolerate(fchown(file, owner, group))
                .map_err(|errno| LayerError::file("change the owner of", path, errno))?;
        }
        if !mode_is_kept || stat.st_mode & 0o7777 != attributes.mode {
            fchmod(file, Mode::from_raw_mode(attributes.mode))
                .map_err(|errno| LayerError::file("change the mode of", path, errno))?;
        }
        for (name, value) in &attributes.xattrs {
            match self.tolerate(crate::xattr::set(file, name, value)) {
                // The file system keeps none; the index does.
                Ok(()) | Err(Errno::NOTSUP) => {}
                Err(errno) => {
                    return Err(LayerError::file(
                        "set an extended attribute of",
                        path,
                        errno,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Gives a link, device or pipe its owner and mode.
    pub(super) fn apply_named(
        self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        attributes: &Attributes,
        path: &[u8],
    ) -> Result<()> {
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| LayerError::file("stat", path, errno))?;
        if !is_owned(&stat, attributes) {
            let (owner, group) = ids(attributes, path)?;
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            self.tolerate(chownat(directory, name, owner, group, flags))
                .map_err(|errno| LayerError::file("change the owner of", path, errno))?;
        }
        let is_link =
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink;
        if !is_link && stat.st_mode & 0o7777 != attributes.mode {
            let mode = Mode::from_raw_mode(attributes.mode);
            chmodat(directory, name, mode, AtFlags::empty())
                .map_err(|errno| LayerError::file("change the mode of", path, errno))?;
        }
        Ok(())
    }

    /// Where only one id is known, others cannot be set.
    fn tolerate(self, result: rustix::io::Result<()>) -> rustix::io::Result<()> {
        match result {
            Err(Errno::PERM | Errno::INVAL) if self == Self::Single => Ok(()),
            result => result,
        }
    }
}

/// Sets the modification time of an open file.
pub(super) fn set_times(file: BorrowedFd<'_>, mtime: Mtime) -> rustix::io::Result<()> {
    futimens(file, &timestamps(mtime))
}

/// Sets the modification time of a name, which is not followed.
pub(super) fn set_times_of(
    directory: BorrowedFd<'_>,
    name: &[u8],
    mtime: Mtime,
) -> rustix::io::Result<()> {
    utimensat(
        directory,
        name,
        &timestamps(mtime),
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

fn timestamps(mtime: Mtime) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: mtime.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn is_owned(stat: &Stat, attributes: &Attributes) -> bool {
    (stat.st_uid, stat.st_gid) == (attributes.uid, attributes.gid)
}

/// The owner for the kernel, which reads the largest number as "leave it".
fn ids(attributes: &Attributes, path: &[u8]) -> Result<(Option<Uid>, Option<Gid>)> {
    if attributes.uid == u32::MAX || attributes.gid == u32::MAX {
        return Err(LayerError::entry(path, "its owner is no valid id"));
    }
    Ok((
        Some(Uid::from_raw(attributes.uid)),
        Some(Gid::from_raw(attributes.gid)),
    ))
}
