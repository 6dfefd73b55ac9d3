//! Making room: what to remove is the caller's choice, what may not be removed is not.
//!
//! Never goes what a living process has a handle of or wrote since its lease began, what a container needs, nor what an
//! image with a name needs (unless unused images are asked for by name). Two processes may prune at once.

use std::fmt;
use std::time::{Duration, SystemTime};

use rusqlite::OptionalExtension;

use crate::Store;
use crate::collect::{Collected, Suspects};
use crate::container::ContainerState;
use crate::disk::Limits;
use crate::error::Result;
use crate::image::{ImageRemoval, StoredImage};
use crate::measure::Measure;
use crate::shrink::{Garbage, Run};
use crate::time;
use crate::usage::UsageItem;

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
    /// All.
    All,
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

/// Whether something happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// It does.
    #[default]
    Remove,
    /// It is only told what would.
    Rehearse,
}

/// A choice among things: those go for which it is true.
#[derive(Clone, Copy)]
pub struct Choice<'a>(pub &'a dyn Fn(&UsageItem) -> bool);

impl fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Choice")
    }
}

/// What to remove. The default removes only what nothing refers to.
#[derive(Debug, Clone, Copy, Default)]
pub struct PruneOptions<'a> {
    /// Images.
    pub images: ImagePrune,
    /// Cache records, and the layers that only they need.
    pub cache: CachePrune,
    /// Bases of builds: what their names stood for, and the layers that only they need.
    pub bases: Prune,
    /// Cache mounts.
    pub mounts: Prune,
    /// Clones, downloads, and what is known of contexts.
    pub fetched: Prune,
    /// Blobs that no image names; without this, only those go that are not a form of a layer that is here as files too.
    pub blobs: Prune,
    /// Containers that do not run, as far as their rows say.
    pub containers: Prune,
    /// Only what was last used (of images: stored; of containers: made) before this time.
    pub unused_since: Option<SystemTime>,
    /// Only what this is true of.
    pub only: Option<Choice<'a>>,
    /// Of the cache (all but images and containers) goes what is worth least, and only as long as it takes more than these
    /// permit. Without any limit, all that was chosen goes.
    pub limits: Limits,
    /// Whether it is done.
    pub action: Action,
}

impl PruneOptions<'_> {
    /// Whether a thing is among what was asked for.
    pub(crate) fn permits(&self, item: &UsageItem) -> bool {
        let unused = |since| item.last_used.is_none_or(|used| used < since);
        self.unused_since.is_none_or(unused) && self.only.is_none_or(|Choice(only)| only(item))
    }
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// IDs of containers.
    pub containers: Vec<String>,
    /// Images and names of images.
    pub images: Vec<ImageRemoval>,
    /// Cache records, each with the bytes that were free with it.
    pub records: Vec<UsageItem>,
    /// Bases of builds and layers of them, each with the bytes that were free with it.
    pub bases: Vec<UsageItem>,
    /// Cache mounts.
    pub mounts: Vec<UsageItem>,
    /// Clones, downloads, and what was known of contexts.
    pub fetched: Vec<UsageItem>,
    /// Blobs that nothing named, and compressed forms of layers that are still here.
    pub blobs: Vec<UsageItem>,
    /// Layers and blobs.
    pub collected: Collected,
    /// Bytes freed altogether, what cache mounts and containers took included.
    pub bytes: u64,
}

/// After this time without use, sources go, if the cache takes more than [`CHEAP_BYTES`], and blobs that nothing names.
const CHEAP_AGE: Duration = Duration::from_secs(48 * 60 * 60);
/// What the cache may take before sources go for their age, if nothing is reserved for it.
const CHEAP_BYTES: u64 = 512_000_000;
/// In a cache that is over its limits, what was not used for this long goes before all else.
const STALE_AGE: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// What was used within this time stays where only the disk is too full, so that one build does not undo the other. Uses are
/// noted to the hour.
const FRESH_AGE: Duration = Duration::from_secs(2 * 60 * 60);
/// With less free than this share of what was asked for, what was just used goes as well: the disk is about to be full.
const EMERGENCY_SHARE: u64 = 4;

impl Store {
    /// Removes what `options` say, and then what nothing needs any more, and empties the trash.
    pub fn prune(&self, options: &PruneOptions<'_>) -> Result<Pruned> {
        if options.action == Action::Remove {
            self.make_way()?;
        }
        self.flush_uses()?;
        let how = match options.action {
            Action::Remove => Measure::Now,
            Action::Rehearse => Measure::IfUsedSince,
        };
        let garbage = Garbage {
            unused_since: self.now(),
        };
        let mut run = Run::begin(self, options.action, how, garbage)?;
        if options.containers == Prune::Unused {
            self.prune_containers(options, &mut run)?;
        }
        if options.images != ImagePrune::Keep {
            self.prune_images(options, &mut run)?;
        }
        run.reduce(options)?;
        run.finish()
    }

