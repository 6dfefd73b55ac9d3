//! Making room: what to remove is the caller's choice, what may not be removed is not.
//!
//! Never goes what a living process has a handle of or wrote since its lease began, what a container needs, nor what an
//! image with a name needs (unless unused images are asked for by name). Two processes may prune at once.

use std::time::SystemTime;

use rusqlite::{OptionalExtension, params};

use crate::Store;
use crate::collect::{Collected, Removal};
use crate::container::ContainerState;
use crate::error::Result;
use crate::flock::{self, Attempt, Hold};
use crate::image::{ImageRemoval, StoredImage};
use crate::record::{Record, StepKey};
use crate::time;
use crate::usage::NEEDED;

/// Which images go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImagePrune {
    /// None.
    #[default]
    Keep,
    /// Those without a name.
    Dangling,
    /// All that no container uses.
    Unused,
}

/// Which cache records go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CachePrune {
    /// None; only what not even a record needs is collected.
    #[default]
    Keep,
    /// Those that no image and no container needs a layer of.
    Unneeded,
    /// The least recently used, until [`PruneOptions::keep_bytes`] holds; all without it.
    LeastUsed,
}

/// Whether things of a kind go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prune {
    /// They stay.
    #[default]
    Keep,
    /// Those that are not in use go.
    Unused,
}

/// What to remove. The default removes only what nothing refers to.
#[derive(Debug, Clone, Copy, Default)]
pub struct PruneOptions {
    /// Images.
    pub images: ImagePrune,
    /// Cache records, and the layers that only they need.
    pub cache: CachePrune,
    /// Cache mounts.
    pub mounts: Prune,
    /// Containers that do not run, as far as their rows say.
    pub containers: Prune,
    /// Only what was last used (of images: stored; of containers: made) before this time.
    pub unused_since: Option<SystemTime>,
    /// Cache records go only until the layers that they alone need take at most this many bytes.
    pub keep_bytes: Option<u64>,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// IDs of containers.
    pub containers: Vec<String>,
    /// Images and names of images.
    pub images: Vec<ImageRemoval>,
    /// Keys of cache records.
    pub records: Vec<StepKey>,
    /// Keys of cache mounts.
    pub mounts: Vec<String>,
    /// Layers and blobs.
    pub collected: Collected,
    /// Bytes freed altogether, what cache mounts and containers took included.
    pub bytes: u64,
}

