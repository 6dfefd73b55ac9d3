//! What takes how much room, and what of it could go.

mod items;

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use rbuild_image::{Digest, Reference};

use crate::Store;
use crate::error::Result;
use crate::ledger::{LayerNode, Ledger};
use crate::measure::{Measure, tree_bytes};

use items::blob_usage;
pub(crate) use items::{base_item, blob_item, fetched_item, layer_item, record_item};

/// What kind of thing takes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UsageKind {
    /// Images: their layers and blobs.
    Image,
    /// Containers: what they wrote.
    Container,
    /// Cache records: layers that no image or container needs.
    BuildCache,
    /// What builds started from: pulled layers that no image, container or record needs.
    Base,
    /// Cache mounts.
    CacheMount,
    /// Clones of git repositories.
    Git,
    /// Downloads.
    Http,
    /// What is known of the files of build contexts.
    Context,
    /// Blobs that no image names: compressed forms of layers, documents of builds.
    Blob,
}

/// One thing that takes room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageItem {
    /// What it is.
    pub kind: UsageKind,
    /// Its ID, key or digest.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The project of a record; empty otherwise.
    pub scope: String,
    /// The bytes that it needs.
    pub bytes: u64,
    /// How many of those something else needs too.
    pub shared_bytes: u64,
    /// Whether something needs it, so that its removal would free nothing or is refused.
    pub in_use: bool,
    /// When it was made, as far as that is known.
    pub created: Option<SystemTime>,
    /// When it was last of use, as far as that is known.
    pub last_used: Option<SystemTime>,
}

/// All things of a kind together; what several need counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageTotal {
    /// What they are.
    pub kind: UsageKind,
    /// How many.
    pub count: usize,
    /// How many of them are in use.
    pub active: usize,
    /// The bytes they take.
    pub bytes: u64,
    /// The bytes that removing those not in use would free.
    pub reclaimable: u64,
}

/// The build cache of one project; what several of its records need counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectTotal {
    /// What its records have as [`crate::Record::scope`].
    pub scope: String,
    /// How many records.
    pub count: usize,
    /// The bytes of all layers that they need.
    pub bytes: u64,
    /// The bytes of those that images, containers or other projects need too.
    pub shared: u64,
    /// When one of them was last of use.
    pub last_used: SystemTime,
}

/// What [`Store::usage`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// One line per kind, in the order of [`UsageKind`].
    pub totals: Vec<UsageTotal>,
    /// One line per project, the largest first.
    pub projects: Vec<ProjectTotal>,
    /// Every thing, by kind.
    pub items: Vec<UsageItem>,
}

/// Layers that an image or a container needs.
pub(crate) const NEEDED: &str =
    "(EXISTS (SELECT 1 FROM layer_tars JOIN image_layers USING (diff_id) WHERE layer_tars.layer = layers.id)
    OR EXISTS (SELECT 1 FROM container_layers WHERE container_layers.layer = layers.id))";

impl Store {
    /// Looks what takes room. Sizes of layers and blobs are known; cache mounts, clones and containers are walked.
    pub fn usage(&self) -> Result<Usage> {
        let ledger = self.ledger()?;
        let images = self.image_usage()?;
        let containers = self.container_usage()?;
        let records = self.record_usage(&ledger)?;
        let mounts = self.mount_usage(Measure::Now)?;
        let fetched: Vec<UsageItem> = self
            .fetched(Measure::Now)?
            .iter()
            .map(fetched_item)
            .collect();
        let blobs = blob_usage(&ledger);
        let bases: Vec<UsageItem> = ledger
            .bases
            .iter()
            .map(|base| base_item(&ledger, base))
            .collect();
        let of = |kind| sum(kind, fetched.iter().filter(move |item| item.kind == kind));
        let totals = vec![
            self.image_total(&images)?,
            sum(UsageKind::Container, &containers),
            layer_total(UsageKind::BuildCache, &ledger, &records),
            layer_total(UsageKind::Base, &ledger, &bases),
            sum(UsageKind::CacheMount, &mounts),
            of(UsageKind::Git),
            of(UsageKind::Http),
            of(UsageKind::Context),
            sum(UsageKind::Blob, &blobs),
        ];
        Ok(Usage {
            totals,
            projects: projects(&ledger),
            items: [images, containers, records, bases, mounts, fetched, blobs].concat(),
        })
    }

