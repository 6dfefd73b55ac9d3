//! The ledger as the database has it at one instant.

use std::collections::HashMap;
use std::time::Duration;

use rbuild_image::{Descriptor, LayerId};
use rusqlite::{Connection, Row};

use super::{BaseNode, BlobNode, Index, LayerNode, Ledger, RecordNode};
use crate::db::Fault;
use crate::layer::digest_column;
use crate::record::StepKey;
use crate::time;
use crate::uses::BaseName;

impl Ledger {
    /// Reads all of it.
    pub(crate) fn read(db: &Connection) -> Result<Self, Fault> {
        let mut ledger = Self::default();
        let layers = ledger.read_layers(db)?;
        let blobs = ledger.read_blobs(db)?;
        ledger.read_records(db, &layers)?;
        ledger.read_holders(db, &layers, &blobs)?;
        ledger.read_bases(db, &layers, &blobs)?;
        ledger.find_nameless_bases();
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
        each(
            db,
            "SELECT id, bytes, created FROM layers ORDER BY id",
            |row| {
                let name: String = row.get(0)?;
                if let Ok(id) = name.parse() {
                    known.insert(name, self.layers.len());
                    self.layers.push(LayerNode {
                        id,
                        bytes: row.get::<_, i64>(1)? as u64,
                        holders: 0,
                        records: Vec::new(),
                        bases: Vec::new(),
                        created: time::from_millis(row.get(2)?),
                        keeping: 0,
                        based: 0,
                        blobs: Vec::new(),
                        gone: false,
                    });
                }
                Ok(())
            },
        )?;
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

    fn read_bases(
        &mut self,
        db: &Connection,
        layers: &HashMap<String, Index>,
        blobs: &HashMap<Vec<u8>, Index>,
    ) -> Result<(), Fault> {
        let mut known = HashMap::new();
        let bases = "SELECT reference, platform, descriptor, resolved, last_used FROM resolutions
            ORDER BY reference, platform";
        each(db, bases, |row| {
            let name = base_name(row)?;
            let descriptor: Option<Descriptor> =
                serde_json::from_str(&row.get::<_, String>(2)?).ok();
            known.insert(name.clone(), self.bases.len());
            self.bases.push(BaseNode {
                name: Some(name),
                id: descriptor.map_or_else(String::new, |one| one.digest().to_string()),
                created: time::from_millis(row.get(3)?),
                last_used: time::from_millis(row.get(4)?),
                layers: Vec::new(),
                gone: false,
            });
            Ok(())
        })?;
        let of_layers = "SELECT DISTINCT reference, platform, layer FROM base_layers JOIN layer_tars USING (diff_id)";
        each(db, of_layers, |row| {
            let found = (
                known.get(&base_name(row)?),
                layers.get(&row.get::<_, String>(2)?),
            );
            if let (Some(&base), Some(&layer)) = found {
                self.add_to_base(base, layer);
            }
            Ok(())
        })?;
        each(
            db,
            "SELECT reference, platform, digest FROM base_blobs",
            |row| {
                if let Some(&blob) = blobs.get(&row.get::<_, Vec<u8>>(2)?) {
                    self.blobs[blob].images += 1;
                    self.documents
                        .entry(base_name(row)?)
                        .or_default()
                        .push(blob);
                }
                Ok(())
            },
        )
    }

    fn find_nameless_bases(&mut self) {
        for index in 0..self.layers.len() {
            let layer = &self.layers[index];
            let is_pulled = matches!(layer.id, LayerId::Pulled(_));
            if !is_pulled || layer.holders > 0 || layer.keeping > 0 || layer.based > 0 {
                continue;
            }
            self.bases.push(BaseNode {
                name: None,
                id: layer.id.to_string().replacen('-', ":", 1),
                created: layer.created,
                last_used: layer.created,
                layers: Vec::new(),
                gone: false,
            });
            self.add_to_base(self.bases.len() - 1, index);
        }
    }

    fn add_to_base(&mut self, base: Index, layer: Index) {
        self.bases[base].layers.push(layer);
        self.layers[layer].bases.push(base);
        self.layers[layer].based += 1;
    }
}

fn base_name(row: &Row<'_>) -> rusqlite::Result<BaseName> {
    Ok(BaseName {
        reference: row.get(0)?,
        platform: row.get(1)?,
    })
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
