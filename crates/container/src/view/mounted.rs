//! The volumes and bind mounts of a container that does not run, mounted where it would have them: in the mount namespace
//! of this command, as long as that looks.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_sandbox::{Access, Mount, Source};
use rbuild_sys::{Attributes, Recursion, attach, clone_tree, openat2, set_attributes};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::ContainerError;

/// A tree with what is mounted in it; dropped, it is mounted nowhere.
pub(super) struct Mounted {
    point: PathBuf,
}

/// What is made where there is nothing to mount on.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Directory,
    File,
}

impl Mounted {
    /// Mounts `tree` at `point`, `mounts` in it, parents first, and gives the root.
    pub(super) fn new(
        tree: &OwnedFd,
        point: PathBuf,
        mounts: &[Mount],
    ) -> Result<(Self, OwnedFd), ContainerError> {
        let failed = |source| ContainerError::Create {
            path: point.clone(),
            source,
        };
        match fs::create_dir(&point) {
            // A command that was killed has left it.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        attach(tree.as_fd(), CWD, &point).map_err(|error| failed(io::Error::other(error)))?;
        let mounted = Self { point };
        let root = mounted
            .fill(mounts)
            .map_err(|(path, source)| ContainerError::Create { path, source })?;
        Ok((mounted, root))
    }

    fn fill(&self, mounts: &[Mount]) -> Result<OwnedFd, (PathBuf, io::Error)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, &self.point, flags, Mode::empty())
            .map_err(|error| (self.point.clone(), error.into()))?;
        for mount in mounts {
            let (Source::Path(source) | Source::Volume(source)) = &mount.source else {
                continue;
            };
            // What only a start makes is not there yet.
            if let Ok(found) = fs::metadata(source) {
                let kind = if found.is_dir() {
                    Kind::Directory
                } else {
                    Kind::File
                };
                add(&root, mount, (source, kind)).map_err(|error| (mount.target.clone(), error))?;
            }
        }
        Ok(root)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The mount goes with this process in any case, and the directory with the container.
        let _ = unmount(&self.point, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.point);
    }
}

fn add(root: &OwnedFd, mount: &Mount, (source, kind): (&Path, Kind)) -> io::Result<()> {
    let tree = clone_tree(CWD, source, Recursion::Tree).map_err(io::Error::other)?;
    let mut attributes = Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXECUTE;
    if mount.access == Access::ReadOnly {
        attributes |= Attributes::READ_ONLY;
    }
    set_attributes(tree.as_fd(), attributes, Recursion::Tree).map_err(io::Error::other)?;
    let at = place(root, &mount.target, kind)?;
    attach(tree.as_fd(), at.as_fd(), Path::new("")).map_err(io::Error::other)
}

/// Opens `path` in the root, wherever its links lead there, and makes it where it is missing.
fn place(root: &OwnedFd, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
    let open = || {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        openat2(root, path, flags, Mode::empty(), resolve)
    };
    match (open(), path.parent(), path.file_name()) {
        (Err(Errno::NOENT), Some(parent), Some(name)) => {
            let parent = place(root, parent, Kind::Directory)?;
            match kind {
                Kind::Directory => mkdirat(&parent, name, Mode::from_raw_mode(0o755))?,
                Kind::File => {
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                    drop(openat(&parent, name, flags, Mode::from_raw_mode(0o644))?);
                }
            }
            Ok(open()?)
        }
        (found, ..) => Ok(found?),
    }
}
