//! Network namespaces. A thread can be in one of its own, so what is to be done in one is done by a thread that goes there.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};
use rbuild_sys::bring_up_loopback;
use rustix::fs::{Mode, OFlags};

use crate::NetworkError;

/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// What docker sets for containers: every user may listen on ports below 1024 and ping. It is the container's own network.
const DOCKERS: [(&str, &str); 2] = [
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 65535"),
];

/// A new network namespace, in which loopback is up.
pub(crate) fn create() -> Result<OwnedFd, NetworkError> {
    let made = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET)
                    .map_err(NetworkError::step("make a network namespace"))?;
                bring_up_loopback().map_err(|error| {
                    // Whether it is denied is told by the number.
                    let source = error.errno().map(io::Error::from_raw_os_error);
                    let source = source.unwrap_or_else(|| io::Error::other(error));
                    NetworkError::step("bring up loopback")(source)
                })?;
                for (name, value) in DOCKERS {
                    // A kernel without it does without it.
                    let _ = std::fs::write(name, value);
                }
                open(OWN)
            })
            .join()
    });
    made.expect("it does not panic")
}

/// Does something in a namespace.
pub(crate) fn inside<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let done = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
                work()
            })
            .join()
    });
    done.expect("it does not panic")
}

/// Whether this is an open namespace.
pub(crate) fn is_one(descriptor: BorrowedFd<'_>) -> bool {
    /// `NSFS_MAGIC` of `linux/magic.h`.
    const MAGIC: u64 = 0x6e73_6673;
    rustix::fs::fstatfs(descriptor).is_ok_and(|stat| stat.f_type as u64 == MAGIC)
}

/// What the kernel tells of the internet's sockets in a namespace: how many of which kind are in use, and how many connections
/// have yet to be forgotten. All others end with the process that had them.
pub(crate) fn sockets(namespace: BorrowedFd<'_>) -> io::Result<String> {
    let of_namespace = ["inuse", "tw"];
    inside(namespace, || {
        let mut told = String::new();
        for table in ["sockstat", "sockstat6"] {
            let text = std::fs::read_to_string(format!("/proc/thread-self/net/{table}"));
            let text = match text {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            for line in text.lines() {
                let mut words = line.split_whitespace();
                told.push_str(words.next().unwrap_or_default());
                while let (Some(name), Some(value)) = (words.next(), words.next()) {
                    if of_namespace.contains(&name) {
                        told.push_str(&[" ", name, " ", value].concat());
                    }
                }
                told.push('\n');
            }
        }
        Ok(told)
    })
}

fn open(path: &str) -> Result<OwnedFd, NetworkError> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(NetworkError::step("open a network namespace"))
}
