//! Who keeps what, as the database said at one instant; and what would be free if something went.
//!
//! ```text
//! record ──┐
//! image ───┼→ layer ──→ blob (a form of the layer's tar)
//! container┘     image ──↗
//! ```
//!
//! A layer goes with the last record, image and container that keeps it; a blob goes with its layer unless an image names it.
//! Removal is tried out here first (a rehearsal prints what this says), and done by [`crate::prune`], which asks again in each transaction.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use rbuild_image::{Digest, LayerId};
use rusqlite::{Connection, Row};

use crate::db::Fault;
use crate::layer::digest_column;
use crate::record::StepKey;
use crate::time;

/// Names a node in one of a [`Ledger`]'s lists.
pub(crate) type Index = usize;

/// A layer, and how many keep it.
#[derive(Debug)]
pub(crate) struct LayerNode {
    pub(crate) id: LayerId,
    pub(crate) bytes: u64,
    /// Images and containers.
    pub(crate) holders: usize,
    /// Records, each once for every time that it names the layer.
    pub(crate) records: Vec<Index>,
    keeping: usize,
    blobs: Vec<Index>,
    pub(crate) gone: bool,
}

/// A cache record.
#[derive(Debug)]
pub(crate) struct RecordNode {
    pub(crate) key: StepKey,
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) created: SystemTime,
    pub(crate) last_used: SystemTime,
    pub(crate) run_time: Duration,
    pub(crate) layers: Vec<Index>,
    pub(crate) gone: bool,
}

/// A blob that no image names.
#[derive(Debug)]
pub(crate) struct BlobNode {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) created: SystemTime,
    pub(crate) last_used: SystemTime,
    /// Images that name it.
    images: usize,
    /// Layers whose tar it is.
    layers: usize,
    pub(crate) gone: bool,
}

#[derive(Debug, Default)]
struct Held {
    layers: Vec<Index>,
    blobs: Vec<Index>,
    gone: bool,
}

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) layers: Vec<LayerNode>,
    pub(crate) records: Vec<RecordNode>,
    pub(crate) blobs: Vec<BlobNode>,
    holders: HashMap<Vec<u8>, Held>,
}

impl Ledger {
    /// Reads all of it.
    pub(crate) fn read(db: &Connection) -> Result<Self, Fault> {
        let mut ledger = Self::default();
        let layers = ledger.read_layers(db)?;
        let blobs = ledger.read_blobs(db)?;
        ledger.read_records(db, &layers)?;
        ledger.read_holders(db, &layers, &blobs)?;
        let pairs =
            "SELECT DISTINCT layer, digest FROM layer_blobs JOIN layer_tars USING (diff_id)";
        each(db, pairs, |row| {
            let found = (
                layers.get(&row.get::<_, String>(0)?),
                blobs.get(&row.get::<_, Vec<u8>>(1)?),
            );
            if let (Some(&layer), Some(&blob)) = found {
                ledger.layers[layer].blobs.push(blob);
                ledger.blobs[blob].layers += 1;
            }
            Ok(())
        })?;
        Ok(ledger)
    }

    fn read_layers(&mut self, db: &Connection) -> Result<HashMap<String, Index>, Fault> {
        let mut known = HashMap::new();
        each(db, "SELECT id, bytes FROM layers ORDER BY id", |row| {
            let name: String = row.get(0)?;
            if let Ok(id) = name.parse() {
                known.insert(name, self.layers.len());
                self.layers.push(LayerNode {
                    id,
                    bytes: row.get::<_, i64>(1)? as u64,
                    holders: 0,
                    records: Vec::new(),
                    keeping: 0,
                    blobs: Vec::new(),
                    gone: false,
                });
            }
            Ok(())
        })?;
        Ok(known)
    }

