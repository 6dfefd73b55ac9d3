//! The namespaces that all commands of a normal user share on one store: what runs in different user namespaces cannot be
//! connected.
//!
//! ```text
//! user namespace      every command and supervisor of the store is root of it
//!   network namespace   eth0 of each container ─ bridges ─ tap0 ─▶ slirp4netns ─▶ the world
//!
//! command ─ networks/household, a socket ─▶ keeper    the user namespace comes back as a descriptor,
//!                                                     and the network when it is asked for
//! ```
//!
//! A keeper, which is the same program started again with a hidden argument, holds both as long as somebody is connected
//! with it, and a moment longer. Nothing on disk says who it is: a socket that nobody listens on leads nowhere, whatever
//! was killed or switched off.

mod ground;
mod keeper;
mod way_out;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rbuild_sys::{Door, Packets, Room, same_namespace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::NetworkError;
use crate::catalog::{networks_directory, private_directory};
use crate::lock::{self, Lock};

pub(crate) use self::ground::{Ground, Home, Others};
pub(crate) use self::keeper::keep_if_asked;
pub use self::way_out::{NoWayOut, way_out};

/// What makes a start of this program a household's keeper; no user types it.
const ARGUMENT: &str = "--rbuild-household";
/// The keeper's socket, in the directory of the store's networks.
const DOOR: &str = "household";
/// Held while somebody becomes the keeper, or ends as such.
const LOCK: &str = "household.lock";

/// How long a keeper stays when nobody is connected: commands that people type come one after the other, and save the making of
/// namespaces.
const LINGER: Duration = Duration::from_secs(3);

/// How long an answer may take. Who is stopped is not waited for for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a keeper says first; the user namespace comes along.
#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    /// Which ids there are in it, as those have them who make it.
    ids: String,
}

/// What may be asked of a keeper.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// The network namespace, made if it is not there.
    Network,
}

/// A keeper's answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The network namespace comes along. Why nothing leads out, if that is so.
    Network { blocked: Option<String> },
    /// It cannot be had.
    Failed { action: String, why: String },
}

/// The namespaces of a store's commands; they stay as long as this lives.
#[derive(Debug)]
pub struct Household {
    link: Packets,
    user_namespace: OwnedFd,
    ids: String,
}

impl Household {
    /// That of the store at `root`, if it has one.
    pub fn find(root: &Path) -> Result<Option<Self>, NetworkError> {
        Self::at(&networks_directory(root))
    }

    /// One that is there and does not answer is an error: a second one would be apart from it.
    fn at(directory: &Path) -> Result<Option<Self>, NetworkError> {
        let failed = || failed_to("reach the networks of this store");
        let link = Packets::connect_within(directory, DOOR, PATIENCE).map_err(failed())?;
        let Some(link) = link else { return Ok(None) };
        let (greeting, descriptors) = match hear::<Greeting>(&link) {
            // One that ends just now says nothing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(failed())?,
        };
        let user_namespace = descriptors.into_iter().next();
        Ok(Some(Self {
            link,
            user_namespace: user_namespace
                .ok_or_else(|| failed()(io::ErrorKind::InvalidData.into()))?,
            ids: greeting.ids,
        }))
    }

    /// Its user namespace.
    pub fn user_namespace(&self) -> BorrowedFd<'_> {
        self.user_namespace.as_fd()
    }

    /// Which ids there are in it.
    pub fn ids(&self) -> &str {
        &self.ids
    }

    /// Whether this process is in its user namespace.
    pub fn is_ours(&self) -> bool {
        let own = rbuild_sys::user_namespace();
        own.is_ok_and(|own| same_namespace(own.as_fd(), self.user_namespace()))
    }

    /// Its network, and why nothing leads out of it, if that is so.
    fn network(&self) -> Result<(OwnedFd, Option<String>), NetworkError> {
        let failed = || failed_to("ask for the network of this user's containers");
        if !self.is_ours() {
            return Err(NetworkError::Apart);
        }
        let request = serde_json::to_vec(&Request::Network).expect("a word is plain JSON");
        self.link
            .send(&[&request], &[], Room::Wait)
            .map_err(failed())?;
        let (answer, descriptors) = hear::<Answer>(&self.link).map_err(failed())?;
        match (answer, descriptors.into_iter().next()) {
            (Answer::Network { blocked }, Some(network)) => Ok((network, blocked)),
            (Answer::Failed { action, why }, _) => {
                Err(NetworkError::step(action)(io::Error::other(why)))
            }
            _ => Err(failed()(io::Error::from(io::ErrorKind::InvalidData))),
        }
    }
}

