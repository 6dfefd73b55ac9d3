//! Who is on a network: one file for each container, locked by its supervisor. What is not locked is left from a supervisor
//! that died, and swept.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::catalog::{Network, Networks};
use crate::household::Home;
use crate::{NetworkError, NetworkId, keeper};

/// A container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The container's id.
    pub container: String,
    /// The container's name.
    pub name: String,
    /// Further names that it goes by on this network.
    pub aliases: Vec<String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// The address of its interface.
    pub mac: Mac,
}

/// The address of an interface, which follows from its IPv4 address as docker has it: `02:42:ac:11:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mac(pub(crate) [u8; 6]);

impl Mac {
    pub(crate) fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

/// A place that is held.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) member: Member,
    path: PathBuf,
    /// Locked as long as we live.
    file: File,
    /// Keeps the bridge, where a process of its own does.
    _use: Option<File>,
}

impl Held {
    /// The member goes by this name from here on. The network is locked.
    pub(crate) fn rename(
        &mut self,
        networks: &Networks,
        network: &NetworkId,
        name: &str,
    ) -> Result<(), NetworkError> {
        name.clone_into(&mut self.member.name);
        // Never seen half written, nor without its lock.
        let new = networks.place(network).join("renamed");
        let file = write_locked(&new, &self.member)?;
        fs::rename(&new, &self.path).map_err(NetworkError::file("write", &self.path))?;
        self.file = file;
        Ok(())
    }

    /// Gives the place up.
    pub(crate) fn leave(self) -> Result<(), NetworkError> {
        fs::remove_file(&self.path).map_err(NetworkError::file("remove", &self.path))
    }
}

/// Who wants a place.
#[derive(Debug, Clone)]
pub(crate) struct Applicant<'a> {
    pub(crate) container: &'a str,
    pub(crate) name: &'a str,
    pub(crate) aliases: &'a [String],
    pub(crate) address: Option<Ipv4Addr>,
}

impl Networks {
    /// The containers that are on a network now.
    pub fn members(&self, id: &NetworkId) -> Result<Vec<Member>, NetworkError> {
        let mut members = Vec::new();
        for path in self.member_files(id)? {
            if let Some(member) = live(&path)? {
                members.push(member);
            }
        }
        members.sort_by_key(|member| member.address);
        Ok(members)
    }