    fn read_blobs(&mut self, db: &Connection) -> Result<HashMap<Vec<u8>, Index>, Fault> {
        let mut known = HashMap::new();
        each(
            db,
            "SELECT digest, bytes, created, last_used FROM blobs ORDER BY digest",
            |row| {
                known.insert(row.get(0)?, self.blobs.len());
                self.blobs.push(BlobNode {
                    digest: digest_column(row, 0)?,
                    bytes: row.get::<_, i64>(1)? as u64,
                    created: time::from_millis(row.get(2)?),
                    last_used: time::from_millis(row.get(3)?),
                    images: 0,
                    layers: 0,
                    gone: false,
                });
                Ok(())
            },
        )?;
        Ok(known)
    }

    fn read_records(
        &mut self,
        db: &Connection,
        layers: &HashMap<String, Index>,
    ) -> Result<(), Fault> {
        let mut numbers = HashMap::new();
        let records = "SELECT number, key, scope, name, created, last_used, run_millis FROM records
            ORDER BY last_used, number";
        each(db, records, |row| {
            numbers.insert(row.get::<_, i64>(0)?, self.records.len());
            self.records.push(RecordNode {
                key: StepKey(row.get(1)?),
                scope: row.get(2)?,
                name: row.get(3)?,
                created: time::from_millis(row.get(4)?),
                last_used: time::from_millis(row.get(5)?),
                run_time: Duration::from_millis(row.get::<_, i64>(6)? as u64),
                layers: Vec::new(),
                gone: false,
            });
            Ok(())
        })?;
        each(
            db,
            "SELECT DISTINCT record, layer FROM record_layers",
            |row| {
                let found = (
                    numbers.get(&row.get(0)?),
                    layers.get(&row.get::<_, String>(1)?),
                );
                if let (Some(&record), Some(&layer)) = found {
                    self.records[record].layers.push(layer);
                    self.layers[layer].records.push(record);
                    self.layers[layer].keeping += 1;
                }
                Ok(())
            },
        )
    }

    fn read_holders(
        &mut self,
        db: &Connection,
        layers: &HashMap<String, Index>,
        blobs: &HashMap<Vec<u8>, Index>,
    ) -> Result<(), Fault> {
        let of_layers =
            "SELECT DISTINCT image, layer FROM image_layers JOIN layer_tars USING (diff_id)
            UNION ALL SELECT DISTINCT CAST(container AS BLOB), layer FROM container_layers";
        each(db, of_layers, |row| {
            if let Some(&layer) = layers.get(&row.get::<_, String>(1)?) {
                self.holders
                    .entry(row.get(0)?)
                    .or_default()
                    .layers
                    .push(layer);
                self.layers[layer].holders += 1;
            }
            Ok(())
        })?;
        // Of a layer whose files are not here, a blob is all that an image has.
        let of_blobs = "SELECT image, digest FROM image_blobs
            UNION SELECT image, layer_blobs.digest FROM image_layers JOIN layer_blobs USING (diff_id)
            WHERE NOT EXISTS (SELECT 1 FROM layer_tars WHERE layer_tars.diff_id = image_layers.diff_id)";
        each(db, of_blobs, |row| {
            if let Some(&blob) = blobs.get(&row.get::<_, Vec<u8>>(1)?) {
                self.holders
                    .entry(row.get(0)?)
                    .or_default()
                    .blobs
                    .push(blob);
                self.blobs[blob].images += 1;
            }
            Ok(())
        })
    }

    /// The layers and blobs that no image and no container needs, together in bytes.
    pub(crate) fn cache_bytes(&self) -> u64 {
        let layers = self
            .layers
            .iter()
            .filter(|layer| !layer.gone && layer.holders == 0);
        let blobs = self.blobs.iter().filter(|blob| blob.is_spare());
        layers.map(|layer| layer.bytes).sum::<u64>() + blobs.map(|blob| blob.bytes).sum::<u64>()
    }

