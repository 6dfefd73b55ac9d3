//! The default network, where it is the machine's: of root there is one for all of its stores.
//!
//! ```text
//! /run/rbuild/networks/<number of the host's network namespace>/<id>/   as below a store
//! ```
//!
//! What comes and goes with every step and every container should cost little, so the bridge stays up between two of them
//! (see `keeper`), and stores share it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::catalog::{Network, Networks};
use crate::{NetworkError, keeper};

/// A machine that was started again has none of these.
const PLACE: &str = "/run/rbuild/networks";
/// The namespace in which the bridge is to be.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// The directory of the machine's network; `None` for who may not have it.
pub(crate) fn directory() -> Option<PathBuf> {
    if !rbuild_sys::is_initial_user_namespace() || !rustix::process::geteuid().is_root() {
        return None;
    }
    let namespace = fs::metadata(NAMESPACE).ok()?.ino();
    let directory = PathBuf::from(PLACE).join(namespace.to_string());
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(&directory).ok()?;
    Some(directory)
}

/// The network, made when it is first asked for. Its id follows from the namespace, so that whoever asks first is of no
/// matter.
pub(crate) fn network(
    networks: &Networks,
    directory: &std::path::Path,
) -> Result<Network, NetworkError> {
    let name = directory.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.parse().ok()).unwrap_or_default();
    network_of(networks, directory, number)
}

/// The same for a household, whose networks are in `directory`.
pub(crate) fn network_of_household(
    networks: &Networks,
    directory: &std::path::Path,
) -> Result<Network, NetworkError> {
    let number = fs::metadata(directory).map_err(NetworkError::file("read", directory))?;
    network_of(
        networks,
        directory,
        number.ino() ^ number.dev().rotate_left(32),
    )
}

fn network_of(
    networks: &Networks,
    directory: &std::path::Path,
    number: u64,
) -> Result<Network, NetworkError> {
    let read = NetworkError::file("read", directory);
    let made = fs::metadata(directory).map_err(read)?.modified();
    networks.make_default(seed(number), made.unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Bytes that look like those of other ids (the steps of SplitMix64).
fn seed(number: u64) -> [u8; 32] {
    let mut state = number;
    let mut seed = [0; 32];
    for part in seed.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        part.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes());
    }
    seed
}

/// Removes what is left of network namespaces that have ended. Those that nobody is in and nobody keeps count as such.
pub(crate) fn forget_the_dead() {
    let Ok(entries) = fs::read_dir(PLACE) else {
        return;
    };
    let numbered = entries.flatten().filter_map(|entry| {
        let number: u64 = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path()))
    });
    let known: Vec<(u64, PathBuf)> = numbered.collect();
    // Mostly, there is one.
    if known.len() < 2 {
        return;
    }
    let alive = namespaces();
    for (number, directory) in known {
        if !alive.contains(&number) && keeper::has_nobody(&directory) {
            // Whoever comes next tries again.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// The numbers of all network namespaces that a process is in.
fn namespaces() -> HashSet<u64> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let namespaces = processes.filter_map(|process| {
        let namespace = fs::metadata(process.path().join("ns/net")).ok()?;
        Some(namespace.ino())
    });
    namespaces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkId;

    #[test]
    fn the_id_of_the_machines_network_does_not_change_unnoticed() {
        let id = NetworkId::from_seed(seed(4_026_531_840));
        assert_eq!(id.short().len(), 12);
        assert_ne!(id, NetworkId::from_seed(seed(4_026_531_841)));
    }
}