    /// The bytes of the layers that only cache records keep.
    pub fn build_cache_bytes(&self) -> Result<u64> {
        self.number(&format!(
            "SELECT COALESCE(SUM(bytes), 0) FROM layers WHERE NOT {NEEDED}"
        ))
    }

    pub(crate) fn ledger(&self) -> Result<Ledger> {
        self.db().read("look who keeps what", Ledger::read)
    }

    pub(crate) fn image_usage(&self) -> Result<Vec<UsageItem>> {
        let used: HashSet<Digest> = self
            .containers()?
            .into_iter()
            .filter_map(|one| one.image)
            .collect();
        let mut items = Vec::new();
        for image in self.images()? {
            let (bytes, shared_bytes) = self.bytes_of_image(&image.digest)?;
            items.push(UsageItem {
                kind: UsageKind::Image,
                id: image.id.to_string(),
                name: image
                    .names
                    .first()
                    .map_or_else(|| "<none>".to_owned(), Reference::familiar),
                scope: String::new(),
                bytes,
                shared_bytes,
                in_use: used.contains(&image.digest),
                created: Some(image.stored),
                last_used: Some(image.stored),
            });
        }
        Ok(items)
    }

    /// The bytes of an image, and those of them that another image needs too.
    fn bytes_of_image(&self, digest: &Digest) -> Result<(u64, u64)> {
        const LAYERS: &str = "FROM image_layers AS own JOIN layer_tars USING (diff_id)
            JOIN layers ON layers.id = layer_tars.layer WHERE own.image = ?1";
        const BLOBS: &str =
            "FROM image_blobs AS own JOIN blobs ON blobs.digest = own.digest WHERE own.image = ?1";
        let also_layer = "AND EXISTS (SELECT 1 FROM image_layers AS other WHERE other.diff_id = own.diff_id AND other.image <> ?1)";
        let also_blob = "AND EXISTS (SELECT 1 FROM image_blobs AS other WHERE other.digest = own.digest AND other.image <> ?1)";
        self.db().read("add up an image", |db| {
            let add = |sql: String| -> rusqlite::Result<i64> {
                db.prepare_cached(&format!("SELECT COALESCE(SUM(bytes), 0) {sql}"))?
                    .query_row([digest.as_bytes()], |row| row.get(0))
            };
            let all = add(LAYERS.to_owned())? + add(BLOBS.to_owned())?;
            let shared =
                add(format!("{LAYERS} {also_layer}"))? + add(format!("{BLOBS} {also_blob}"))?;
            Ok((all as u64, shared as u64))
        })
    }

    fn image_total(&self, items: &[UsageItem]) -> Result<UsageTotal> {
        let layers = self.number(
            "SELECT COALESCE(SUM(bytes), 0) FROM layers
             WHERE EXISTS (SELECT 1 FROM layer_tars JOIN image_layers USING (diff_id) WHERE layer_tars.layer = layers.id)",
        )?;
        let blobs = self.number(
            "SELECT COALESCE(SUM(bytes), 0) FROM blobs
             WHERE EXISTS (SELECT 1 FROM image_blobs WHERE image_blobs.digest = blobs.digest)",
        )?;
        let kept_layers = self.number(
            "SELECT COALESCE(SUM(bytes), 0) FROM layers
             WHERE EXISTS (SELECT 1 FROM image_layers JOIN containers USING (image) JOIN layer_tars USING (diff_id)
                 WHERE layer_tars.layer = layers.id)",
        )?;
        let kept_blobs = self.number(
            "SELECT COALESCE(SUM(bytes), 0) FROM blobs
             WHERE EXISTS (SELECT 1 FROM image_blobs JOIN containers USING (image)
                 WHERE image_blobs.digest = blobs.digest)",
        )?;
        Ok(UsageTotal {
            kind: UsageKind::Image,
            count: items.len(),
            active: items.iter().filter(|item| item.in_use).count(),
            bytes: layers + blobs,
            reclaimable: (layers + blobs).saturating_sub(kept_layers + kept_blobs),
        })
    }

