//! The networks of a store, as data.
//!
//! ```text
//! networks/lock                    held while networks come and go
//! networks/<id>/network.json       what it is
//! networks/<id>/lock               held while containers come and go
//! networks/<id>/members/<id>       one container's place, locked by its supervisor as long as that lives
//! networks/<id>/up                 there while its bridge may be up
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::lock::{self, Lock};
use crate::{NetworkError, Subnet, pool};

/// Stands in each network's file. Networks of another number are not used by this program.
const FORMAT_VERSION: u32 = 1;
/// Below the store's root.
const DIRECTORY: &str = "networks";
const FACTS: &str = "network.json";
const UP: &str = "up";

/// The network of containers that name none.
pub const DEFAULT_NETWORK: &str = "bridge";
/// Names that mean something else than a network of the catalog.
const RESERVED: [&str; 4] = [DEFAULT_NETWORK, "host", "none", "default"];

/// The name of a network that nobody chose: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(String);

impl NetworkId {
    /// From random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in seed {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first twelve digits.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

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

/// What the user asks of a new network.
#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// `--subnet`; one that is free if it is not given.
    pub subnet: Option<Subnet>,
    /// `--gateway`; the first address if it is not given.
    pub gateway: Option<Ipv4Addr>,
    /// `--ip-range`: where containers get their addresses from.
    pub ip_range: Option<Subnet>,
    /// `--internal`.
    pub reach: Reach,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `-o`.
    pub options: BTreeMap<String, String>,
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
}

impl Networks {
    /// Those of the store at `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            directory: root.join(DIRECTORY),
        }
    }

    pub(crate) fn place(&self, id: &NetworkId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    pub(crate) fn up_mark(&self, id: &NetworkId) -> PathBuf {
        self.place(id).join(UP)
    }

    pub(crate) fn members_directory(&self, id: &NetworkId) -> PathBuf {
        self.place(id).join("members")
    }

    /// Kept while containers come to the network or leave it.
    pub(crate) fn lock(&self, id: &NetworkId) -> Result<Lock, NetworkError> {
        lock::take(&self.place(id).join("lock"))
    }

    fn lock_all(&self) -> Result<Lock, NetworkError> {
        private_directory(&self.directory)?;
        lock::take(&self.directory.join("lock"))
    }

    /// All networks but `host` and `none`, by name.
    pub fn list(&self) -> Result<Vec<Network>, NetworkError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(NetworkError::file("read", &self.directory)(error)),
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            found.extend(read(&entry.path())?);
        }
        found.sort_by(|one: &Network, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The network of this name, or whose id begins so.
    pub fn find(&self, name: &str) -> Result<Network, NetworkError> {
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
        if let Ok(found) = self.find(DEFAULT_NETWORK) {
            return Ok(found);
        }
        let new = NewNetwork {
            name: DEFAULT_NETWORK.to_owned(),
            ..NewNetwork::default()
        };
        match self.enter(&new, seed, now) {
            Err(NetworkError::Exists { .. }) => self.find(DEFAULT_NETWORK),
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
        let _lock = self.lock_all()?;
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
            None => pool::free(&new.name, &known)?,
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
        private_directory(&self.members_directory(&network.id))?;
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
        let _all = self.lock_all()?;
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
        // First what makes it a network: half a removal leaves none.
        let facts = place.join(FACTS);
        fs::remove_file(&facts).map_err(NetworkError::file("remove", &facts))?;
        fs::remove_dir_all(&place).map_err(NetworkError::file("remove", &place))
    }
}

fn gateway(new: &NewNetwork, subnet: Subnet) -> Result<Ipv4Addr, NetworkError> {
    let fail = |option, value: String, reason| Err(NetworkError::value(option, value, reason));
    if let Some(range) = new.ip_range
        && (range.prefix() < subnet.prefix() || !subnet.overlaps(range))
    {
        return fail(
            "--ip-range",
            range.to_string(),
            "it is no part of the subnet",
        );
    }
    match new.gateway {
        _ if new.subnet.is_none() && (new.gateway.is_some() || new.ip_range.is_some()) => fail(
            "--subnet",
            String::new(),
            "a gateway or a range needs it to be given",
        ),
        Some(gateway) if !subnet.is_host(gateway) => fail(
            "--gateway",
            gateway.to_string(),
            "it is no address of the subnet",
        ),
        Some(gateway) => Ok(gateway),
        None => Ok(subnet
            .hosts()
            .next()
            .expect("a subnet has at least two addresses")),
    }
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

fn private_directory(path: &Path) -> Result<(), NetworkError> {
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private
        .create(path)
        .map_err(NetworkError::file("create", path))
}

fn check_name(name: &str) -> Result<(), NetworkError> {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let fits = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if first && fits && name.len() <= 128 {
        return Ok(());
    }
    Err(NetworkError::value(
        "network name",
        name,
        "it has letters, digits, '_', '.' and '-', and begins with a letter or digit",
    ))
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
