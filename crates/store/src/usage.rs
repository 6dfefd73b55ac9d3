//! What takes how much room, and what of it could go.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use rbuild_image::{Digest, Reference};
use rusqlite::params;

use crate::Store;
use crate::container::ContainerState;
use crate::error::{Result, StoreError};
use crate::flock;

/// What kind of thing takes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UsageKind {
    /// Images: their layers and blobs.
    Image,
    /// Containers: what they wrote.
    Container,
    /// Cache records: layers that no image or container needs.
    BuildCache,
    /// Cache mounts.
    CacheMount,
    /// Blobs that no image needs: compressed forms of layers, documents of builds.
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
    /// Whether something needs it, so that no prune would take it.
    pub in_use: bool,
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

/// What [`Store::usage`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// One line per kind, in the order of [`UsageKind`].
    pub totals: Vec<UsageTotal>,
    /// Every thing, by kind.
    pub items: Vec<UsageItem>,
}

/// Layers that an image or a container needs.
pub(crate) const NEEDED: &str =
    "(EXISTS (SELECT 1 FROM layer_tars JOIN image_layers USING (diff_id) WHERE layer_tars.layer = layers.id)
    OR EXISTS (SELECT 1 FROM container_layers WHERE container_layers.layer = layers.id))";

impl Store {
    /// Looks what takes room. Sizes of layers and blobs are known; cache mounts and containers are walked.
    pub fn usage(&self) -> Result<Usage> {
        let images = self.image_usage()?;
        let containers = self.container_usage()?;
        let records = self.record_usage()?;
        let mounts = self.mount_usage()?;
        let blobs = self.blob_usage()?;
        let totals = vec![
            self.image_total(&images)?,
            sum(UsageKind::Container, &containers),
            self.record_total(&records)?,
            sum(UsageKind::CacheMount, &mounts),
            sum(UsageKind::Blob, &blobs),
        ];
        let items = [images, containers, records, mounts, blobs].concat();
        Ok(Usage { totals, items })
    }

    /// The bytes of the layers that only cache records keep: what [`crate::PruneOptions::keep_bytes`] is about.
    pub fn build_cache_bytes(&self) -> Result<u64> {
        self.number(&format!(
            "SELECT COALESCE(SUM(bytes), 0) FROM layers WHERE NOT {NEEDED}"
        ))
    }

