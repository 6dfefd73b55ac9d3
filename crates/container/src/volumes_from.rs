//! `--volumes-from`: a container that mounts what another one mounts.

use rbuild_store::Store;

use crate::mount_options::Volume;
use crate::options::{Options, RootAccess};
use crate::{ContainerError, ContainerId, StoredConfig, bring_up, find};

/// The volumes and bind mounts of the container that `text` names (`NAME[:ro]`), but for those in whose place `options`
/// mounts something else.
pub fn volumes_from(
    store: &Store,
    text: &str,
    options: &Options,
) -> Result<Vec<Volume>, ContainerError> {
    let fail = |reason: &str| ContainerError::option("--volumes-from", text, reason);
    let (name, read_only) = match text.split_once(':') {
        None => (text, false),
        Some((name, mode)) => match mode {
            "ro" => (name, true),
            "rw" | "z" | "Z" => (name, false),
            _ => return Err(fail("it is CONTAINER[:ro|rw]")),
        },
    };
    let donor = find(store, name)?;
    let id = ContainerId::from_store(&donor.id);
    bring_up(store, &donor)?;
    let donor = find(store, name)?;
    let config = StoredConfig::from_json(&id, &donor.config)?;
    if config.is_older() {
        return Err(fail(
            "an older version of rbuild runs that container: stop it, and start it again",
        ));
    }
    let mut all = config.options.volumes;
    all.retain(|one| !options.mounts_at(&one.target));
    if read_only {
        for one in &mut all {
            one.access = RootAccess::ReadOnly;
        }
    }
    Ok(all)
}