/// Tells the keeper of a household that somebody needs it, as long as this lives.
#[derive(Debug)]
pub struct Presence {
    _link: Packets,
}

/// The right to start a store's household, which nobody else has meanwhile.
#[derive(Debug)]
pub struct Founding {
    directory: PathBuf,
    _lock: Lock,
}

impl Founding {
    /// Waits for the right to start the household of the store at `root`. There may be one afterwards.
    pub fn begin(root: &Path) -> Result<Self, NetworkError> {
        Self::at(&networks_directory(root))
    }

    fn at(directory: &Path) -> Result<Self, NetworkError> {
        private_directory(directory)?;
        wait_for_heirs(directory);
        Self::inherit(directory)
    }

    /// The right of who was there when the keeper was killed.
    fn inherit(directory: &Path) -> Result<Self, NetworkError> {
        let lock = lock::take(&directory.join(LOCK))?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// The one that somebody else has started meanwhile.
    pub fn find(&self) -> Result<Option<Household>, NetworkError> {
        Household::at(&self.directory)
    }

    /// Makes the user namespace that this process is in a household. `program` is this very program, `ids` what ids there are.
    /// Waits for nothing.
    pub fn start(self, program: &Path, ids: &str) -> Result<Presence, NetworkError> {
        self.start_with(program, ids, None)
    }

    /// The same, with a network that somebody has kept when the one who did was killed.
    fn start_with(
        self,
        program: &Path,
        ids: &str,
        network: Option<&OwnedFd>,
    ) -> Result<Presence, NetworkError> {
        use std::os::unix::process::CommandExt as _;
        let failed = || NetworkError::step("start the keeper of this user's networks");
        let door = Door::open(&self.directory, DOOR).map_err(failed())?;
        let file = Door::file(&self.directory, DOOR).map_err(failed())?;
        let network = match network {
            Some(network) => Stdio::from(network.try_clone().map_err(failed())?),
            None => Stdio::null(),
        };
        Command::new(program)
            .arg0("rbuild-network")
            .args([OsString::from(ARGUMENT), self.directory.clone().into()])
            .args([ids, &file.to_string()])
            // Where it is to be it goes itself: a process that is started in a directory costs more.
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(door)))
            .stdout(network)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed())?;
        // It is let in as soon as the keeper is there.
        let link = Packets::connect_within(&self.directory, DOOR, PATIENCE).map_err(failed())?;
        let link = link.ok_or_else(|| failed()(io::Error::from(io::ErrorKind::NotConnected)))?;
        Ok(Presence { _link: link })
    }
}

/// Where a keeper was killed, those supervisors that need one start another within a moment.
fn wait_for_heirs(directory: &Path) {
    const ATTEMPTS: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(5);
    for _ in 0..ATTEMPTS {
        let is_dead = matches!(Packets::connect_within(directory, DOOR, PATIENCE), Ok(None));
        if !is_dead || !directory.join(DOOR).exists() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// What becomes of an error of the link: who is there and does not answer in time is told by name.
fn failed_to(action: &'static str) -> impl FnOnce(io::Error) -> NetworkError {
    move |error| match error.kind() {
        io::ErrorKind::WouldBlock => NetworkError::Silent,
        _ => NetworkError::step(action)(error),
    }
}

fn hear<T: DeserializeOwned>(link: &Packets) -> io::Result<(T, Vec<OwnedFd>)> {
    let (bytes, descriptors) = link.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((serde_json::from_slice(&bytes)?, descriptors))
}