    fn image_usage(&self) -> Result<Vec<UsageItem>> {
        let used: HashSet<Digest> = self
            .containers()?
            .into_iter()
            .filter_map(|one| one.image)
            .collect();
        let mut items = Vec::new();
        for image in self.images()? {
            let layers = "FROM image_layers AS own JOIN layer_tars USING (diff_id) JOIN layers ON layers.id = layer_tars.layer
                WHERE own.image = ?1";
            let blobs = "FROM image_blobs AS own JOIN blobs ON blobs.digest = own.digest WHERE own.image = ?1";
            let also_layer = "AND EXISTS (SELECT 1 FROM image_layers AS other WHERE other.diff_id = own.diff_id AND other.image <> ?1)";
            let also_blob = "AND EXISTS (SELECT 1 FROM image_blobs AS other WHERE other.digest = own.digest AND other.image <> ?1)";
            let (bytes, shared_bytes) = self.db().read("add up an image", |db| {
                let add = |sql: String| -> rusqlite::Result<i64> {
                    db.prepare_cached(&sql)?
                        .query_row([image.digest.as_bytes()], |row| row.get(0))
                };
                let sum = "SELECT COALESCE(SUM(bytes), 0)";
                Ok((
                    add(format!("{sum} {layers}"))? + add(format!("{sum} {blobs}"))?,
                    add(format!("{sum} {layers} {also_layer}"))?
                        + add(format!("{sum} {blobs} {also_blob}"))?,
                ))
            })?;
            items.push(UsageItem {
                kind: UsageKind::Image,
                id: image.id.to_string(),
                name: image
                    .names
                    .first()
                    .map_or_else(|| "<none>".to_owned(), Reference::familiar),
                scope: String::new(),
                bytes: bytes as u64,
                shared_bytes: shared_bytes as u64,
                in_use: used.contains(&image.digest),
                last_used: Some(image.stored),
            });
        }
        Ok(items)
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

    fn container_usage(&self) -> Result<Vec<UsageItem>> {
        let mut items = Vec::new();
        for one in self.containers()? {
            items.push(UsageItem {
                kind: UsageKind::Container,
                bytes: tree_bytes(&self.container_path(&one.id))?,
                in_use: matches!(
                    one.state,
                    ContainerState::Running { .. } | ContainerState::Paused { .. }
                ),
                id: one.id,
                name: one.name,
                scope: String::new(),
                shared_bytes: 0,
                last_used: Some(one.created),
            });
        }
        Ok(items)
    }

    fn record_usage(&self) -> Result<Vec<UsageItem>> {
        let mut items = Vec::new();
        for record in self.records()? {
            let shared: i64 = self.db().read("add up a record", |db| {
                let sql = format!(
                    "SELECT COALESCE(SUM(layers.bytes), 0) FROM records JOIN record_layers AS own ON record = number
                     JOIN layers ON layers.id = own.layer WHERE key = ?1 AND ({NEEDED}
                     OR EXISTS (SELECT 1 FROM record_layers AS other WHERE other.layer = own.layer AND other.record <> number))"
                );
                Ok(db
                    .prepare_cached(&sql)?
                    .query_row(params![record.key.0], |row| row.get(0))?)
            })?;
            items.push(UsageItem {
                kind: UsageKind::BuildCache,
                id: record.key.to_string(),
                name: record.name,
                scope: record.scope,
                bytes: record.bytes,
                shared_bytes: shared as u64,
                in_use: shared as u64 >= record.bytes && record.bytes > 0,
                last_used: Some(record.last_used),
            });
        }
        Ok(items)
    }

    fn record_total(&self, items: &[UsageItem]) -> Result<UsageTotal> {
        let bytes = self.build_cache_bytes()?;
        Ok(UsageTotal {
            kind: UsageKind::BuildCache,
            count: items.len(),
            active: items.iter().filter(|item| item.in_use).count(),
            bytes,
            reclaimable: bytes,
        })
    }

    fn mount_usage(&self) -> Result<Vec<UsageItem>> {
        let mut items = Vec::new();
        for mount in self.cache_mounts()? {
            let mut bytes = 0;
            for directory in &mount.directories {
                bytes += tree_bytes(directory)?;
            }
            items.push(UsageItem {
                kind: UsageKind::CacheMount,
                id: mount.key,
                name: mount.id,
                scope: String::new(),
                bytes,
                shared_bytes: 0,
                in_use: mount.in_use,
                last_used: Some(mount.last_used),
            });
        }
        Ok(items)
    }

    fn blob_usage(&self) -> Result<Vec<UsageItem>> {
        let rows: Vec<([u8; 32], i64, i64)> = self.db().read("list blobs of no image", |db| {
            Ok(db
                .prepare_cached(
                    "SELECT digest, bytes, last_used FROM blobs
                     WHERE NOT EXISTS (SELECT 1 FROM image_blobs WHERE image_blobs.digest = blobs.digest)
                     ORDER BY digest",
                )?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?)
        })?;
        Ok(rows
            .into_iter()
            .map(|(digest, bytes, used)| UsageItem {
                kind: UsageKind::Blob,
                id: Digest::from_sha256_bytes(digest).to_string(),
                name: String::new(),
                scope: String::new(),
                bytes: bytes as u64,
                shared_bytes: 0,
                in_use: false,
                last_used: Some(crate::time::from_millis(used)),
            })
            .collect())
    }

    fn number(&self, sql: &str) -> Result<u64> {
        let number: i64 = self.db().read("add up sizes", |db| {
            Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
        })?;
        Ok(number as u64)
    }
}

fn sum(kind: UsageKind, items: &[UsageItem]) -> UsageTotal {
    let of = |all: bool| {
        items
            .iter()
            .filter(|item| all || !item.in_use)
            .map(|item| item.bytes)
            .sum()
    };
    UsageTotal {
        kind,
        count: items.len(),
        active: items.iter().filter(|item| item.in_use).count(),
        bytes: of(true),
        reclaimable: of(false),
    }
}

/// The disk space of a tree in bytes, files with several names counted once. What vanishes meanwhile counts nothing,
/// nor does what cannot be looked into.
pub(crate) fn tree_bytes(path: &Path) -> Result<u64> {
    let mut seen = HashSet::new();
    let mut bytes = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error)
                if flock::is_missing(&error)
                    || error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                continue;
            }
            Err(error) => return Err(StoreError::io("list", directory)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &directory))?;
            let Ok(stat) = entry.metadata() else { continue };
            if stat.nlink() < 2 || stat.is_dir() || seen.insert((stat.dev(), stat.ino())) {
                bytes += stat.blocks() * 512;
            }
            if stat.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(bytes)
}
