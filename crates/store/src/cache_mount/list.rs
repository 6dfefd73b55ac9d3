//! Which cache mounts there are, and how one goes.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{CacheSharing, Meta, instances};
use crate::Store;
use crate::error::Result;
use crate::flock::{self, Attempt, Hold};
use crate::lease::list;

/// A cache mount as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// The name of its directory.
    pub key: String,
    /// See [`CacheMountSpec::id`].
    pub id: String,
    /// See [`CacheMountSpec::seed`].
    pub seed: String,
    /// When a step last used it.
    pub last_used: SystemTime,
    /// How the step that used it last shared it; not known of those that older versions made.
    pub sharing: Option<CacheSharing>,
    /// Whether a step uses it now.
    pub in_use: bool,
    /// The directories that steps see: one, or several if private mounts ran side by side.
    pub directories: Vec<PathBuf>,
}

impl Store {
    /// All cache mounts, sorted by id.
    pub fn cache_mounts(&self) -> Result<Vec<CacheMount>> {
        let mut mounts = Vec::new();
        for top in list(&self.paths().mounts())? {
            let path = top.join("meta.json");
            // One that is just being made or removed is not listed.
            let Ok(text) = fs::read(&path) else { continue };
            let Ok(meta) = serde_json::from_slice::<Meta>(&text) else {
                continue;
            };
            if meta.place.is_some() {
                continue;
            }
            let instances = instances(&top)?;
            let mut in_use = false;
            for directory in &instances {
                in_use |= matches!(
                    flock::try_directory(directory, Hold::Exclusive)?,
                    Attempt::Busy
                );
            }
            mounts.push(CacheMount {
                key: top
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                id: meta.id,
                seed: meta.seed,
                sharing: meta.sharing,
                last_used: fs::metadata(&path)
                    .and_then(|meta| meta.modified())
                    .unwrap_or(SystemTime::UNIX_EPOCH),
                in_use,
                directories: instances.iter().map(|one| one.join("data")).collect(),
            });
        }
        mounts.sort_by(|one, other| (&one.id, &one.key).cmp(&(&other.id, &other.key)));
        Ok(mounts)
    }

    /// Throws away the directories of the cache mount `key` that no step uses now; their contents are in the trash then.
    /// Tells how many those were.
    pub fn remove_cache_mount(&self, key: &str) -> Result<usize> {
        let top = self.paths().mounts().join(key);
        let mut removed = 0;
        for directory in instances(&top)? {
            if let Attempt::Got(lock) = flock::try_directory(&directory, Hold::Exclusive)? {
                self.throw_away(&directory)?;
                drop(lock);
                removed += 1;
            }
        }
        if instances(&top)?.is_empty() {
            // Whoever makes one just now makes these anew.
            crate::blob::remove_file(&top.join("meta.json"))?;
            let _ = fs::remove_dir(&top);
        }
        Ok(removed)
    }
}
