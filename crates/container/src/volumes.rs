//! The mounts of a container: bind mounts, tmpfs, and the image's VOLUMEs.
//!
//! An anonymous volume is a directory below the container's own. Where the image has files at its path and the root
//! file system can be written, the path is left to the container's writable layer, which shows those files; so nothing
//! has to be copied to start.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rbuild_sandbox::{Access, Mount, Source};

use crate::mount_options::{Tmpfs, Volume};
use crate::options::{Options, RootAccess};

/// Everything that is mounted, and the directories that have to exist for it.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    pub(crate) mounts: Vec<Mount>,
    /// On the host.
    pub(crate) directories: Vec<PathBuf>,
}

impl Mounts {
    /// Those that `options` and the image's `volumes` ask for. `lowers` are the image's layers, bottom first; anonymous
    /// volumes live in `home`, the others where `named` says.
    pub(crate) fn collect<'a>(
        options: &Options,
        volumes: impl Iterator<Item = &'a String>,
        lowers: &[PathBuf],
        home: &Path,
        named: &dyn Fn(&str) -> PathBuf,
    ) -> Self {
        let mut all = Self::default();
        for volume in &options.volumes {
            all.volume(volume, home, named);
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
        for target in volumes.map(|path| absolute(path)) {
            let taken = all.mounts.iter().any(|mount| mount.target == target);
            let shown = options.root_access == RootAccess::ReadWrite && holds(lowers, &target);
            if !taken && !shown && target != Path::new("/") {
                all.anonymous(&target, Access::ReadWrite, home);
            }
        }
        // Parents before what lies below them.
        all.mounts
            .sort_by_key(|mount| mount.target.components().count());
        all
    }

    fn volume(&mut self, volume: &Volume, home: &Path, named: &dyn Fn(&str) -> PathBuf) {
        let access = access(volume.access);
        if let Some(name) = &volume.name {
            self.mounts.push(Mount {
                target: volume.target.clone(),
                source: Source::Volume(named(name)),
                access,
            });
            return;
        }
        let Some(source) = &volume.source else {
            return self.anonymous(&volume.target, access, home);
        };
        if volume.donor.is_some() {
            self.mounts.push(Mount {
                target: volume.target.clone(),
                source: Source::Volume(source.clone()),
                access,
            });
            return;
        }
        if !source.exists() {
            // Docker makes a directory of a missing source.
            self.directories.push(source.clone());
        }
        self.mounts.push(Mount {
            target: volume.target.clone(),
            source: Source::Path(source.clone()),
            access,
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

    fn anonymous(&mut self, target: &Path, access: Access, home: &Path) {
        // Counted for themselves: what else was missing at the first start is there at the next.
        let is_anonymous = |mount: &&Mount| matches!(&mount.source, Source::Volume(path) if path.starts_with(home));
        let number = self.mounts.iter().filter(is_anonymous).count();
        let source = home.join(number.to_string());
        self.directories.push(source.clone());
        self.mounts.push(Mount {
            target: target.to_owned(),
            source: Source::Volume(source),
            access,
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
fn absolute(path: &str) -> PathBuf {
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

/// Whether one of the layers has something at `path`. Symbolic links are not followed, so the answer may be no where
/// the merged tree has a directory: then an empty volume is mounted there.
fn holds(lowers: &[PathBuf], path: &Path) -> bool {
    lowers.iter().any(|lower| {
        let mut at = lower.clone();
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
    use super::*;

    fn targets(mounts: &Mounts) -> Vec<&str> {
        let paths = mounts.mounts.iter();
        paths
            .map(|mount| mount.target.to_str().expect("the tests' paths are text"))
            .collect()
    }

    #[test]
    fn a_volume_of_the_image_is_mounted_only_where_the_image_has_nothing() {
        let layer = tempfile::tempdir().expect("a directory can be made");
        std::fs::create_dir_all(layer.path().join("var/www")).expect("a directory can be made");
        let lowers = [layer.path().to_owned()];
        let volumes = ["/var/www".to_owned(), "data/../cache/".to_owned()];
        let mut options = Options::default();
        let home = Path::new("/c/volumes");
        let mounts = Mounts::collect(&options, volumes.iter(), &lowers, home, &|name| {
            PathBuf::from(name)
        });
        assert_eq!(targets(&mounts), ["/cache"]);
        assert_eq!(mounts.directories, [home.join("0")]);

        options.root_access = RootAccess::ReadOnly;
        let mounts = Mounts::collect(&options, volumes.iter(), &lowers, home, &|name| {
            PathBuf::from(name)
        });
        assert_eq!(targets(&mounts), ["/cache", "/var/www"]);
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
        let volumes = ["/data".to_owned()];
        let mounts = Mounts::collect(&options, volumes.iter(), &[], Path::new("/c"), &|name| {
            PathBuf::from(name)
        });
        assert_eq!(targets(&mounts), ["/data", "/run", "/data/deep"]);
        assert!(mounts.directories.is_empty());
        assert_eq!(mounts.mounts[2].access, Access::ReadOnly);
    }
}
