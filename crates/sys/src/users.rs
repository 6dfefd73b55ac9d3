//! User namespaces that real root makes for others, and files as these see them.
//!
//! ```text
//!   on disk         owner 0 … 65535               layers, changes, volumes: nothing is ever chowned
//!   idmapped mount  owner first … first + 65535   what the kernel compares processes with
//!   in the namespace, again 0 … 65535
//! ```

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, open, openat};
use rustix::mount::{UnmountFlags, unmount};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::{capabilities, set_capabilities};

use crate::mount::map_owners;
use crate::overlay::{through_proc, topmost_of_each};
use crate::process::write_proc;
use crate::{
    Attributes, Fork, OverlayFlavor, Recursion, SingleThreaded, SysError, UpperWork, attach,
    clone_tree, file_system, fork, kill_on_parent_death, mount_overlay, set_groups, set_user,
};

/// A user namespace that nobody is in yet.
#[derive(Debug)]
pub struct UserNamespace {
    descriptor: OwnedFd,
    first: u32,
}

/// An overlay whose files belong to the ids of a user namespace.
#[derive(Debug)]
pub struct MappedOverlay {
    /// The merged tree, attached nowhere.
    pub tree: OwnedFd,
    /// The upper directory with the same owners.
    pub upper: Option<OwnedFd>,
}

impl UserNamespace {
    /// Makes one whose users and groups from 0 on are those from `first` on outside, `count` of them.
    ///
    /// # Errors
    /// [`SysError::ManyThreads`], [`SysError::Call`], [`SysError::IdMap`].
    pub fn new(first: u32, count: u32) -> Result<Self, SysError> {
        let single = SingleThreaded::check("make a user namespace")?;
        let (ready, told) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| SysError::call("make a pipe", error))?;
        let child = match fork(single)? {
            Fork::Child => {
                drop(ready);
                let _ = kill_on_parent_death();
                let made = nix::sched::unshare(CloneFlags::CLONE_NEWUSER).is_ok();
                let _ = rustix::io::write(&told, if made { b"y" } else { b"n" });
                // The namespace lives as long as this process does, or somebody has it open.
                loop {
                    std::thread::park();
                }
            }
            Fork::Parent(child) => child,
        };
        drop(told);
        let mut answer = [0];
        let heard = File::from(ready).read(&mut answer);
        let made = if matches!(heard, Ok(1)) && answer == *b"y" {
            open_mapped(child.as_raw_nonzero().get(), first, count)
        } else {
            Err(SysError::IdMap(
                "the kernel makes no more user namespaces (see sysctl user.max_user_namespaces)"
                    .to_owned(),
            ))
        };
        // It is our child, so nobody else has its number.
        let _ = kill_process(child, Signal::KILL);
        let _ = waitpid(Some(child), WaitOptions::empty());
        Ok(Self {
            descriptor: made?,
            first,
        })
    }

    /// Goes in, for good, and is root there.
    ///
    /// # Errors
    /// [`SysError::Call`].
    pub fn enter(&self) -> Result<(), SysError> {
        nix::sched::setns(&self.descriptor, CloneFlags::CLONE_NEWUSER)
            .map_err(|error| SysError::call("enter the user namespace", error))?;
        set_groups(&[])?;
        set_user(0, 0)
    }

    /// Lets the files of a detached mount belong to the ids of this namespace that have the numbers of their owners.
    /// `path` says in an error what it is.
    ///
    /// # Errors
    /// [`SysError::Unmappable`]: some kinds of file system cannot be shown so. [`SysError::Call`].
    pub fn map(&self, mount: BorrowedFd<'_>, path: &Path) -> Result<(), SysError> {
        map_owners(mount, self.descriptor.as_fd()).map_err(|error| unmappable(error, path))
    }

    /// As [`mount_overlay`], of mapped layers. `point` is a directory to mount on for a moment, in a mount namespace that
    /// nobody else is in. The two directories of `upper` have a directory of their own that both are in.
    ///
    /// # Errors
    /// As [`mount_overlay`]; [`SysError::Call`].
    pub fn mount_overlay<P: AsRef<Path>>(
        &self,
        lowers: &[P],
        upper: Option<UpperWork<'_>>,
        flavor: OverlayFlavor,
        point: &Path,
    ) -> Result<MappedOverlay, SysError> {
        let places = file_system("tmpfs", &[("mode", "0755")], Attributes::empty())?;
        attach(places.as_fd(), CWD, point)?;
        let mounted = self.mount_at(&places, lowers, upper, flavor);
        // The overlay has copies of these mounts that nobody else sees.
        unmount(point, UnmountFlags::DETACH)
            .map_err(|error| SysError::call("let go of mapped layers", error))?;
        mounted
    }

    fn mount_at<P: AsRef<Path>>(
        &self,
        places: &OwnedFd,
        lowers: &[P],
        upper: Option<UpperWork<'_>>,
        flavor: OverlayFlavor,
    ) -> Result<MappedOverlay, SysError> {
        let lowers = topmost_of_each(lowers);
        let mapped: Vec<OwnedFd> = lowers
            .iter()
            .enumerate()
            .map(|(index, lower)| self.mapped_at(places, &index.to_string(), lower))
            .collect::<Result<_, _>>()?;
        let paths: Vec<PathBuf> = mapped.iter().map(|one| through_proc(one.as_fd())).collect();
        let changes = match upper {
            None => None,
            Some(UpperWork { upper, work }) => Some(self.changes(places, upper, work)?),
        };
        let pair = changes
            .as_ref()
            .map(|(_, upper, work)| UpperWork { upper, work });
        // What overlayfs makes for itself has to have an owner whom the mapped mounts know.
        let tree = as_owner(self.first, || mount_overlay(&paths, pair, flavor))?
            .map_err(|error| unmappable(error, Path::new("merged layers")))?;
        let upper = match &changes {
            None => None,
            Some((_, upper, _)) => Some(open_path(CWD, upper)?),
        };
        Ok(MappedOverlay { tree, upper })
    }

    fn mapped_at(&self, places: &OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, SysError> {
        let tree = clone_tree(CWD, path, Recursion::This)?;
        self.map(tree.as_fd(), path)?;
        mkdirat(places, name, Mode::RWXU)
            .map_err(|error| SysError::call("make a mount point", error))?;
        attach(tree.as_fd(), places.as_fd(), Path::new(name))?;
        Ok(tree)
    }

    /// The mapped directory that both `upper` and `work` are in, and their paths in it.
    fn changes(
        &self,
        places: &OwnedFd,
        upper: &Path,
        work: &Path,
    ) -> Result<(OwnedFd, PathBuf, PathBuf), SysError> {
        let shared = upper.ancestors().find_map(|ancestor| {
            let (upper, work) = (upper.strip_prefix(ancestor), work.strip_prefix(ancestor));
            Some((ancestor, upper.ok()?, work.ok()?))
        });
        let Some((parent, upper, work)) = shared else {
            return Err(SysError::IdMap("changes have no directory".to_owned()));
        };
        let parent = self.mapped_at(places, "changes", parent)?;
        let inside = through_proc(parent.as_fd());
        Ok((parent, inside.join(upper), inside.join(work)))
    }
}

