//! Removal of trees that strangers filled.
//!
//! Works by directory descriptors, so no name in the tree is ever resolved as a path and no symlink followed; copes
//! with directories that their owner made unreadable, with trees deeper than there are descriptors, and with
//! another process removing the same tree.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// How many directories are open at once. What lies deeper is renamed up to the top of the tree first.
const DEPTH: usize = 64;

/// One directory that is being emptied.
struct Level {
    name: CString,
    directory: OwnedFd,
    entries: Dir,
    /// Whether anything was removed from it in this round.
    progress: bool,
}

/// Removes `name` in `parent`, with all that is below it. What is not there is fine.
pub(crate) fn remove_tree(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    let parent = parent.as_fd();
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    if remove_leaf(parent, &name)? {
        return Ok(());
    }
    let Some(top) = enter(parent, name)? else {
        return Ok(());
    };
    let mut levels = vec![top];
    let mut moved = 0_u64;
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.entries.next() else {
            let level = levels.pop().expect("the loop has a last level");
            let holder = levels
                .last()
                .map_or(parent, |level| level.directory.as_fd());
            if let Some(again) = leave(holder, level)? {
                levels.push(again);
            } else if let Some(above) = levels.last_mut() {
                above.progress = true;
            }
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if entry.file_type() != FileType::Directory && remove_leaf(level.directory.as_fd(), name)? {
            level.progress = true;
            continue;
        }
        let name = name.to_owned();
        if levels.len() >= DEPTH {
            raise(&mut levels, &name, &mut moved)?;
        } else if let Some(below) = enter(levels[levels.len() - 1].directory.as_fd(), name)? {
            levels.push(below);
        }
    }
    Ok(())
}