impl Store {
    /// Removes what `options` say, and then what nothing needs any more, and empties the trash.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        self.flush_uses()?;
        let mut pruned = Pruned::default();
        if options.containers == Prune::Unused {
            self.prune_containers(options, &mut pruned)?;
        }
        self.prune_images(options, &mut pruned)?;
        if options.mounts == Prune::Unused {
            self.prune_mounts(options, &mut pruned)?;
        }
        if options.cache != CachePrune::Keep {
            self.prune_records(options, &mut pruned)?;
        }
        let rest = self.collect()?;
        take_in(&mut pruned.collected, rest);
        pruned.bytes += pruned.collected.bytes;
        self.empty_trash()?;
        Ok(pruned)
    }

    /// Keeps the build cache within `cap` bytes: the least recently used records go first, and nothing else does.
    pub fn collect_to(&self, cap: u64) -> Result<Pruned> {
        self.prune(&PruneOptions {
            cache: CachePrune::LeastUsed,
            keep_bytes: Some(cap),
            ..PruneOptions::default()
        })
    }

    /// Whether an image or a container needs one of the record's layers.
    fn has_needed_layer(&self, key: &StepKey) -> Result<bool> {
        self.db().read("look who needs a record's layers", |db| {
            let sql = format!(
                "SELECT EXISTS (SELECT 1 FROM records JOIN record_layers ON record_layers.record = number
                 JOIN layers ON layers.id = record_layers.layer WHERE key = ?1 AND {NEEDED})"
            );
            Ok(db.prepare_cached(&sql)?.query_row(params![key.0], |row| row.get(0))?)
        })
    }

    fn prune_containers(&self, options: &PruneOptions, pruned: &mut Pruned) -> Result<()> {
        for one in self.containers()? {
            let idle = matches!(
                one.state,
                ContainerState::Created | ContainerState::Exited { .. }
            );
            if !idle || !old_enough(one.created, options) {
                continue;
            }
            let bytes = crate::usage::tree_bytes(&self.container_path(&one.id))?;
            // Asked again where it counts: it may have been started meanwhile.
            if self.remove_idle_container(&one.id)? {
                pruned.bytes += bytes;
                pruned.containers.push(one.id);
            }
        }
        Ok(())
    }

    fn remove_idle_container(&self, id: &str) -> Result<bool> {
        let directory = self.container_path(id);
        let removed = self.db().write("remove an idle container", |db| {
            let state: Option<String> = db
                .prepare_cached("SELECT state FROM containers WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            let idle = state.is_some_and(|state| {
                matches!(
                    serde_json::from_str(&state),
                    Ok(ContainerState::Created | ContainerState::Exited { .. })
                )
            });
            if idle {
                db.prepare_cached("DELETE FROM containers WHERE id = ?1")?
                    .execute([id])?;
            }
            Ok(idle)
        })?;
        if removed {
            self.throw_away(&directory)?;
        }
        Ok(removed)
    }

    fn prune_images(&self, options: &PruneOptions, pruned: &mut Pruned) -> Result<()> {
        if options.images == ImagePrune::Keep {
            return Ok(());
        }
        let since = self.protected_since()?;
        for image in self.images()? {
            let wanted = image.names.is_empty() || options.images == ImagePrune::Unused;
            let settled = time::to_millis(image.stored) < since;
            if wanted && settled && old_enough(image.stored, options) {
                self.prune_image(&image, options.images, pruned)?;
            }
        }
        Ok(())
    }

    fn prune_image(
        &self,
        image: &StoredImage,
        which: ImagePrune,
        pruned: &mut Pruned,
    ) -> Result<()> {
        let named = match which {
            ImagePrune::Unused => "TRUE",
            _ => "NOT EXISTS (SELECT 1 FROM image_names WHERE image = ?1)",
        };
        let removed = self.db().write("remove an unused image", |db| {
            Ok(db
                .prepare_cached(&format!(
                    "DELETE FROM images WHERE digest = ?1 AND {named}
                     AND NOT EXISTS (SELECT 1 FROM containers WHERE image = ?1)"
                ))?
                .execute([image.digest.as_bytes()])?)
        })?;
        if removed == 0 {
            return Ok(());
        }
        crate::oci_layout::write(self)?;
        pruned.images.push(ImageRemoval {
            untagged: image.names.clone(),
            deleted: vec![image.id],
            collected: Collected::default(),
        });
        Ok(())
    }

    fn prune_mounts(&self, options: &PruneOptions, pruned: &mut Pruned) -> Result<()> {
        for mount in self.cache_mounts()? {
            if mount.in_use || !old_enough(mount.last_used, options) {
                continue;
            }
            let mut bytes = 0;
            for directory in &mount.directories {
                bytes += crate::usage::tree_bytes(directory)?;
            }
            if self.remove_cache_mount(&mount.key)? > 0 {
                pruned.bytes += bytes;
                pruned.mounts.push(mount.key);
            }
        }
        Ok(())
    }

    /// Removes records, the least recently used first, each with the layers that only it needed. A record whose layers
    /// some process uses stays.
    fn prune_records(&self, options: &PruneOptions, pruned: &mut Pruned) -> Result<()> {
        let asked = options.unused_since.map_or(i64::MAX, time::to_millis);
        let before = self.oldest_lease()?.unwrap_or(i64::MAX).min(asked);
        let mut left = self.build_cache_bytes()?;
        for record in self.records()? {
            if options.keep_bytes.is_some_and(|keep| left <= keep) {
                break;
            }
            if options.cache == CachePrune::Unneeded && self.has_needed_layer(&record.key)? {
                continue;
            }
            // Within a cap, losing a record that frees nothing would be for nothing.
            if options.keep_bytes.is_some() && !self.keeps_layers_alone(&record.key)? {
                continue;
            }
            if self.is_pinned(&record)? || !self.remove_unused_record(&record.key, before)? {
                continue;
            }
            pruned.records.push(record.key);
            for id in record.layers {
                if let Some(bytes) = self.remove_layer(&id, Removal::IfUnneeded)? {
                    pruned.collected.layers.push(id);
                    pruned.collected.bytes += bytes;
                    left = left.saturating_sub(bytes);
                }
            }
        }
        Ok(())
    }

    fn remove_unused_record(&self, key: &StepKey, before: i64) -> Result<bool> {
        self.db().write("remove a record", |db| {
            let removed = db
                .prepare_cached("DELETE FROM records WHERE key = ?1 AND last_used < ?2")?
                .execute(params![key.0, before])?;
            Ok(removed > 0)
        })
    }

    /// Whether a record has a layer that neither an image nor a container needs.
    fn keeps_layers_alone(&self, key: &StepKey) -> Result<bool> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM records JOIN record_layers ON record = number
             JOIN layers ON layers.id = layer WHERE key = ?1 AND NOT {NEEDED})"
        );
        self.db().read("look at a record's layers", |db| {
            Ok(db
                .prepare_cached(&sql)?
                .query_row([key.0], |row| row.get(0))?)
        })
    }

    fn is_pinned(&self, record: &Record) -> Result<bool> {
        for id in &record.layers {
            let path = self.paths().layer(id);
            if let Attempt::Busy = flock::try_directory(&path, Hold::Exclusive)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn old_enough(used: SystemTime, options: &PruneOptions) -> bool {
    options.unused_since.is_none_or(|since| used < since)
}

fn take_in(all: &mut Collected, more: Collected) {
    all.layers.extend(more.layers);
    all.blobs.extend(more.blobs);
    all.bytes += more.bytes;
}
