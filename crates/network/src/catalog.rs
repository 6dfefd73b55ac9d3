//! The networks of a store, as data.
//!
//! ```text
//! networks/lock                    held while networks come and go
//! networks/<id>/network.json       what it is
//! networks/<id>/lock               held while containers come and go
//! networks/<id>/members/<id>       one container's place, locked by its supervisor as long as that lives
//! networks/<id>/up                 there while its bridge may be up
//! ```
//!
//! Root's default network is the machine's, and elsewhere (see `machine`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::household::Home;
use crate::lock::{self, Lock};
use crate::new_network::{check_name, gateway};
use crate::{NetworkError, NetworkId, NewNetwork, Subnet, bridge, machine, pool};

/// Stands in each network's file. Networks of another number are not used by this program.
const FORMAT_VERSION: u32 = 1;
/// Below the store's root.
const DIRECTORY: &str = "networks";
const FACTS: &str = "network.json";
const UP: &str = "up";
const MEMBERS: &str = "members";

/// The network of containers that name none.
pub const DEFAULT_NETWORK: &str = "bridge";
/// Names that mean something else than a network of the catalog.
const RESERVED: [&str; 4] = [DEFAULT_NETWORK, "host", "none", "default"];

/// Whether a network leads out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// To wherever the host can reach.
    #[default]
    Outside,
    /// Containers of the network reach each other only (`--internal`).
    Internal,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    version: u32,
    /// Its name.
    pub name: String,
    /// Its other name.
    pub id: NetworkId,
    /// When it was made.
    pub created: SystemTime,
    /// Its addresses.
    pub subnet: Subnet,
    /// Whether the user chose them. Others make way where somebody else has taken theirs meanwhile.
    pub(crate) chosen_subnet: bool,
    /// The host's address on it.
    pub gateway: Ipv4Addr,
    /// Where containers get their addresses from, if not from all of it.
    pub ip_range: Option<Subnet>,
    /// Whether it leads out.
    pub reach: Reach,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

impl Network {
    /// Whether it is the one that is always there.
    pub fn is_default(&self) -> bool {
        self.name == DEFAULT_NETWORK
    }

    /// The name of its interface on the host: at most 15 bytes, the kernel's limit.
    pub(crate) fn interface(&self) -> String {
        format!("rb{}", self.id.short())
    }

    /// Moves to another range, which nobody asked for.
    pub(crate) fn move_to(&mut self, subnet: Subnet) {
        self.subnet = subnet;
        self.gateway = subnet.hosts().next().unwrap_or(self.gateway);
    }
}

/// The networks of a store.
#[derive(Debug, Clone)]
pub struct Networks {
    directory: PathBuf,
    /// Where the default network is, if that is the machine's.
    pub(crate) shared: Option<PathBuf>,
    /// Where their bridges are.
    pub(crate) home: Home,
}

/// Where the store at `root` keeps its networks.
pub(crate) fn networks_directory(root: &Path) -> PathBuf {
    root.join(DIRECTORY)
}

impl Networks {
    /// Those of the store at `root`.
    pub fn new(root: &Path) -> Self {
        let directory = networks_directory(root);
        Self {
            home: Home::of(&directory),
            directory,
            shared: machine::directory(),
        }
    }

    /// Those of the store at `root`, whatever the machine has.
    #[cfg(test)]
    pub(crate) fn alone(root: &Path) -> Self {
        Self {
            directory: networks_directory(root),
            shared: None,
            home: Home::Here,
        }
    }

    /// Those in `directory`, whosever they are, with their bridges in this namespace.
    pub(crate) fn of_machine(directory: PathBuf) -> Self {
        Self {
            directory,
            shared: None,
            home: Home::Here,
        }
    }

    pub(crate) fn place(&self, id: &NetworkId) -> PathBuf {
        let shared = self.shared.as_ref().map(|shared| shared.join(id.as_str()));
        shared
            .filter(|place| place.exists())
            .unwrap_or_else(|| self.directory.join(id.as_str()))
    }

    pub(crate) fn up_mark(&self, id: &NetworkId) -> PathBuf {
        self.place(id).join(UP)
    }

    pub(crate) fn members_directory(&self, id: &NetworkId) -> PathBuf {
        self.place(id).join(MEMBERS)
    }

    /// Kept while containers come to the network or leave it.
    pub(crate) fn lock(&self, id: &NetworkId) -> Result<Lock, NetworkError> {
        lock::take(&self.place(id).join("lock"))
    }

    /// The directory that a network of this name is in.
    fn home(&self, name: &str) -> &Path {
        match &self.shared {
            Some(shared) if name == DEFAULT_NETWORK => shared,
            _ => &self.directory,
        }
    }

    fn lock_all(&self, name: &str) -> Result<Lock, NetworkError> {
        let home = self.home(name);
        private_directory(home)?;
        lock::take(&home.join("lock"))
    }

