//! Copies of trees, by descriptor: names are never looked up twice, and no symbolic link is followed.
//!
//! For volumes that take over what the image has at their place, and for `cp`.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod,
    fchown, fgetxattr, flistxattr, fsetxattr, futimens, mkdirat, mknodat, openat, readlinkat,
    statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

/// More than any name or value of an attribute has.
const XATTR_BYTES: usize = 64 << 10;

/// Whom the copies belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Whom the originals belong to.
    Kept,
    /// This user and group.
    Given {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Whom the originals belong to, counted from another number; what is not in the range belongs to `nobody`.
    Moved {
        /// The first id of the originals.
        from: u32,
        /// What becomes of it.
        to: u32,
        /// How many there are.
        count: u32,
    },
}

impl Owner {
    /// The id that becomes of `id`, where it is kept or moved.
    pub fn moved(self, id: u32) -> u32 {
        /// `nobody` and `nogroup`, as the kernel shows ids that have no number.
        const NOBODY: u32 = 65_534;
        match self {
            Self::Moved { from, to, count } => match id.checked_sub(from) {
                Some(offset) if offset < count => to + offset,
                _ => to.saturating_add(NOBODY),
            },
            Self::Kept | Self::Given { .. } => id,
        }
    }
}

/// Copies what is called `name` in `from`, with all below it, to `new_name` in `to`. Directories that are there are
/// filled, other things that are there are replaced. Permissions, times and attributes are kept; sockets are left out.
///
/// # Errors
/// What the file system says; `EISDIR` or `ENOTDIR` where a directory meets something else.
pub fn copy_tree(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    new_name: &OsStr,
    owner: Owner,
) -> io::Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            match mkdirat(to, new_name, Mode::RWXU) {
                Err(Errno::EXIST) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
            let (from, to) = (directory(from, name)?, directory(to, new_name)?);
            copy_contents(from.as_fd(), to.as_fd(), owner)?;
            finish(&from, &to, &stat, owner)
        }
        FileType::RegularFile => copy_file(from, name, to, new_name, &stat, owner),
        FileType::Symlink => {
            clear(to, new_name)?;
            let target = readlinkat(from, name, Vec::new())?;
            symlinkat(target, to, new_name)?;
            own_name(to, new_name, &stat, owner)
        }
        FileType::Socket => Ok(()),
        kind => {
            clear(to, new_name)?;
            mknodat(
                to,
                new_name,
                kind,
                Mode::from_raw_mode(stat.st_mode),
                stat.st_rdev,
            )?;
            own_name(to, new_name, &stat, owner)
        }
    }
}

/// Copies all that is in `from` into `to`.
///
/// # Errors
/// As [`copy_tree`].
pub fn copy_contents(from: BorrowedFd<'_>, to: BorrowedFd<'_>, owner: Owner) -> io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            copy_tree(from, name, to, name, owner)?;
        }
    }
    Ok(())
}

/// As [`copy_contents`], and `to` itself becomes as `from` is.
///
/// # Errors
/// As [`copy_tree`].
pub fn copy_directory(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    copy_contents(from.as_fd(), to.as_fd(), Owner::Kept)?;
    finish(from, to, &rustix::fs::fstat(from)?, Owner::Kept)
}

fn directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

fn copy_file(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    new_name: &OsStr,
    stat: &Stat,
    owner: Owner,
) -> io::Result<()> {
    // What was a file a moment ago must not become a pipe that is waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = openat(from, name, flags, Mode::empty())?;
    clear(to, new_name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(to, new_name, flags, Mode::RUSR | Mode::WUSR)?;
    let (mut source, mut target) = (File::from(source), File::from(target));
    io::copy(&mut source, &mut target)?;
    finish(&source.into(), &target.into(), stat, owner)
}

/// Makes room for something that is no directory.
fn clear(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Owner first: a change of it drops set-user-ID bits and capabilities.
fn finish(from: &OwnedFd, to: &OwnedFd, stat: &Stat, owner: Owner) -> io::Result<()> {
    let (uid, gid) = ids(stat, owner);
    accept_single_id(fchown(to, uid, gid))?;
    copy_attributes(from, to)?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    futimens(
        to,
        &Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec as i64),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec as i64),
        },
    )?;
    Ok(())
}

fn own_name(to: BorrowedFd<'_>, name: &OsStr, stat: &Stat, owner: Owner) -> io::Result<()> {
    let (uid, gid) = ids(stat, owner);
    accept_single_id(chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
}

fn ids(stat: &Stat, owner: Owner) -> (Option<Uid>, Option<Gid>) {
    let (uid, gid) = match owner {
        Owner::Kept | Owner::Moved { .. } => (owner.moved(stat.st_uid), owner.moved(stat.st_gid)),
        Owner::Given { uid, gid } => (uid, gid),
    };
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// In a user namespace of a single ID nothing can be given away, and nobody expects it.
fn accept_single_id(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::INVAL | Errno::PERM) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Those that the target's file system takes; overlayfs' own are not the file's.
fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let mut names = vec![0; XATTR_BYTES];
    let length = match flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0; XATTR_BYTES];
    for name in names[..length].split(|byte| *byte == 0) {
        let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
        if name.is_empty() || overlay {
            continue;
        }
        let name = OsStr::from_bytes(name);
        let length = fgetxattr(from, name, &mut value)?;
        match fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty()) {
            Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_tree_is_copied_over_what_is_there_without_following_links() {
        let place = tempfile::tempdir().expect("a directory");
        let path = |name: &str| place.path().join(name);
        std::fs::create_dir_all(path("from/deep")).expect("new");
        std::fs::write(path("from/deep/file"), "new").expect("new");
        let mode = std::fs::Permissions::from_mode(0o751);
        std::fs::set_permissions(path("from/deep/file"), mode).expect("ours");
        symlink("/etc/passwd", path("from/link")).expect("new");
        std::fs::create_dir_all(path("to/from/deep")).expect("new");
        std::fs::write(path("outside"), "safe").expect("new");
        symlink(path("outside"), path("to/from/deep/file")).expect("new");
        std::fs::write(path("to/from/deep/other"), "stays").expect("new");

        let here = File::open(place.path()).expect("it is there");
        let there = File::open(path("to")).expect("it is there");
        let name = OsStr::new("from");
        copy_tree(here.as_fd(), name, there.as_fd(), name, Owner::Kept).expect("copied");

        let read = |name: &str| std::fs::read_to_string(path(name)).expect("a file");
        assert_eq!(read("to/from/deep/file"), "new");
        assert_eq!(read("to/from/deep/other"), "stays");
        assert_eq!(read("outside"), "safe");
        let copied = std::fs::metadata(path("to/from/deep/file")).expect("it is there");
        assert_eq!(copied.permissions().mode() & 0o7777, 0o751);
        let link = std::fs::read_link(path("to/from/link")).expect("a link");
        assert_eq!(link.to_str(), Some("/etc/passwd"));
    }
}