    pub(crate) fn container_usage(&self) -> Result<Vec<UsageItem>> {
        let mut items = Vec::new();
        for one in self.containers()? {
            items.push(UsageItem {
                kind: UsageKind::Container,
                bytes: tree_bytes(&self.container_path(&one.id))?,
                in_use: one.state.is_active(),
                id: one.id,
                name: one.name,
                scope: String::new(),
                shared_bytes: 0,
                created: Some(one.created),
                last_used: Some(one.created),
            });
        }
        Ok(items)
    }

    fn record_usage(&self, ledger: &Ledger) -> Result<Vec<UsageItem>> {
        let mut items = Vec::with_capacity(ledger.records.len());
        for record in &ledger.records {
            let mut item = record_item(ledger, record);
            item.in_use |= self.is_pinned(ledger, record)?;
            items.push(item);
        }
        Ok(items)
    }

    pub(crate) fn mount_usage(&self, how: Measure) -> Result<Vec<UsageItem>> {
        let mut items = Vec::new();
        for mount in self.cache_mounts()? {
            let top = self.paths().mounts().join(&mount.key);
            // What is found while it is being filled is not worth keeping.
            let bytes = if mount.in_use {
                tree_bytes(&top)?
            } else {
                self.measured(&top, mount.last_used, how)?
            };
            items.push(UsageItem {
                kind: UsageKind::CacheMount,
                bytes,
                id: mount.key,
                name: mount.id,
                scope: String::new(),
                shared_bytes: 0,
                in_use: mount.in_use,
                created: None,
                last_used: Some(mount.last_used),
            });
        }
        Ok(items)
    }

    fn number(&self, sql: &str) -> Result<u64> {
        let number: i64 = self.db().read("add up sizes", |db| {
            Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
        })?;
        Ok(number as u64)
    }
}

/// The layers that no image and no container needs, and that records need or do not.
fn layer_total(kind: UsageKind, ledger: &Ledger, items: &[UsageItem]) -> UsageTotal {
    let wanted =
        |layer: &&LayerNode| layer.holders == 0 && layer.is_of_bases() == (kind == UsageKind::Base);
    let spare = ledger.layers.iter().filter(wanted);
    let bytes = spare.map(|layer| layer.bytes).sum();
    UsageTotal {
        kind,
        count: items.len(),
        active: items.iter().filter(|item| item.in_use).count(),
        bytes,
        reclaimable: bytes,
    }
}

fn projects(ledger: &Ledger) -> Vec<ProjectTotal> {
    let mut layers: HashMap<&str, HashSet<usize>> = HashMap::new();
    let mut totals: HashMap<&str, ProjectTotal> = HashMap::new();
    for record in &ledger.records {
        let total = totals.entry(&record.scope).or_insert_with(|| ProjectTotal {
            scope: record.scope.clone(),
            count: 0,
            bytes: 0,
            shared: 0,
            last_used: record.last_used,
        });
        total.count += 1;
        total.last_used = total.last_used.max(record.last_used);
        let counted = layers.entry(&record.scope).or_default();
        for &layer in &record.layers {
            if !counted.insert(layer) {
                continue;
            }
            let node = &ledger.layers[layer];
            let is_foreign = |other: &usize| ledger.records[*other].scope != record.scope;
            total.bytes += node.bytes;
            if node.holders > 0 || node.records.iter().any(is_foreign) {
                total.shared += node.bytes;
            }
        }
    }
    let mut totals: Vec<ProjectTotal> = totals.into_values().collect();
    totals.sort_by(|one, other| (other.bytes, &one.scope).cmp(&(one.bytes, &other.scope)));
    totals
}

fn sum<'a>(kind: UsageKind, items: impl IntoIterator<Item = &'a UsageItem>) -> UsageTotal {
    let mut total = UsageTotal {
        kind,
        count: 0,
        active: 0,
        bytes: 0,
        reclaimable: 0,
    };
    for item in items {
        total.count += 1;
        total.active += usize::from(item.in_use);
        total.bytes += item.bytes;
        if !item.in_use {
            total.reclaimable += item.bytes;
        }
    }
    total
}