    /// Removes what the dead have left. The network is locked.
    pub(crate) fn bury(&self, id: &NetworkId) -> Result<(), NetworkError> {
        for path in self.member_files(id)? {
            if live(&path)?.is_none() {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(NetworkError::file("remove", path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn member_files(&self, id: &NetworkId) -> Result<Vec<PathBuf>, NetworkError> {
        let directory = self.members_directory(id);
        match fs::read_dir(&directory) {
            Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(NetworkError::file("read", directory)(error)),
        }
    }

    /// Gives somebody a place on `network`, which is locked and has no dead.
    pub(crate) fn admit(
        &self,
        network: &Network,
        applicant: &Applicant<'_>,
    ) -> Result<Held, NetworkError> {
        let members = self.members(&network.id)?;
        let address = choose(network, &members, applicant.address)?;
        let member = Member {
            container: applicant.container.to_owned(),
            name: applicant.name.to_owned(),
            aliases: applicant.aliases.to_vec(),
            address,
            mac: Mac::of(address),
        };
        let path = self
            .members_directory(&network.id)
            .join(applicant.container);
        let file = write_locked(&path, &member)?;
        let has_keeper = self.home == Home::Here;
        Ok(Held {
            member,
            path,
            file,
            _use: has_keeper
                .then(|| keeper::use_it(self, &network.id))
                .transpose()?,
        })
    }
}

/// Writes what others see of a member; the file is locked as long as it is open.
fn write_locked(path: &Path, member: &Member) -> Result<File, NetworkError> {
    let failed = || NetworkError::file("write", path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(failed())?;
    file.lock().map_err(failed())?;
    let text = serde_json::to_vec(member).expect("a member is plain JSON");
    file.write_all(&text).map_err(failed())?;
    Ok(file)
}

/// The member of a file that somebody has locked.
pub(crate) fn live(path: &Path) -> Result<Option<Member>, NetworkError> {
    let failed = || NetworkError::file("read", path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed()(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            // Somebody who is being admitted has written nothing yet.
            Ok(serde_json::from_reader(io::BufReader::new(file)).ok())
        }
        Err(TryLockError::Error(error)) => Err(failed()(error)),
    }
}

fn choose(
    network: &Network,
    members: &[Member],
    wanted: Option<Ipv4Addr>,
) -> Result<Ipv4Addr, NetworkError> {
    let taken: HashSet<Ipv4Addr> = members
        .iter()
        .map(|member| member.address)
        .chain([network.gateway])
        .collect();
    if let Some(address) = wanted {
        let reason = if !network.subnet.is_host(address) {
            "it is none of the network's subnet"
        } else if taken.contains(&address) {
            "Address already in use"
        } else {
            return Ok(address);
        };
        return Err(NetworkError::Address {
            name: network.name.clone(),
            address: address.to_string(),
            reason,
        });
    }
    let range = network.ip_range.unwrap_or(network.subnet);
    range
        .hosts()
        .find(|address| network.subnet.is_host(*address) && !taken.contains(address))
        .ok_or_else(|| NetworkError::NoAddress {
            name: network.name.clone(),
        })
}

/// The addresses of all names on a network, in small letters.
pub(crate) fn names(members: &[Member]) -> BTreeMap<String, Vec<Ipv4Addr>> {
    let mut names: BTreeMap<String, Vec<Ipv4Addr>> = BTreeMap::new();
    for member in members {
        let short = member.container.get(..12).unwrap_or(&member.container);
        let own = [member.name.as_str(), short];
        let all = own
            .into_iter()
            .chain(member.aliases.iter().map(String::as_str));
        for name in all {
            let addresses = names.entry(name.to_ascii_lowercase()).or_default();
            if !addresses.contains(&member.address) {
                addresses.push(member.address);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::NewNetwork;

    fn applicant(container: &str) -> Applicant<'_> {
        Applicant {
            container,
            name: container,
            aliases: &[],
            address: None,
        }
    }

    #[test]
    fn addresses_are_given_in_order_and_come_back_when_their_holder_is_gone() {
        let place = tempfile::tempdir().expect("a place");
        let networks = Networks::alone(place.path());
        let new = NewNetwork {
            name: "app".into(),
            subnet: "10.5.0.0/29".parse().ok(),
            ..NewNetwork::default()
        };
        let app = networks
            .create(&new, [1; 32], SystemTime::UNIX_EPOCH)
            .expect("made");
        let admit = |who: &Applicant<'_>| networks.admit(&app, who);
        let one = admit(&applicant("one")).expect("room");
        assert_eq!(one.member.address, Ipv4Addr::new(10, 5, 0, 2));
        assert_eq!(one.member.mac.to_string(), "02:42:0a:05:00:02");
        let fixed = Applicant {
            address: Some(Ipv4Addr::new(10, 5, 0, 3)),
            ..applicant("two")
        };
        let two = admit(&fixed).expect("room");
        assert!(
            admit(&Applicant {
                container: "x",
                ..fixed
            })
            .is_err()
        );
        assert_eq!(
            admit(&applicant("three")).expect("room").member.address,
            Ipv4Addr::new(10, 5, 0, 4)
        );
        // Three was dropped with its lock: it counts as dead.
        assert_eq!(networks.members(&app.id).expect("readable").len(), 2);
        assert!(networks.remove("app").is_err());
        networks.bury(&app.id).expect("buried");
        one.leave().expect("left");
        two.leave().expect("left");
        networks.remove("app").expect("nobody is there");
    }
}