    /// All networks but `host` and `none`, by name.
    pub fn list(&self) -> Result<Vec<Network>, NetworkError> {
        let mut found = all_in(&self.directory)?;
        if let Some(shared) = &self.shared {
            // One of the store's own is left from versions that knew no other.
            found.retain(|network| !network.is_default());
            found.extend(all_in(shared)?);
        }
        found.sort_by(|one: &Network, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// What is known of a network now.
    pub(crate) fn read(&self, network: &Network) -> Result<Network, NetworkError> {
        read(&self.place(&network.id))?.ok_or_else(|| NetworkError::Missing {
            name: network.name.clone(),
        })
    }

    /// The network of this name, or whose id begins so.
    pub fn find(&self, name: &str) -> Result<Network, NetworkError> {
        match (&self.shared, &self.home) {
            (Some(shared), _) if name == DEFAULT_NETWORK => machine::network(self, shared),
            (None, Home::Household(directory)) if name == DEFAULT_NETWORK => {
                private_directory(directory)?;
                machine::network_of_household(self, directory)
            }
            _ => self.find_known(name),
        }
    }

    fn find_known(&self, name: &str) -> Result<Network, NetworkError> {
        let all = self.list()?;
        let named = all.iter().find(|network| network.name == name);
        let mut by_id = all
            .iter()
            .filter(|network| network.id.as_str().starts_with(name));
        match (named, by_id.next(), by_id.next()) {
            (Some(found), ..) => Ok(found.clone()),
            (None, Some(found), None) if !name.is_empty() => Ok(found.clone()),
            _ => Err(NetworkError::Missing {
                name: name.to_owned(),
            }),
        }
    }

    /// The network of containers that name none; made when it is first asked for.
    pub fn default_network(
        &self,
        seed: [u8; 32],
        now: SystemTime,
    ) -> Result<Network, NetworkError> {
        match self.find(DEFAULT_NETWORK) {
            Err(NetworkError::Missing { .. }) => self.make_default(seed, now),
            known => known,
        }
    }

    pub(crate) fn make_default(
        &self,
        seed: [u8; 32],
        now: SystemTime,
    ) -> Result<Network, NetworkError> {
        if let Ok(found) = self.find_known(DEFAULT_NETWORK) {
            return Ok(found);
        }
        let new = NewNetwork {
            name: DEFAULT_NETWORK.to_owned(),
            ..NewNetwork::default()
        };
        match self.enter(&new, seed, now) {
            Err(NetworkError::Exists { .. }) => self.find_known(DEFAULT_NETWORK),
            made => made,
        }
    }

    /// Makes a network.
    pub fn create(
        &self,
        new: &NewNetwork,
        seed: [u8; 32],
        now: SystemTime,
    ) -> Result<Network, NetworkError> {
        if RESERVED.contains(&new.name.as_str()) {
            return Err(NetworkError::Exists {
                name: new.name.clone(),
            });
        }
        check_name(&new.name)?;
        self.enter(new, seed, now)
    }

    fn enter(
        &self,
        new: &NewNetwork,
        seed: [u8; 32],
        now: SystemTime,
    ) -> Result<Network, NetworkError> {
        let _lock = self.lock_all(&new.name)?;
        let known = self.list()?;
        if known.iter().any(|network| network.name == new.name) {
            return Err(NetworkError::Exists {
                name: new.name.clone(),
            });
        }
        let subnet = match new.subnet {
            Some(subnet) => {
                pool::refuse_overlap(&new.name, subnet, &known)?;
                subnet
            }
            None => pool::Routes::here().free(&new.name, &known)?,
        };
        let network = Network {
            version: FORMAT_VERSION,
            name: new.name.clone(),
            id: NetworkId::from_seed(seed),
            created: now,
            subnet,
            chosen_subnet: new.subnet.is_some(),
            gateway: gateway(new, subnet)?,
            ip_range: new.ip_range,
            reach: new.reach,
            labels: new.labels.clone(),
            options: new.options.clone(),
        };
        let place = self.home(&network.name).join(network.id.as_str());
        private_directory(&place.join(MEMBERS))?;
        self.write(&network)?;
        Ok(network)
    }

    /// Replaces what is known of a network.
    pub(crate) fn write(&self, network: &Network) -> Result<(), NetworkError> {
        let place = self.place(&network.id).join(FACTS);
        let text = serde_json::to_vec(network).expect("a network is plain JSON");
        // Renamed into place: a network is known by this file.
        let new = place.with_extension("new");
        fs::write(&new, text).map_err(NetworkError::file("write", &new))?;
        fs::rename(&new, &place).map_err(NetworkError::file("write", &place))
    }

    /// Removes a network that nobody uses.
    pub fn remove(&self, name: &str) -> Result<(), NetworkError> {
        if RESERVED.contains(&name) {
            return Err(NetworkError::Predefined {
                name: name.to_owned(),
            });
        }
        let _all = self.lock_all(name)?;
        let network = self.find(name)?;
        if network.is_default() {
            return Err(NetworkError::Predefined { name: network.name });
        }
        let place = self.place(&network.id);
        let _own = self.lock(&network.id)?;
        let users = self.members(&network.id)?;
        if !users.is_empty() {
            let users: Vec<_> = users.iter().map(|one| one.name.as_str()).collect();
            return Err(NetworkError::InUse {
                name: network.name,
                users: users.join(", "),
            });
        }
        if self.up_mark(&network.id).exists()
            && let Some(ground) = self.home.existing()?
        {
            ground.inside(|| bridge::take_down(self, &network))?;
        }
        // First what makes it a network: half a removal leaves none.
        let facts = place.join(FACTS);
        fs::remove_file(&facts).map_err(NetworkError::file("remove", &facts))?;
        fs::remove_dir_all(&place).map_err(NetworkError::file("remove", &place))
    }
}

fn all_in(directory: &Path) -> Result<Vec<Network>, NetworkError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(NetworkError::file("read", directory)(error)),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        found.extend(read(&entry.path())?);
    }
    Ok(found)
}

/// What the directory of a network says of it; `None` if it is none, or one of another version.
fn read(directory: &Path) -> Result<Option<Network>, NetworkError> {
    let path = directory.join(FACTS);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(NetworkError::file("read", path)(error)),
    };
    let network: Network = serde_json::from_slice(&bytes)
        .map_err(|error| NetworkError::file("read", path)(error.into()))?;
    Ok((network.version == FORMAT_VERSION).then_some(network))
}

pub(crate) fn private_directory(path: &Path) -> Result<(), NetworkError> {
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private
        .create(path)
        .map_err(NetworkError::file("create", path))
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
