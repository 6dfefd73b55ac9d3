//! The way out of a household's network: `slirp4netns`, else `pasta`, where one is installed, makes packets connections of
//! the user's own.
//!
//! ```text
//!   bridges ─ tap0 ─▶ /dev/net/tun ─▶ the program ─ sockets of the host's namespace ─▶ the world
//! ```
//!
//! It leads neither to the host's loopback interface nor to what is only there, and ends with the keeper.

use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{namespace, programs};

/// What makes a start of this program become another one that ends with who started it; no user types it.
const TIED_ARGUMENT: &str = "--rbuild-way-out";
/// Where interfaces come from that a program is behind.
const TUN: &str = "/dev/net/tun";
/// The largest that it takes. Copying is what costs, so it had better be much at a time.
const MTU: &str = "--mtu=65520";
/// How long pasta may take, which does not tell that it is ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// A program that leads out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Program {
    Slirp(PathBuf),
    Pasta(PathBuf),
}

impl Program {
    /// The one that is installed.
    fn find() -> Option<Self> {
        let slirp = programs::find("slirp4netns").map(Self::Slirp);
        slirp.or_else(|| programs::find("pasta").map(Self::Pasta))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Slirp(path) | Self::Pasta(path) => path,
        }
    }
}

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
                "neither slirp4netns nor pasta is installed (on Debian: apt-get install slirp4netns)"
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

fn find() -> Result<Program, NoWayOut> {
    let program = Program::find().ok_or(NoWayOut::NotInstalled)?;
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
    /// It ends when this is closed; without, it is killed.
    link: Option<UnixStream>,
}

impl WayOut {
    /// Leads out of `namespace` through the interface `inside`, which it makes; else, why not.
    pub(super) fn open(namespace: BorrowedFd<'_>, inside: &str) -> Result<Self, String> {
        let program = find().map_err(|reason| reason.to_string())?;
        let started = match &program {
            Program::Slirp(path) => start_slirp(path, namespace, inside),
            Program::Pasta(path) => start_pasta(path, namespace, inside),
        };
        started.map_err(|error| format!("{} fails: {error}", program.path().display()))
    }

    /// Whether the program runs.
    pub(super) fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

fn start_slirp(program: &Path, namespace: BorrowedFd<'_>, inside: &str) -> io::Result<WayOut> {
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
    let mut word = [0];
    match ready.read(&mut word)? {
        0 => Err(io::Error::other("it ended before it was ready")),
        _ => Ok(way),
    }
}

/// With slirp4netns' addresses, and nothing led into the namespace or from its loopback to the host's. pasta gives up the
/// right to open the keeper's descriptors, so the namespace is its own standard input.
fn start_pasta(program: &Path, namespace: BorrowedFd<'_>, inside: &str) -> io::Result<WayOut> {
    let child = Command::new("/proc/self/exe")
        .arg0("rbuild-network")
        .arg(TIED_ARGUMENT)
        .arg(program)
        .args(["--foreground", "--quiet", "--ipv4-only", "--config-net"])
        .args(["--netns", "/proc/self/fd/0", "--netns-only"])
        .args(["--no-netns-quit", "--no-map-gw", "--ns-ifname", inside])
        .args(["--address", "10.0.2.100", "--netmask", "24"])
        .args(["--gateway", "10.0.2.2"])
        .args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(namespace.try_clone_to_owned()?))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut way = WayOut { child, link: None };
    let end = Instant::now() + PATIENCE;
    while way.is_there() && Instant::now() < end {
        if namespace::inside(namespace, has_default_route)? {
            return Ok(way);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(io::Error::other("it ended before it was ready"))
}

/// Whether there is one in the namespace of the caller: lines of interface, destination, … as the kernel writes them.
fn has_default_route() -> io::Result<bool> {
    let table = std::fs::read_to_string("/proc/thread-self/net/route")?;
    let destinations = table.lines().filter_map(|line| line.split('\t').nth(1));
    Ok(destinations.into_iter().any(|text| text == "00000000"))
}

/// Becomes the program that is named and ends with who started it, if this process was started so; else does nothing. Must
/// come before any thread.
pub(crate) fn become_tied_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != TIED_ARGUMENT) {
        return;
    }
    let tied = rbuild_sys::kill_on_parent_death();
    if let (Ok(()), Some(program)) = (tied, arguments.next()) {
        // It comes back with an error only; whoever started us sees that we end.
        let _ = Command::new(program).args(arguments).exec();
    }
    std::process::exit(1);
}

impl Drop for WayOut {
    fn drop(&mut self) {
        if self.link.take().is_none() {
            // It may be over already.
            let _ = self.child.kill();
        }
        // It ends by itself then.
        let _ = self.child.wait();
    }
}
