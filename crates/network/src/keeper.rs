//! Keeps a bridge of the host's namespace up a moment longer than somebody needs it, and then takes it down: setting up and
//! taking down cost many times of what plugging in does, and commands come one after the other.
//!
//! ```text
//! users    share-locked by each member as long as its process lives      ─ nobody ─▶ wait a moment ─ nobody came ─▶ down
//! keeper   locked by the keeper as long as it lives
//! ```
//!
//! The same program, started again with a hidden argument by whoever brings up the bridge, and ended by itself. One that was
//! killed is replaced by whoever comes next; else the next command sweeps what it kept. It knows what its bridge and rules
//! are, so these go even if the whole store was removed.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::catalog::{Network, Networks};
use crate::lock::open;
use crate::{NetworkError, NetworkId, bridge, machine};

/// What makes a start of this program a keeper; no user types it.
const ARGUMENT: &str = "--rbuild-network-keeper";
const KEEPER: &str = "keeper";
const USERS: &str = "users";
/// How long the bridge waits for somebody else: longer than commands that follow each other need, shorter than somebody looks
/// for what is left.
const LINGER: Duration = Duration::from_secs(1);

/// Has the bridge stay for as long as the result lives, at least.
pub(crate) fn use_it(networks: &Networks, id: &NetworkId) -> Result<File, NetworkError> {
    let path = networks.place(id).join(USERS);
    let file = open(&path)?;
    file.lock_shared()
        .map_err(NetworkError::file("lock", path))?;
    Ok(file)
}

/// Whether somebody keeps this network.
pub(crate) fn is_there(networks: &Networks, id: &NetworkId) -> bool {
    matches!(place_of_keeper(networks, id), Ok(None))
}

/// Makes sure that somebody keeps the network, which is locked and up. Where nobody can be started, the last one to leave takes
/// it down.
pub(crate) fn ensure(networks: &Networks, network: &Network, program: &Path) {
    use std::os::unix::process::CommandExt as _;
    let directory = networks.place(&network.id);
    let (Some(directory), Ok(Some(place))) =
        (directory.parent(), place_of_keeper(networks, &network.id))
    else {
        return;
    };
    let _ = Command::new(program)
        .arg0("rbuild-network")
        .arg(ARGUMENT)
        .arg(directory)
        .arg(network.id.as_str())
        .env_clear()
        .current_dir("/")
        // Locked from here on as long as it lives.
        .stdin(Stdio::from(place))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
}

/// The keeper's lock, if it can be had.
fn place_of_keeper(networks: &Networks, id: &NetworkId) -> io::Result<Option<File>> {
    let path = networks.place(id).join(KEEPER);
    let file = open(&path).map_err(io::Error::other)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether none of the networks in `directory` is kept or used by anybody.
pub(crate) fn has_nobody(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let is_held = |path: PathBuf| {
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    };
    !entries.flatten().any(|entry| {
        let place = entry.path();
        is_held(place.join(KEEPER)) || is_held(place.join(USERS))
    })
}

/// Becomes a keeper and never returns, if this process was started as one; else does nothing.
pub(crate) fn keep_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ARGUMENT) {
        return;
    }
    let (Some(directory), Some(id)) = (arguments.next(), arguments.next()) else {
        std::process::exit(1);
    };
    // What it could not take down, the next command does.
    let done = keep(PathBuf::from(directory), &id.to_string_lossy());
    std::process::exit(i32::from(done.is_err()));
}

fn keep(directory: PathBuf, id: &str) -> Result<(), NetworkError> {
    let failed = || NetworkError::step("keep the network");
    let lock = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3).map_err(failed())?;
    let mut lock = Some(lock);
    let null = open(Path::new("/dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(failed())?;
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"rbuild-network");
    rbuild_sys::release_program_text();
    let networks = Networks::of_machine(directory);
    let network = networks.find(id)?;
    let place = networks.place(&network.id);
    let users = open(&place.join(USERS))?;
    loop {
        let failed = || NetworkError::file("lock", &place);
        users.lock().map_err(failed())?;
        users.unlock().map_err(failed())?;
        std::thread::sleep(LINGER);
        match look_after(&networks, &network, &mut lock) {
            Ok(Looked::Needed) => {}
            Ok(Looked::Down) => {
                machine::forget_the_dead();
                return Ok(());
            }
            // It was removed with its store. Nobody can come any more.
            Err(_) if !place.exists() => {
                if users.try_lock().is_ok() {
                    return bridge::remove(&network);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// What became of a bridge.
enum Looked {
    /// Somebody is on it.
    Needed,
    /// It is no more.
    Down,
}

/// Takes the bridge down if nobody is on it, and gives `lock` up: whoever comes next finds neither a bridge nor us.
fn look_after(
    networks: &Networks,
    network: &Network,
    lock: &mut Option<OwnedFd>,
) -> Result<Looked, NetworkError> {
    let _network = networks.lock(&network.id)?;
    networks.bury(&network.id)?;
    if !networks.members(&network.id)?.is_empty() {
        return Ok(Looked::Needed);
    }
    bridge::take_down(networks, &networks.read(network)?)?;
    drop(lock.take());
    Ok(Looked::Down)
}
