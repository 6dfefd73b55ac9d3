//! `--volumes-from`: a container that mounts what another one mounts.

use std::path::Path;

use rbuild_sandbox::{Access, Source};
use rbuild_store::{Container, Store};

use crate::directories::Directories;
use crate::mount_options::Volume;
use crate::options::{Options, RootAccess};
use crate::volumes::Mounts;
use crate::{ContainerError, ContainerId, StoredConfig, find, layer_directories};

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
    let config = StoredConfig::from_json(&id, &donor.config)?;
    let mut all = anonymous(store, &donor, &config)?;
    let given = config.options.volumes.into_iter();
    all.extend(given.filter(|one| one.source.is_some() || one.name.is_some()));
    for target in config.image.volumes.keys() {
        if !all.iter().any(|one| one.target == Path::new(target)) {
            return Err(fail(&format!(
                "the files at {target} are among that container's own: create it with -v {target} to share them"
            )));
        }
    }
    let tmpfs = options.tmpfs.iter().map(|tmpfs| &tmpfs.target);
    let taken: Vec<_> = options
        .volumes
        .iter()
        .map(|one| &one.target)
        .chain(tmpfs)
        .collect();
    all.retain(|one| !taken.contains(&&one.target));
    if read_only {
        for one in &mut all {
            one.access = RootAccess::ReadOnly;
        }
    }
    Ok(all)
}

/// The anonymous volumes of a container, by their directories.
fn anonymous(
    store: &Store,
    donor: &Container,
    config: &StoredConfig,
) -> Result<Vec<Volume>, ContainerError> {
    let home = Directories::new(store.container_path(&donor.id)).volumes();
    let layers = layer_directories(store, donor)?;
    let volumes = config.image.volumes.keys();
    let mounts = Mounts::collect(&config.options, volumes, &layers, &home, &|name| {
        name.into()
    });
    let own = mounts
        .mounts
        .into_iter()
        .filter_map(|mount| match mount.source {
            Source::Volume(path) if path.starts_with(&home) => Some(Volume {
                source: Some(path),
                name: None,
                target: mount.target,
                access: match mount.access {
                    Access::ReadOnly => RootAccess::ReadOnly,
                    Access::ReadWrite => RootAccess::ReadWrite,
                },
                donor: Some(donor.id.clone()),
            }),
            _ => None,
        });
    let own: Vec<Volume> = own.collect();
    // They are there from its first start on, and for the other's, whichever is first.
    for path in own.iter().filter_map(|one| one.source.as_ref()) {
        crate::directories::create(path)?;
    }
    Ok(own)
}

/// The name of a container that mounts anonymous volumes of `donor`'s.
pub(crate) fn user_of(store: &Store, donor: &Container) -> Result<Option<String>, ContainerError> {
    let uses = |one: &Container| {
        let config = StoredConfig::from_json(&ContainerId::from_store(&one.id), &one.config);
        // One of another version of this program.
        config.is_ok_and(|config| {
            let mut volumes = config.options.volumes.iter();
            volumes.any(|volume| volume.donor.as_ref() == Some(&donor.id))
        })
    };
    let all = store.containers()?;
    Ok(all
        .into_iter()
        .find(|one| one.id != donor.id && uses(one))
        .map(|one| one.name))
}
