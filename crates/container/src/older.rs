//! Containers that older versions of this program made.
//!
//! Up to version 1 of the configuration anonymous volumes had no names, and were directories of the container's:
//! `containers/<id>/volumes/N`, numbered as they are mounted. Where the image has a directory in the place of a VOLUME, the
//! files there were among the container's own. Such a container gets volumes with names, with the same files.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rbuild_store::{Container, Store};

use crate::mount_options::{Naming, Volume};
use crate::options::RootAccess;
use crate::supervisor::lock_name;
use crate::volume_store::Volumes;
use crate::volumes::absolute;
use crate::{ContainerError, ContainerId, Seed, StoredConfig, layer_directories};

/// Makes a container that does not run one of this version. One that runs stays as it is.
pub fn bring_up(store: &Store, container: &Container) -> Result<(), ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let config = StoredConfig::from_json(&id, &container.config)?;
    if !config.is_older() {
        return Ok(());
    }
    match store.try_lock(&lock_name(&container.id))? {
        Some(_lock) => brought_up(store, container, config).map(drop),
        None => Ok(()),
    }
}

/// As [`bring_up`], for who has the container's lock; gives the configuration that it has then.
pub(crate) fn brought_up(
    store: &Store,
    container: &Container,
    config: StoredConfig,
) -> Result<StoredConfig, ContainerError> {
    if !config.is_older() {
        return Ok(config);
    }
    let layers = layer_directories(store, container)?;
    let config = with_names(config, &layers, seed(&container.id));
    let volumes = Volumes::lock(store)?;
    let home = store.container_path(&container.id).join("volumes");
    for (number, name) in anonymous(&config.options.volumes).enumerate() {
        volumes.adopt(&home.join(number.to_string()), name, container.created)?;
    }
    // One that was never started had none.
    volumes.provide(&config.options.volumes, &layers, container.created)?;
    store.update_container(&container.id, |row| {
        row.config = config.to_json();
        Ok::<(), ContainerError>(())
    })?;
    Ok(config)
}

/// The names that nobody gave.
fn anonymous(volumes: &[Volume]) -> impl Iterator<Item = &str> {
    let all = volumes.iter().filter(|one| one.naming == Naming::MadeUp);
    all.filter_map(|one| one.name.as_deref())
}

/// What a container's ID was made from; names that come from it are the same each time.
fn seed(id: &str) -> Seed {
    let mut seed = Seed([0; 32]);
    // The store's IDs have 64 digits. With another, the names come from the volumes' places alone.
    let _ = hex::decode_to_slice(id, &mut seed.0);
    seed
}

/// With names for the volumes that it had, in the order of their numbers.
fn with_names(config: StoredConfig, layers: &[PathBuf], seed: Seed) -> StoredConfig {
    let mut mounted = config.image.clone();
    if config.options.root_access == RootAccess::ReadWrite {
        mounted
            .volumes
            .retain(|path, _| !holds(layers, &absolute(path)));
    }
    let options = config.options.with_anonymous_volumes(&mounted, seed);
    StoredConfig::new(options, config.image)
}

