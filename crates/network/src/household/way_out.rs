//! The way out of a household's network: `slirp4netns`, where it is installed, makes packets connections of the user's own.
//!
//! ```text
//!   bridges ─ tap0 ─▶ /dev/net/tun ─▶ slirp4netns ─ sockets of the host's namespace ─▶ the world
//! ```
//!
//! It leads neither to the host's loopback interface nor to what is only there, and ends with the keeper.

use std::io::{self, Read as _};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::pool::Routes;
use crate::{Subnet, programs};

const PROGRAM: &str = "slirp4netns";
/// How long it may take until it is ready: less than those wait who want the network.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// Where interfaces come from that a program is behind.
const TUN: &str = "/dev/net/tun";
/// The largest that it takes. Copying is what costs, so it had better be much at a time.
const MTU: &str = "--mtu=65520";

/// Why nothing can lead out of a normal user's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWayOut {
    /// There is no program that does it.
    NotInstalled,
    /// The device that it needs is not there, or not for everybody.
    NoDevice,
}

impl std::fmt::Display for NoWayOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotInstalled => {
                "slirp4netns is not installed (on Debian: apt-get install slirp4netns)"
            }
            Self::NoDevice => {
                "/dev/net/tun cannot be opened (it is there with modprobe tun, and for everybody with chmod 0666)"
            }
        })
    }
}

/// Whether a normal user's networks can lead out; else, why not.
pub fn way_out() -> Result<(), NoWayOut> {
    find().map(drop)
}

fn find() -> Result<PathBuf, NoWayOut> {
    let program = programs::find(PROGRAM).ok_or(NoWayOut::NotInstalled)?;
    let mut both = std::fs::OpenOptions::new();
    match both.read(true).write(true).open(TUN) {
        Ok(_) => Ok(program),
        Err(_) => Err(NoWayOut::NoDevice),
    }
}

/// A way out, as long as this lives.
#[derive(Debug)]
pub(super) struct WayOut {
    child: Child,
    /// It ends when this is closed.
    link: Option<UnixStream>,
}

impl WayOut {
    /// Leads out of `namespace` through the interface `inside`, which it makes; else, why not.
    pub(super) fn open(namespace: BorrowedFd<'_>, inside: &str) -> Result<Self, String> {
        let program = find().map_err(|reason| reason.to_string())?;
        start(&program, namespace, inside, PATIENCE)
            .map_err(|error| format!("{} fails: {error}", program.display()))
    }

    /// Whether the program runs.
    pub(super) fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

fn start(
    program: &Path,
    namespace: BorrowedFd<'_>,
    inside: &str,
    patience: Timespec,
) -> io::Result<WayOut> {
    let (ours, theirs) = UnixStream::pair()?;
    let (mut ready, tell) = io::pipe()?;
    let place = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    let child = Command::new(program)
        .args([
            "--configure",
            MTU,
            "--disable-host-loopback",
            "--disable-dns",
        ])
        .arg(format!("--cidr={}", range()))
        .args(["--enable-sandbox", "--enable-seccomp"])
        // Its standard input is what ends it, its standard output where it says that it is ready.
        .args(["--exit-fd=0", "--ready-fd=1", "--netns-type=path"])
        .args([&place, inside])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(tell)))
        .stderr(Stdio::null())
        .spawn()?;
    let way = WayOut {
        child,
        link: Some(ours),
    };
    let mut heard = [PollFd::new(&ready, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| poll(&mut heard, Some(&patience)))? == 0 {
        return Err(io::Error::other("it does not become ready"));
    }
    let mut word = [0];
    match ready.read(&mut word)? {
        0 => Err(io::Error::other("it ended before it was ready")),
        _ => Ok(way),
    }
}

/// The addresses between the networks and the program: the program's own choice, unless the host is there itself, as the
/// guests of many virtual machines are.
fn range() -> Subnet {
    let host = Routes::here();
    let choices = (2..=254).map(|third| Subnet::around(Ipv4Addr::new(10, 0, third, 0), 24));
    let mut free = choices
        .clone()
        .filter(|choice| host.taken(*choice).is_none());
    let own = choices.clone().next();
    free.next().or(own).expect("there are choices")
}

impl Drop for WayOut {
    fn drop(&mut self) {
        drop(self.link.take());
        // Where it is stuck, it would not end by itself; it may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_that_never_becomes_ready_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a place");
        let stuck = directory.path().join("stuck");
        std::fs::write(&stuck, "#!/bin/sh\nexec /bin/sleep 1000\n").expect("ours");
        std::fs::set_permissions(&stuck, Permissions::from_mode(0o755)).expect("ours");
        let namespace = std::fs::File::open("/proc/self/ns/net").expect("our own");
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: 1,
        };
        let told = start(&stuck, namespace.as_fd(), "tap0", patience).expect_err("it sleeps");
        assert!(told.to_string().contains("ready"), "{told}");
    }
}
