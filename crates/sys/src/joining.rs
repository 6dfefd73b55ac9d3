//! Several processes of a normal user in one user namespace.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{getegid, geteuid};

use crate::user_namespace::Tools;
use crate::{IdRange, SingleThreaded, SysError, make_mounts_private, set_groups, set_user};

/// The maps that the caller gets from [`crate::enter_user_namespace`] if nothing goes wrong, in the form of [`id_maps`].
pub fn wanted_id_maps() -> String {
    let tools = Tools::find(geteuid().as_raw()).ok();
    let (users, groups) = tools
        .map(|tools| (tools.ids.users, tools.ids.groups))
        .unwrap_or_default();
    let users = wanted(geteuid().as_raw(), &users);
    let groups = wanted(getegid().as_raw(), &groups);
    format!("{users}; {groups}")
}

fn wanted(own: u32, ranges: &[IdRange]) -> String {
    let mut parts = vec![format!("0 {own} 1")];
    let mut inside: u64 = 1;
    for range in ranges {
        parts.push(format!("{inside} {} {}", range.first, range.count));
        inside += u64::from(range.count);
    }
    parts.join(", ")
}

/// Which ids of the namespace outside are this process's: users, then groups.
///
/// # Errors
/// [`SysError::Call`].
pub fn id_maps() -> Result<String, SysError> {
    let users = id_map("/proc/self/uid_map")?;
    let groups = id_map("/proc/self/gid_map")?;
    Ok(format!("{users}; {groups}"))
}

fn id_map(path: &str) -> Result<String, SysError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| SysError::call(format!("read {path}"), error))?;
    let lines = text.lines().map(|line| {
        let numbers: Vec<&str> = line.split_whitespace().collect();
        numbers.join(" ")
    });
    Ok(lines.collect::<Vec<_>>().join(", "))
}

/// The user namespace of this process.
///
/// # Errors
/// [`SysError::Call`].
pub fn user_namespace() -> Result<OwnedFd, SysError> {
    open_namespace("/proc/self/ns/user")
}

fn open_namespace(path: &str) -> Result<OwnedFd, SysError> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| SysError::call(format!("open {path}"), error))
}

/// Goes to a user namespace in which the caller is root, and to a new mount namespace that belongs to it. Must be called
/// before any thread is started.
///
/// # Errors
/// [`SysError::ManyThreads`]; [`SysError::Call`].
pub fn join_user_namespace(namespace: BorrowedFd<'_>) -> Result<(), SysError> {
    let _single = SingleThreaded::check("join a user namespace")?;
    setns(namespace, CloneFlags::CLONE_NEWUSER)
        .map_err(|error| SysError::call("join the user namespace", error))?;
    let denied =
        std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim_end() == "deny");
    if !denied {
        set_groups(&[])?;
    }
    set_user(0, 0)?;
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| SysError::call("make a mount namespace", error))?;
    make_mounts_private()
}

/// Whether the network namespace of this process belongs to its user namespace, so that root of the one may change the other.
pub fn owns_network_namespace() -> bool {
    /// `NS_GET_USERNS` of `linux/nsfs.h`.
    const GET_USER_NAMESPACE: libc::Ioctl = 0xb701;
    let Ok(network) = open_namespace("/proc/self/ns/net") else {
        return false;
    };
    // SAFETY: this request takes no argument; the kernel gives a new descriptor or an error.
    let owner = unsafe { libc::ioctl(network.as_raw_fd(), GET_USER_NAMESPACE) };
    if owner < 0 {
        // Its owner is none of ours to know.
        return false;
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let owner = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(owner) };
    user_namespace().is_ok_and(|own| same_namespace(owner.as_fd(), own.as_fd()))
}

/// Whether two descriptors are of one namespace.
pub fn same_namespace(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let file = |namespace| rustix::fs::fstat(namespace).map(|stat| (stat.st_dev, stat.st_ino));
    matches!((file(one), file(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_the_same_by_whatever_way_it_is_opened() {
        let open = |path: String| open_namespace(&path).expect("our own");
        let own = open("/proc/self/ns/user".to_owned());
        let again = open(format!("/proc/{}/ns/user", std::process::id()));
        let network = open("/proc/self/ns/net".to_owned());
        assert!(same_namespace(own.as_fd(), again.as_fd()));
        assert!(!same_namespace(own.as_fd(), network.as_fd()));
    }

    #[test]
    fn maps_are_told_as_the_kernel_has_them() {
        let ranges = [
            IdRange {
                first: 100_000,
                count: 65_536,
            },
            IdRange {
                first: 300_000,
                count: 10,
            },
        ];
        assert_eq!(wanted(1001, &[]), "0 1001 1");
        assert_eq!(
            wanted(1001, &ranges),
            "0 1001 1, 1 100000 65536, 65537 300000 10"
        );
        let own = id_maps().expect("there is /proc");
        assert!(own.starts_with("0 ") && own.contains("; "), "{own}");
    }
}
