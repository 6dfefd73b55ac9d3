//! Emptying cache mounts, whoever still uses them.

use std::path::Path;

use super::{CacheMount, CacheMountSpec, CacheSharing, cache_mount_key, instances};
use crate::Store;
use crate::error::{Result, StoreError};
use crate::flock::{self, Attempt, Hold};

impl Store {
    /// Empties every mount of `id`, or the one at `place`; waits for the steps that use them. `cancelled` is asked every few
    /// milliseconds.
    ///
    /// Fails with [`StoreError::Cancelled`] when told so.
    pub fn empty_cache_mounts(
        &self,
        id: &str,
        place: Option<&Path>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<()> {
        if let Some(place) = place {
            return self.empty_place(id, place, cancelled);
        }
        for mount in self
            .cache_mounts()?
            .into_iter()
            .filter(|mount| mount.id == id)
        {
            let top = self.paths().mounts().join(&mount.key);
            flock::wait_for(&format!("cache mount {id}"), cancelled, || {
                self.remove_cache_mount(&mount.key)?;
                Ok(instances(&top)?.is_empty().then_some(()))
            })?;
        }
        Ok(())
    }

    fn empty_place(&self, id: &str, place: &Path, cancelled: &dyn Fn() -> bool) -> Result<()> {
        let spec = CacheMountSpec {
            sharing: CacheSharing::Locked,
            place: Some(place),
            ..CacheMountSpec::plain(id)
        };
        let held = self.cache_mount(&spec, cancelled)?;
        let directory = crate::store::open_directory(place)?;
        for path in crate::lease::list(place)? {
            let name = path.file_name().expect("a listed path has a last part");
            crate::remove::remove_tree(&directory, name.as_encoded_bytes())
                .map_err(StoreError::io("remove", &path))?;
        }
        drop(held);
        Ok(())
    }

    /// The bytes that `mount` takes.
    pub fn cache_mount_bytes(&self, mount: &CacheMount) -> Result<u64> {
        let sizes = mount.directories.iter();
        sizes
            .map(|directory| crate::measure::tree_bytes(directory))
            .sum()
    }

    /// The lock of the first directory of the mount `key`, for who must be alone with it.
    pub(super) fn alone_with(&self, key: &str, id: &str) -> Result<std::os::fd::OwnedFd> {
        let directory = self.paths().mounts().join(key).join("0");
        match flock::try_directory(&directory, Hold::Exclusive)? {
            Attempt::Got(lock) => Ok(lock),
            Attempt::Busy => Err(StoreError::CacheMountInUse { id: id.to_owned() }),
            Attempt::Missing => Err(StoreError::MissingCacheMount { id: id.to_owned() }),
        }
    }

    /// Where the data of the mount `spec` lie, when nothing else is asked.
    pub(super) fn first_data(&self, spec: &CacheMountSpec<'_>) -> std::path::PathBuf {
        let top = self.paths().mounts().join(cache_mount_key(spec));
        top.join("0").join("data")
    }
}