    /// The bytes of a record's layers, and of those among them that something else needs too.
    pub(crate) fn bytes_of_record(&self, record: &RecordNode) -> (u64, u64) {
        let layers = || record.layers.iter().map(|&layer| &self.layers[layer]);
        let shared = layers().filter(|layer| layer.holders > 0 || layer.keeping > 1);
        let all = layers().map(|layer| layer.bytes).sum();
        (all, shared.map(|layer| layer.bytes).sum())
    }

    /// The bytes of those of a record's layers that an image or a container needs.
    pub(crate) fn held_bytes(&self, record: &RecordNode) -> u64 {
        let layers = record.layers.iter().map(|&layer| &self.layers[layer]);
        let held = layers.filter(|layer| layer.holders > 0);
        held.map(|layer| layer.bytes).sum()
    }

    /// Whether an image or a container needs a layer of the record.
    pub(crate) fn is_held(&self, record: &RecordNode) -> bool {
        record
            .layers
            .iter()
            .any(|&layer| self.layers[layer].holders > 0)
    }

    /// The image is no more. Gives the bytes that are free with it.
    pub(crate) fn drop_image(&mut self, digest: &Digest) -> u64 {
        self.drop_holder(digest.as_bytes())
    }

    /// The container is no more.
    pub(crate) fn drop_container(&mut self, id: &str) -> u64 {
        self.drop_holder(id.as_bytes())
    }

    fn drop_holder(&mut self, name: &[u8]) -> u64 {
        let Some(held) = self.holders.get_mut(name).filter(|held| !held.gone) else {
            return 0;
        };
        held.gone = true;
        let (layers, blobs) = (
            std::mem::take(&mut held.layers),
            std::mem::take(&mut held.blobs),
        );
        let mut freed = 0;
        for blob in blobs {
            self.blobs[blob].images -= 1;
            freed += self.drop_blob_if_unneeded(blob);
        }
        for layer in layers {
            self.layers[layer].holders -= 1;
            freed += self.drop_layer_if_unneeded(layer);
        }
        freed
    }

    /// The record is no more.
    pub(crate) fn drop_record(&mut self, record: Index) -> u64 {
        if std::mem::replace(&mut self.records[record].gone, true) {
            return 0;
        }
        let layers = self.records[record].layers.clone();
        let mut freed = 0;
        for layer in layers {
            self.layers[layer].keeping -= 1;
            freed += self.drop_layer_if_unneeded(layer);
        }
        freed
    }

    /// What nothing keeps goes even if nothing else does.
    pub(crate) fn drop_layer_if_unneeded(&mut self, layer: Index) -> u64 {
        let node = &mut self.layers[layer];
        if node.gone || node.holders > 0 || node.keeping > 0 {
            return 0;
        }
        node.gone = true;
        let mut freed = node.bytes;
        for blob in std::mem::take(&mut node.blobs) {
            self.blobs[blob].layers -= 1;
            freed += self.drop_blob_if_unneeded(blob);
        }
        freed
    }

    /// As [`Self::drop_layer_if_unneeded`].
    pub(crate) fn drop_blob_if_unneeded(&mut self, blob: Index) -> u64 {
        match self.blobs[blob].layers {
            0 => self.drop_blob(blob),
            _ => 0,
        }
    }

    /// A blob that can be made again from its layer is no more.
    pub(crate) fn drop_blob(&mut self, blob: Index) -> u64 {
        let node = &mut self.blobs[blob];
        if !node.is_spare() {
            return 0;
        }
        node.gone = true;
        node.bytes
    }
}

impl BlobNode {
    /// Whether it is there and no image needs it.
    pub(crate) fn is_spare(&self) -> bool {
        !self.gone && self.images == 0
    }

    /// Whether it can be made again from a layer that is here.
    pub(crate) fn is_form_of_layer(&self) -> bool {
        self.layers > 0
    }
}

fn each(
    db: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), Fault> {
    let mut query = db.prepare_cached(sql)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}