    /// Keeps the build cache within `limits`, as it happens after each build. In this order, each only as far as it must be, and
    /// never below what is reserved:
    ///
    /// 1. sources that were not used for 48 hours, if the cache takes more than 512 MB;
    /// 2. whatever was not used for 60 days, if the cache exceeds its limits;
    /// 3. what is worth least: the seconds that it took for each byte that it takes, halved with each week without use. What was
    ///    used in the last two hours goes only for the cap, or where less than a quarter of the wanted room is free.
    ///
    /// Never goes what an image, a container or a living process needs, nor what the name of a base stands for.
    pub fn collect_garbage(&self, limits: Limits, action: Action) -> Result<Pruned> {
        if action == Action::Remove {
            self.make_way()?;
        }
        self.flush_uses()?;
        let before = |age| self.now().checked_sub(age);
        let garbage = Garbage {
            unused_since: before(CHEAP_AGE).unwrap_or(SystemTime::UNIX_EPOCH),
        };
        let mut run = Run::begin(self, action, Measure::IfUsedSince, garbage)?;
        run.reduce(&PruneOptions {
            fetched: Prune::Unused,
            unused_since: before(CHEAP_AGE),
            limits: Limits {
                max_used: Some(CHEAP_BYTES),
                reserved: limits.reserved,
                min_free: None,
            },
            ..PruneOptions::default()
        })?;
        if limits != Limits::default() {
            let all = PruneOptions {
                cache: CachePrune::All,
                bases: Prune::Unused,
                mounts: Prune::Unused,
                fetched: Prune::Unused,
                blobs: Prune::Unused,
                limits,
                ..PruneOptions::default()
            };
            for age in [STALE_AGE, FRESH_AGE] {
                run.reduce(&PruneOptions {
                    unused_since: before(age),
                    ..all
                })?;
            }
            run.reduce(&PruneOptions {
                limits: Limits {
                    min_free: limits.min_free.map(|bytes| bytes / EMERGENCY_SHARE),
                    ..limits
                },
                ..all
            })?;
        }
        run.finish()
    }

    fn prune_containers(&self, options: &PruneOptions<'_>, run: &mut Run<'_>) -> Result<()> {
        for one in self.container_usage()? {
            if one.in_use || !options.permits(&one) {
                continue;
            }
            // Asked again where it counts: it may have been started meanwhile.
            let collected = match run.action {
                Action::Remove => self.remove_idle_container(&one.id)?,
                Action::Rehearse => Some(Collected::default()),
            };
            if let Some(collected) = collected {
                run.dropped_container(&one.id, one.bytes, collected);
            }
        }
        Ok(())
    }

    /// Removes a container that does not run, and what only it needed; gives that if it did.
    fn remove_idle_container(&self, id: &str) -> Result<Option<Collected>> {
        let directory = self.container_path(id);
        let needed = Suspects {
            layers: self
                .container(id)?
                .map_or_else(Vec::new, |container| container.layers),
            blobs: Vec::new(),
        };
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
        if !removed {
            return Ok(None);
        }
        self.throw_away(&directory)?;
        self.collect_of(&needed).map(Some)
    }

    fn prune_images(&self, options: &PruneOptions<'_>, run: &mut Run<'_>) -> Result<()> {
        let since = self.protected_since()?;
        let images = self.images()?;
        // Both are in the same order, unless somebody changed an image in between.
        let items = self.image_usage()?;
        for image in images {
            let wanted = image.names.is_empty() || options.images == ImagePrune::Unused;
            let settled = time::to_millis(image.stored) < since;
            let mut of_image = items.iter().filter(|item| item.id == image.id.to_string());
            if wanted && settled && of_image.any(|item| options.permits(item)) {
                self.prune_image(image, options.images, run)?;
            }
        }
        Ok(())
    }

    fn prune_image(&self, image: StoredImage, which: ImagePrune, run: &mut Run<'_>) -> Result<()> {
        let containers = self.containers_of_image(&image.digest)?;
        if containers.iter().any(|one| !run.has_dropped(&one.id)) {
            return Ok(());
        }
        let collected = match run.action {
            Action::Remove => self.remove_unused_image(&image, which)?,
            Action::Rehearse => Some(Collected::default()),
        };
        if let Some(collected) = collected {
            run.dropped_image(image, collected);
        }
        Ok(())
    }

    /// Removes an image, and what only it needed; gives that if it did.
    fn remove_unused_image(
        &self,
        image: &StoredImage,
        which: ImagePrune,
    ) -> Result<Option<Collected>> {
        let needed = self.needs(&image.digest)?;
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
            return Ok(None);
        }
        crate::oci_layout::write(self)?;
        self.collect_of(&needed).map(Some)
    }
}