/// Unlinks what is not a directory. `false`: it is one.
fn remove_leaf(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<bool> {
    let unlink = || rustix::fs::unlinkat(directory, name, AtFlags::empty());
    match unlink() {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(Errno::ACCESS | Errno::PERM) => {
            if is_directory(directory, name)? {
                return Ok(false);
            }
            rustix::fs::fchmod(directory, Mode::RWXU)?;
            match unlink() {
                Ok(()) | Err(Errno::NOENT) => Ok(true),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn is_directory(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<bool> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory for emptying; `None` if it is gone.
fn enter(parent: BorrowedFd<'_>, name: CString) -> io::Result<Option<Level>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(parent, &name, flags, Mode::empty());
    let directory = match open() {
        Err(Errno::ACCESS) => {
            permit(parent, &name)?;
            open()
        }
        other => other,
    };
    let directory = match directory {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let entries = Dir::read_from(&directory)?;
    Ok(Some(Level {
        name,
        directory,
        entries,
        progress: false,
    }))
}

/// Lets us, the owner, list and change the directory `name`. `name` was seen to be a directory, and `O_PATH` with
/// `NOFOLLOW` makes sure that a symlink put in its place is not followed.
fn permit(parent: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::fchmod(parent, Mode::RWXU)?;
            rustix::fs::openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
    rustix::fs::chmod(path, Mode::RWXU)?;
    Ok(())
}

/// Removes an emptied directory. If it is not empty after all (something was raised into it, or another process is
/// at work), gives it back, rewound, as long as that leads anywhere.
fn leave(parent: BorrowedFd<'_>, level: Level) -> io::Result<Option<Level>> {
    let remove = || rustix::fs::unlinkat(parent, &level.name, AtFlags::REMOVEDIR);
    let outcome = match remove() {
        Err(Errno::ACCESS) => {
            rustix::fs::fchmod(parent, Mode::RWXU)?;
            remove()
        }
        other => other,
    };
    match outcome {
        Err(Errno::NOTEMPTY | Errno::EXIST) if level.progress => {
            let Level {
                name, directory, ..
            } = level;
            let entries = Dir::read_from(&directory)?;
            Ok(Some(Level {
                name,
                directory,
                entries,
                progress: false,
            }))
        }
        // Not empty without progress: whoever moves things in it is at work, and removes it.
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Renames a directory that lies too deep into the top of the tree, which is looked through again at the end.
fn raise(levels: &mut [Level], name: &CString, moved: &mut u64) -> io::Result<()> {
    loop {
        let target = format!(".raised-{moved}");
        *moved += 1;
        let deepest = levels.last().expect("there is a level to raise from");
        let flags = RenameFlags::NOREPLACE;
        let (from, to) = (&deepest.directory, &levels[0].directory);
        match rustix::fs::renameat_with(from, name, to, target.as_str(), flags) {
            Err(Errno::EXIST) => {}
            Ok(()) | Err(Errno::NOENT) => break,
            // Moving a directory rewrites its "..", which wants write permission on itself.
            Err(Errno::ACCESS) => permit(from.as_fd(), name)?,
            Err(error) => return Err(error.into()),
        }
    }
    for level in levels {
        level.progress = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::{ffi::OsStr, fs};

    use rustix::fs::{Mode, OFlags};

    use super::remove_tree;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    fn remove(directory: &Path, name: &[u8]) -> Result {
        let parent = fs::File::open(directory)?;
        remove_tree(&parent, name)?;
        assert!(!directory.join(OsStr::from_bytes(name)).exists());
        Ok(())
    }

    #[test]
    fn a_symlink_is_removed_and_not_what_it_leads_to() -> Result {
        let room = tempfile::tempdir()?;
        let kept = room.path().join("kept");
        fs::create_dir(&kept)?;
        fs::write(kept.join("file"), "")?;
        let tree = room.path().join("tree");
        fs::create_dir(&tree)?;
        std::os::unix::fs::symlink(&kept, tree.join("link"))?;
        std::os::unix::fs::symlink("..", tree.join("up"))?;
        remove(room.path(), b"tree")?;
        std::os::unix::fs::symlink(&kept, &tree)?;
        remove(room.path(), b"tree")?;
        assert!(kept.join("file").exists());
        Ok(())
    }

    #[test]
    fn a_tree_deeper_than_there_are_descriptors_goes() -> Result {
        let room = tempfile::tempdir()?;
        let mut at = rustix::fs::open(room.path(), OFlags::DIRECTORY, Mode::empty())?;
        let name = "d".repeat(200);
        for depth in 0..600 {
            let name = if depth == 0 { "tree" } else { &name };
            rustix::fs::mkdirat(&at, name, Mode::RWXU)?;
            at = rustix::fs::openat(&at, name, OFlags::DIRECTORY, Mode::empty())?;
            let flags = OFlags::CREATE | OFlags::WRONLY;
            rustix::fs::openat(&at, "file", flags, Mode::RWXU)?;
        }
        remove(room.path(), b"tree")
    }

    #[test]
    fn hostile_names_and_unreadable_directories_go() -> Result {
        let room = tempfile::tempdir()?;
        let tree = room.path().join("tree");
        for name in [&b"\xff\xfe"[..], b"a\nb", b"-rf", b".raised-0", b" "] {
            let closed = tree.join(OsStr::from_bytes(name)).join("inner");
            fs::create_dir_all(&closed)?;
            fs::write(closed.join("file"), "")?;
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o000))?;
            let outer = tree.join(OsStr::from_bytes(name));
            fs::set_permissions(outer, fs::Permissions::from_mode(0o500))?;
        }
        remove(room.path(), b"tree")
    }

    #[test]
    fn several_removers_of_one_tree_do_not_fail() -> Result {
        let room = tempfile::tempdir()?;
        for number in 0..500 {
            let path = room.path().join(format!("tree/{}/{number}", number % 7));
            fs::create_dir_all(path)?;
        }
        let parent = fs::File::open(room.path())?;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| remove_tree(&parent, b"tree")))
                .collect();
            for thread in threads {
                thread.join().expect("no panic").expect("no failure");
            }
        });
        assert!(!room.path().join("tree").exists());
        Ok(())
    }

    #[test]
    fn what_is_not_there_is_fine() -> Result {
        let room = tempfile::tempdir()?;
        remove(room.path(), b"nothing")
    }
}
