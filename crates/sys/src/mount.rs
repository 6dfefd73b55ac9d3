//! Mounts by descriptor: a detached tree is made, given its attributes, and only then attached.

use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use bitflags::bitflags;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    mount_change, move_mount, open_tree,
};

use crate::SysError;

bitflags! {
    /// What a mount does not allow.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Attributes: u32 {
        /// No writing.
        const READ_ONLY = 0x1;
        /// Set-user-id bits and file capabilities count for nothing.
        const NO_SUID = 0x2;
        /// Device nodes cannot be opened.
        const NO_DEVICES = 0x4;
        /// Nothing can be executed.
        const NO_EXECUTE = 0x8;
    }
}

/// Whether mounts below a directory are meant too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursion {
    /// Only the mount named.
    This,
    /// It and all mounts below it.
    Tree,
}

/// Mirrors `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Gives this thread's process a mount namespace of its own from which no mount leaks to the
/// host. Mounts that the host makes later do arrive.
///
/// # Errors
/// [`SysError::ManyThreads`]: the other threads would stay outside; [`SysError::Call`].
pub fn unshare_mounts() -> Result<(), SysError> {
    crate::SingleThreaded::check("enter a mount namespace")?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .map_err(|error| SysError::call("enter a mount namespace", error))?;
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .map_err(|error| SysError::call("keep mounts from the host", error))
}

/// Cuts every mount of this namespace off from all others.
///
/// # Errors
/// [`SysError::Call`].
pub fn make_mounts_private() -> Result<(), SysError> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|error| SysError::call("make mounts private", error))
}

/// True where user ids mean what they say: outside every user namespace but the first.
pub fn is_initial_user_namespace() -> bool {
    /// `PROC_USER_INIT_INO` of `linux/proc_ns.h`, fixed by the kernel's ABI.
    const INITIAL_USER_NAMESPACE_INODE: u64 = 0xEFFF_FFFD;
    rustix::fs::stat("/proc/self/ns/user")
        .is_ok_and(|stat| stat.st_ino == INITIAL_USER_NAMESPACE_INODE)
}

/// A detached copy of the mount at `path` below `at`; a symbolic link at its end is followed.
///
/// # Errors
/// [`SysError::Call`].
pub fn clone_tree(
    at: BorrowedFd<'_>,
    path: &Path,
    recursion: Recursion,
) -> Result<OwnedFd, SysError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if recursion == Recursion::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(at, path, flags)
        .map_err(|error| SysError::call(format!("bind {}", path.display()), error))
}

/// Forbids more on a mount that this process made.
///
/// # Errors
/// [`SysError::Call`].
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    recursion: Recursion,
) -> Result<(), SysError> {
    let request = MountAttr {
        set: u64::from(attributes.bits()),
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    change(mount, &request, recursion, "set mount attributes")
}

/// Lets the files of a detached mount belong to other ids: those that the user namespace has for the owners' numbers.
pub(crate) fn map_owners(
    mount: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
) -> Result<(), SysError> {
    /// `MOUNT_ATTR_IDMAP` of `linux/mount.h`.
    const MAP: u64 = 0x0010_0000;
    let request = MountAttr {
        set: MAP,
        clear: 0,
        propagation: 0,
        user_namespace: u64::from(user_namespace.as_raw_fd().unsigned_abs()),
    };
    change(
        mount,
        &request,
        Recursion::This,
        "map the owners of a mount",
    )
}

fn change(
    mount: BorrowedFd<'_>,
    request: &MountAttr,
    recursion: Recursion,
    action: &str,
) -> Result<(), SysError> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursion == Recursion::Tree {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a NUL-terminated literal, the request outlives the call and its true
    // size is passed with it; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(request),
            size_of::<MountAttr>(),
        )
    };
    if result == -1 {
        return Err(SysError::call(action, std::io::Error::last_os_error()));
    }
    Ok(())
}

/// A new detached file system of type `kind`; an option with an empty value is a flag.
///
/// # Errors
/// [`SysError::Call`], naming the type and the option.
pub fn file_system(
    kind: &str,
    options: &[(&str, &str)],
    attributes: Attributes,
) -> Result<OwnedFd, SysError> {
    let fail = |step: &str| {
        let action = format!("mount {kind}{step}");
        move |error: rustix::io::Errno| SysError::call(action, error)
    };
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail(""))?;
    // The name that `df` and `mount` show.
    for (key, value) in [("source", kind)].iter().chain(options) {
        let set = if value.is_empty() {
            fsconfig_set_flag(&context, *key)
        } else {
            fsconfig_set_string(&context, *key, *value)
        };
        set.map_err(|error| fail(&format!(" with {key}={value}"))(error))?;
    }
    fsconfig_create(&context).map_err(fail(""))?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::from_bits_retain(attributes.bits()),
    )
    .map_err(fail(""))
}

/// Attaches a detached tree at `path` below `at`; an empty path means `at` itself, which may be
/// opened with `O_PATH`. No symbolic link is followed.
///
/// # Errors
/// [`SysError::Call`].
pub fn attach(tree: BorrowedFd<'_>, at: BorrowedFd<'_>, path: &Path) -> Result<(), SysError> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.as_os_str().is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    move_mount(tree, "", at.as_fd(), path, flags)
        .map_err(|error| SysError::call(format!("attach a mount at {}", path.display()), error))
}