/// The kernel knows no such mount of what is at `path`.
fn unmappable(error: SysError, path: &Path) -> SysError {
    match error {
        SysError::Call { source, .. } | SysError::Overlay { source, .. }
            if source.raw_os_error() == Some(libc::EINVAL) =>
        {
            let path = path.to_owned();
            SysError::Unmappable { path, source }
        }
        other => other,
    }
}

/// Has whatever `action` makes belong to the user and group `id`, with all capabilities that root has. For this thread
/// alone.
///
/// # Errors
/// [`SysError::Call`].
pub fn as_owner<T>(id: u32, action: impl FnOnce() -> T) -> Result<T, SysError> {
    let fail = |error| SysError::call("act as another owner", error);
    let held = capabilities(None).map_err(fail)?;
    let own = (setfsuid(Uid::from_raw(id)), setfsgid(Gid::from_raw(id)));
    // A change away from root takes those over files.
    let kept = set_capabilities(None, held).map_err(fail);
    let done = kept.map(|()| action());
    setfsuid(own.0);
    setfsgid(own.1);
    done
}

fn open_mapped(process: i32, first: u32, count: u32) -> Result<OwnedFd, SysError> {
    let map = format!("0 {first} {count}");
    write_proc(&format!("/proc/{process}/uid_map"), &map)?;
    write_proc(&format!("/proc/{process}/gid_map"), &map)?;
    open(
        format!("/proc/{process}/ns/user"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| SysError::call("open the user namespace", error))
}

fn open_path(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, SysError> {
    openat(
        at,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| SysError::call(format!("open {}", path.display()), error))
}