/// Whether one of the layers has a directory at `path`, links not followed.
fn holds(layers: &[PathBuf], path: &Path) -> bool {
    layers.iter().any(|layer| {
        let mut at = layer.clone();
        let mut parts = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        parts.all(|name| {
            debug_assert!(!name.as_bytes().contains(&b'/'));
            at.push(name);
            at.symlink_metadata().is_ok_and(|found| found.is_dir())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use rbuild_image::RuntimeConfig;
    use rbuild_store::NewContainer;

    use super::*;
    use crate::{AnonymousVolumes, Options, remove, remove_volume, volume, volume_users, volumes};

    const ID: &str = "0707070707070707070707070707070707070707070707070707070707070707";

    /// As version 1 stored it, with the VOLUME /var.
    fn old(volumes: &[&str]) -> String {
        let volumes = volumes
            .iter()
            .map(|text| Volume::parse(text).expect("well-formed"));
        let options = Options {
            volumes: volumes.collect(),
            ..Options::default()
        };
        let image = RuntimeConfig {
            volumes: BTreeMap::from([("/var".to_owned(), BTreeMap::default())]),
            ..RuntimeConfig::default()
        };
        let json = StoredConfig::new(options, image).to_json();
        json.replace("\"version\":2", "\"version\":1")
    }

    fn store_with(config: &str) -> (tempfile::TempDir, Store, Container) {
        let place = tempfile::tempdir().expect("a directory");
        let store = Store::open(place.path()).expect("a new store");
        let new = NewContainer {
            id: ID,
            name: "old",
            image: None,
            image_name: "app",
            config,
            layers: &[],
        };
        let container = store.create_container(&new).expect("the name is free");
        (place, store, container)
    }

    fn files_of_old(store: &Store) {
        for (number, content) in ["of -v", "of VOLUME"].into_iter().enumerate() {
            let own = store.container_path(ID).join(format!("volumes/{number}"));
            fs::create_dir_all(&own).expect("a directory");
            fs::write(own.join("file"), content).expect("a file");
        }
    }

    fn contents(store: &Store) -> Vec<String> {
        let all = volumes(store).expect("they can be listed");
        let files = all.iter().filter(|one| one.name != "data");
        let mut texts: Vec<String> = files
            .map(|one| fs::read_to_string(one.data.join("file")).expect("the file is there"))
            .collect();
        texts.sort();
        texts
    }

    #[test]
    fn anonymous_volumes_of_older_containers_become_volumes_with_the_same_files() {
        let (_place, store, container) = store_with(&old(&["data:/data", "/own"]));
        files_of_old(&store);
        bring_up(&store, &container).expect("it is known");
        assert_eq!(contents(&store), ["of -v", "of VOLUME"]);

        let now = store
            .container("old")
            .expect("a store")
            .expect("it is there");
        let id = ContainerId::from_store(ID);
        let config = StoredConfig::from_json(&id, &now.config).expect("ours");
        let mounts: Vec<(&str, &str)> = config.options.volumes[1..]
            .iter()
            .map(|one| {
                let name = one.name.as_deref().expect("each has one");
                let found = volume(&store, name).expect("a store").expect("there");
                let text = fs::read_to_string(found.data.join("file")).expect("a file");
                let target = one.target.to_str().expect("text");
                (
                    target,
                    if text == "of -v" {
                        "of -v"
                    } else {
                        "of VOLUME"
                    },
                )
            })
            .collect();
        assert_eq!(mounts, [("/own", "of -v"), ("/var", "of VOLUME")]);
        bring_up(&store, &now).expect("it is of this version");
    }

    #[test]
    fn removing_an_older_container_keeps_what_is_in_its_volumes() {
        let (_place, store, _) = store_with(&old(&["/own"]));
        files_of_old(&store);
        remove(&store, "old", AnonymousVolumes::Kept).expect("it does not run");
        assert_eq!(contents(&store), ["of -v", "of VOLUME"]);
    }

    #[test]
    fn removing_an_older_container_with_its_volumes_leaves_nothing() {
        let (_place, store, _) = store_with(&old(&["/own"]));
        files_of_old(&store);
        remove(&store, "old", AnonymousVolumes::Removed).expect("it does not run");
        assert!(contents(&store).is_empty());
        assert!(!store.container_path(ID).exists());
    }

    #[test]
    fn volumes_of_older_containers_and_of_ones_that_cannot_be_read_are_in_use() {
        for config in [&old(&["data:/data"]), r#"{"version":9}"#] {
            let (_place, store, container) = store_with(config);
            let made = crate::create_volume(&store, "data", BTreeMap::new(), container.created);
            let made = made.expect("the name is free");
            let told = remove_volume(&store, "data").expect_err("it is in use");
            assert!(told.to_string().contains("in use by old"), "{told}");
            assert_eq!(volume_users(&store, "data").expect("a store").len(), 1);
            assert!(made.data.exists());
            store.remove_container(ID).expect("it is there");
            remove_volume(&store, "data").expect("nobody has it");
            assert!(!made.data.exists());
        }
    }

    #[test]
    fn what_the_image_had_in_a_volumes_place_stays_the_containers_own() {
        let layer = tempfile::tempdir().expect("a directory");
        fs::create_dir(layer.path().join("var")).expect("a directory");
        let id = ContainerId::from_store(ID);
        let read = || StoredConfig::from_json(&id, &old(&[])).expect("known");
        let layers = [layer.path().to_owned()];
        assert!(
            with_names(read(), &layers, seed(ID))
                .options
                .volumes
                .is_empty()
        );
        let mut read_only = read();
        read_only.options.root_access = RootAccess::ReadOnly;
        assert_eq!(
            with_names(read_only, &layers, seed(ID))
                .options
                .volumes
                .len(),
            1
        );
    }
}
