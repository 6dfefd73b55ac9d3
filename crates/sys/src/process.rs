//! Processes: fork, identity, signals, keyrings, and the loopback interface of a new network.

use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, Signal};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{SingleThreaded, SysError};

/// On which side of [`fork`] the code goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// In the process that called, with the new one's id.
    Parent(Pid),
    /// In the new process.
    Child,
}

/// Forks. Ordinary code may run in the child, since no other thread can have held a lock.
///
/// # Errors
/// [`SysError::Call`].
pub fn fork(_single: SingleThreaded) -> Result<Fork, SysError> {
    // SAFETY: the process has one thread (the argument is the evidence), so the child's copy of
    // every lock, allocator included, is in a consistent state.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(SysError::call("fork", io::Error::last_os_error())),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(
            Pid::from_raw(pid).expect("a parent's fork returns a positive id"),
        )),
    }
}

/// Ends the process at once: no destructors, no exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` never returns and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Orphans below this process become its children instead of init's.
///
/// # Errors
/// [`SysError::Call`].
pub fn set_child_subreaper() -> Result<(), SysError> {
    nix::sys::prctl::set_child_subreaper(true)
        .map_err(|error| SysError::call("become the reaper of orphans", error))
}

/// Has the kernel kill this process when the *thread* that started it ends. A change of user id
/// switches that off again.
///
/// # Errors
/// [`SysError::Call`].
pub fn kill_on_parent_death() -> Result<(), SysError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| SysError::call("tie this process to its parent", error))
}

/// The name that `ps` and `top` show for this thread; the first 15 bytes count.
pub fn set_name(name: &std::ffi::CStr) {
    // Only ever refused for a bad pointer, which a CStr is not.
    let _ = rustix::thread::set_name(name);
}

/// Gives every signal its default action and blocks none, as a fresh program expects it.
pub fn reset_signals() {
    /// The kernel's own structure (rt_sigaction(2)), all zero: the default action, no flags, no mask. As long as the
    /// longest of any architecture.
    const DEFAULT_ACTION: [u64; 4] = [0; 4];
    const SIGNAL_SET_BYTES: usize = 8;
    for number in 1..=64 {
        // SAFETY: installs the default action, so no handler's code is referred to; the structure outlives the call.
        // Not by libc's function: that refuses the signals which libc keeps for itself, and with which glibc starts its
        // children ignored. KILL and STOP are refused without effect.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                DEFAULT_ACTION.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SIGNAL_SET_BYTES,
            )
        };
    }
    // SAFETY: an all-zero sigset_t is a valid value that sigemptyset then makes canonical; the
    // old mask is not asked for.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Sends signal `number`, real-time ones included, to the process behind `pidfd`.
///
/// # Errors
/// [`SysError::Call`]; `ESRCH` where it has ended, `EINVAL` for a number that is no signal.
pub fn send_signal(pidfd: BorrowedFd<'_>, number: i32) -> Result<(), SysError> {
    // SAFETY: a null siginfo asks for what kill(2) sends; the rest are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == -1 {
        return Err(SysError::call(
            format!("send signal {number}"),
            io::Error::last_os_error(),
        ));
    }
    Ok(())
}

/// Leaves the builder's keyrings for a new, empty session keyring.
///
/// # Errors
/// [`SysError::Call`]; `ENOSYS` where the kernel has no keyrings, `EDQUOT` when the user has too
/// many.
pub fn join_new_session_keyring() -> Result<(), SysError> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    if result == -1 {
        return Err(SysError::call(
            "join a new session keyring",
            io::Error::last_os_error(),
        ));
    }
    Ok(())
}

/// Takes capability number `capability` out of the bounding set. Numbers that the kernel does not
/// know are no error.
///
/// # Errors
/// [`SysError::Call`].
pub fn drop_bounding_capability(capability: u32) -> Result<(), SysError> {
    // SAFETY: PR_CAPBSET_DROP takes integers only.
    let result = unsafe {
        libc::prctl(
            libc::PR_CAPBSET_DROP,
            libc::c_ulong::from(capability),
            0,
            0,
            0,
        )
    };
    match (result, io::Error::last_os_error()) {
        (-1, error) if error.raw_os_error() != Some(libc::EINVAL) => Err(SysError::call(
            format!("drop capability {capability}"),
            error,
        )),
        _ => Ok(()),
    }
}

/// Sets the supplementary groups of this single-threaded process.
///
/// # Errors
/// [`SysError::Call`]; `EPERM` in a user namespace with a single id.
pub fn set_groups(groups: &[u32]) -> Result<(), SysError> {
    // SAFETY: pointer and length are those of a live slice; gid_t is u32.
    let result = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
    if result == -1 {
        return Err(SysError::call(
            "set supplementary groups",
            io::Error::last_os_error(),
        ));
    }
    Ok(())
}

/// Sets real, effective and saved user and group id, group first.
///
/// # Errors
/// [`SysError::Call`]; `EINVAL` where the id is not mapped in the user namespace.
pub fn set_user(user: u32, group: u32) -> Result<(), SysError> {
    // SAFETY: integers only.
    if unsafe { libc::setresgid(group, group, group) } == -1 {
        return Err(SysError::call(
            format!("become group {group}"),
            io::Error::last_os_error(),
        ));
    }
    // SAFETY: integers only.
    if unsafe { libc::setresuid(user, user, user) } == -1 {
        return Err(SysError::call(
            format!("become user {user}"),
            io::Error::last_os_error(),
        ));
    }
    Ok(())
}

/// A resource's limits in force and how far they can be raised; `u64::MAX` means unlimited.
///
/// # Errors
/// [`SysError::Call`].
pub fn rlimit(resource: u32) -> Result<(u64, u64), SysError> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: no limit is set (a null pointer), and the kernel writes one to a local that has its size.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            std::ptr::null::<libc::rlimit64>(),
            &raw mut limit,
        )
    };
    if result == -1 {
        return Err(SysError::call(
            format!("read resource limit {resource}"),
            io::Error::last_os_error(),
        ));
    }
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets a resource limit by the kernel's number for it (`RLIMIT_NOFILE` is 7 on x86-64 and
/// `AArch64`); `u64::MAX` means unlimited.
///
/// # Errors
/// [`SysError::Call`].
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<(), SysError> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the limit outlives the call; the old value is not asked for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    };
    if result == -1 {
        return Err(SysError::call(
            format!("set resource limit {resource} to {soft}:{hard}"),
            io::Error::last_os_error(),
        ));
    }
    Ok(())
}

/// Brings up `lo` in this process's network namespace, which gives it 127.0.0.1 and `::1`.
///
/// # Errors
/// [`SysError::Call`].
pub fn bring_up_loopback() -> Result<(), SysError> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|error| SysError::call("open a socket for the loopback interface", error))?;
    // SAFETY: all-zero is a valid ifreq: an empty name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which is what it gets, alive for the call.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    if result == -1 {
        return Err(SysError::call(
            "bring up the loopback interface",
            io::Error::last_os_error(),
        ));
    }
    Ok(())
}

/// Writes a small file of /proc in one call, as the kernel wants it.
pub(crate) fn write_proc(path: &str, contents: &str) -> Result<(), SysError> {
    let fail = |error| SysError::call(format!("write {path}"), error);
    let file =
        rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    rustix::io::write(&file, contents.as_bytes()).map_err(fail)?;
    Ok(())
}
