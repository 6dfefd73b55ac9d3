//! The mounts of a container: bind mounts, volumes and tmpfs.
//!
//! What was to be an anonymous volume, `-v /data` or a VOLUME of the image, has a name of its own from the container's
//! creation on, and then is a volume as any other.

use std::path::{Component, Path, PathBuf};

use rbuild_image::{Digest, RuntimeConfig};
use rbuild_sandbox::{Access, Mount, Source};

use crate::Seed;
use crate::mount_options::{Naming, Tmpfs, Volume};
use crate::options::{Options, RootAccess};

/// Everything that is mounted, and the directories that have to exist for it.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    pub(crate) mounts: Vec<Mount>,
    /// On the host.
    pub(crate) directories: Vec<PathBuf>,
}

impl Options {
    /// With a volume of a made-up name for each that has none, and for each VOLUME of the image in whose place nothing
    /// else is mounted.
    pub(crate) fn with_anonymous_volumes(mut self, image: &RuntimeConfig, seed: Seed) -> Self {
        for target in image.volumes.keys().map(|path| absolute(path)) {
            if target != Path::new("/") && !self.mounts_at(&target) {
                self.volumes.push(Volume {
                    source: None,
                    name: None,
                    target,
                    access: RootAccess::ReadWrite,
                    naming: Naming::MadeUp,
                });
            }
        }
        let nameless = |one: &&mut Volume| one.source.is_none() && one.name.is_none();
        for one in self.volumes.iter_mut().filter(nameless) {
            one.name = Some(made_up(seed, &one.target));
            one.naming = Naming::MadeUp;
        }
        self
    }

    /// Whether the user mounts something at `target`.
    pub(crate) fn mounts_at(&self, target: &Path) -> bool {
        let tmpfs = self.tmpfs.iter().map(|tmpfs| &tmpfs.target);
        let mut all = self.volumes.iter().map(|one| &one.target).chain(tmpfs);
        all.any(|one| one == target)
    }
}

/// A name that nobody has: 64 digits, as docker's.
fn made_up(seed: Seed, target: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    Digest::sha256_of(&[&seed.0, target.as_os_str().as_bytes()].concat()).hex()
}

impl Mounts {
    /// Those that `options` ask for. Volumes are where `named` says.
    pub(crate) fn collect(options: &Options, named: &dyn Fn(&str) -> PathBuf) -> Self {
        let mut all = Self::default();
        for volume in &options.volumes {
            all.volume(volume, named);
        }
        for device in &options.devices {
            all.mounts.push(Mount {
                target: device.target.clone(),
                source: Source::Path(device.source.clone()),
                access: Access::ReadWrite,
            });
        }
        for tmpfs in &options.tmpfs {
            all.tmpfs(tmpfs);
        }
        // Parents before what lies below them.
        all.mounts
            .sort_by_key(|mount| mount.target.components().count());
        all
    }

    fn volume(&mut self, volume: &Volume, named: &dyn Fn(&str) -> PathBuf) {
        let source = match (&volume.source, &volume.name) {
            (Some(path), _) => {
                if !path.exists() {
                    // Docker makes a directory of a missing source.
                    self.directories.push(path.clone());
                }
                Source::Path(path.clone())
            }
            (None, Some(name)) => Source::Volume(named(name)),
            // Of a container that is only being asked for.
            (None, None) => return,
        };
        self.mounts.push(Mount {
            target: volume.target.clone(),
            source,
            access: access(volume.access),
        });
    }

    fn tmpfs(&mut self, tmpfs: &Tmpfs) {
        self.mounts.push(Mount {
            target: tmpfs.target.clone(),
            source: Source::Tmpfs {
                bytes: tmpfs.bytes,
                mode: tmpfs.mode,
                owner: tmpfs.owner,
                programs: tmpfs.programs,
            },
            access: access(tmpfs.access),
        });
    }
}

fn access(access: RootAccess) -> Access {
    match access {
        RootAccess::ReadWrite => Access::ReadWrite,
        RootAccess::ReadOnly => Access::ReadOnly,
    }
}

/// A VOLUME's path without `.`, `..` and doubled slashes, from `/`.
pub(crate) fn absolute(path: &str) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn image(volumes: &[&str]) -> RuntimeConfig {
        let volumes = volumes
            .iter()
            .map(|&path| (path.to_owned(), BTreeMap::default()));
        RuntimeConfig {
            volumes: volumes.collect::<BTreeMap<_, _>>(),
            ..RuntimeConfig::default()
        }
    }

    fn targets(options: &Options) -> Vec<&str> {
        let paths = options.volumes.iter();
        paths
            .map(|volume| volume.target.to_str().expect("the tests' paths are text"))
            .collect()
    }

    #[test]
    fn volumes_without_a_name_get_one_that_stays() {
        let options = Options {
            volumes: vec![
                Volume::parse("/own").expect("well-formed"),
                Volume::parse("named:/named").expect("well-formed"),
            ],
            ..Options::default()
        };
        let image = image(&["data/../cache/", "/own", "/"]);
        let made = options
            .clone()
            .with_anonymous_volumes(&image, Seed([1; 32]));
        assert_eq!(targets(&made), ["/own", "/named", "/cache"]);
        let names: Vec<&str> = made
            .volumes
            .iter()
            .filter_map(|one| one.name.as_deref())
            .collect();
        assert_eq!(
            (names[0].len(), names[1], names[2].len()),
            (64, "named", 64)
        );
        assert_ne!(names[0], names[2]);
        let naming: Vec<Naming> = made.volumes.iter().map(|one| one.naming).collect();
        assert_eq!(naming, [Naming::MadeUp, Naming::Given, Naming::MadeUp]);
        let again = made.clone().with_anonymous_volumes(&image, Seed([2; 32]));
        assert_eq!(again, made);
        let other = options.with_anonymous_volumes(&image, Seed([2; 32]));
        assert_ne!(other.volumes[0].name, made.volumes[0].name);
    }

    #[test]
    fn what_the_user_mounts_takes_the_place_of_the_images_volume() {
        let options = Options {
            volumes: vec![
                Volume::parse("/tmp:/data/deep:ro").expect("well-formed"),
                Volume::parse("/tmp:/data").expect("well-formed"),
            ],
            tmpfs: vec![Tmpfs::parse("/run").expect("well-formed")],
            ..Options::default()
        };
        let options = options.with_anonymous_volumes(&image(&["/data", "/run"]), Seed([1; 32]));
        let mounts = Mounts::collect(&options, &|name| PathBuf::from(name));
        let targets: Vec<&Path> = mounts.mounts.iter().map(|one| &*one.target).collect();
        assert_eq!(targets, ["/data", "/run", "/data/deep"].map(Path::new));
        assert!(mounts.directories.is_empty());
        assert_eq!(mounts.mounts[2].access, Access::ReadOnly);
    }
}
