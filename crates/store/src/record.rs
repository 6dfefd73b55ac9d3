//! Cache records: what a step's key stands for.
//!
//! A record is handed out only while all its layers have rows. Its preimage (what the key was computed from, opaque to the
//! store) lies in a table of its own, so that lookups read only small rows however many records there are.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use rbuild_image::LayerId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::Store;
use crate::db::Fault;
use crate::error::{Result, StoreError};
use crate::time;
use crate::uses::USE_GRANULARITY;

/// Preimages from this size in bytes on are compressed; zstd makes nothing of smaller ones.
const PACK_BYTES: usize = 256;

/// Names a step by all that determines its outcome: a blake3 over a canonical encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey(pub [u8; 32]);

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("parse a key: it is written as 64 hexadecimal digits")]
pub struct InvalidKey;

impl FromStr for StepKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidKey)?;
        Ok(Self(bytes))
    }
}

/// A key that is cheap to compute and stands for a [`StepKey`] that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FastKey(pub [u8; 32]);

/// What a step gave, and what that cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The step's key.
    pub key: StepKey,
    /// Where it belongs: a project, a Dockerfile; for [`Store::records_named`].
    pub scope: String,
    /// The step in the words of the Dockerfile; for people and [`Store::records_named`].
    pub name: String,
    /// The layers it made, bottom first.
    pub layers: Vec<LayerId>,
    /// Whatever else its outcome is, opaque to the store.
    pub outcome: Vec<u8>,
    /// When it ran.
    pub created: SystemTime,
    /// When it was last of use, to the hour.
    pub last_used: SystemTime,
    /// How long it ran.
    pub run_time: Duration,
    /// The bytes of its layers' files.
    pub bytes: u64,
}

/// A record to be put.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// See [`Record::key`].
    pub key: &'a StepKey,
    /// See [`Record::scope`].
    pub scope: &'a str,
    /// See [`Record::name`].
    pub name: &'a str,
    /// See [`Record::layers`]; all must be in the store.
    pub layers: &'a [LayerId],
    /// See [`Record::outcome`].
    pub outcome: &'a [u8],
    /// What the key was computed from; see [`Store::preimage`].
    pub preimage: &'a [u8],
    /// See [`Record::run_time`].
    pub run_time: Duration,
}

/// The columns that [`read_record`] reads.
const COLUMNS: &str =
    "number, key, scope, name, outcome, created, last_used, run_millis, records.bytes";

impl Store {
    /// What `key` stands for, if all of it is still here. Pin its layers with [`Store::layer`] before relying on
    /// them. The use is noted, to be written with the next change or [`Store::flush_uses`].
    pub fn record(&self, key: &StepKey) -> Result<Option<Record>> {
        let record = self.db().read("look up a record", |db| {
            let sql = select_records("WHERE key = ?1");
            one_record(db, &sql, &key.0)
        })?;
        Ok(self.noted(record))
    }

    /// As [`Store::record`], by an alias given with [`Store::alias`].
    pub fn record_by_alias(&self, fast: &FastKey) -> Result<Option<Record>> {
        let record = self.db().read("look up an alias", |db| {
            let sql = select_records("WHERE number = (SELECT record FROM aliases WHERE fast = ?1)");
            one_record(db, &sql, &fast.0)
        })?;
        Ok(self.noted(record))
    }

    /// Enters a record, or replaces the one with that key.
    ///
    /// Fails with [`StoreError::MissingLayer`] if one of its layers is not in the store.
    pub fn put_record(&self, record: &NewRecord<'_>) -> Result<()> {
        self.put_record_of(record, self.now())
    }

    /// [`Self::put_record`] for a step that ran at another time: elsewhere, that is.
    pub fn put_record_of(&self, record: &NewRecord<'_>, created: SystemTime) -> Result<()> {
        let preimage = pack(record.preimage);
        let now = self.now_millis();
        let created = time::to_millis(created);
        self.db().write("enter a record", |db| {
            let bytes = layer_bytes(db, record.layers)?;
            let number: i64 = db
                .prepare_cached(
                    "INSERT INTO records (key, scope, name, outcome, created, last_used, run_millis, bytes)
                     VALUES (?1, ?2, ?3, ?4, ?8, ?5, ?6, ?7)
                     ON CONFLICT (key) DO UPDATE SET scope = ?2, name = ?3, outcome = ?4, created = ?8, last_used = ?5,
                         run_millis = ?6, bytes = ?7
                     RETURNING number",
                )?
                .query_row(
                    params![
                        record.key.0,
                        record.scope,
                        record.name,
                        record.outcome,
                        now,
                        record.run_time.as_millis() as i64,
                        bytes as i64,
                        created
                    ],
                    |row| row.get(0),
                )?;
            db.prepare_cached("DELETE FROM record_layers WHERE record = ?1")?
                .execute([number])?;
            let mut insert = db.prepare_cached(
                "INSERT INTO record_layers (record, position, layer) VALUES (?1, ?2, ?3)",
            )?;
            for (position, layer) in record.layers.iter().enumerate() {
                insert.execute(params![number, position as i64, layer.to_string()])?;
            }
            db.prepare_cached(
                "INSERT INTO preimages (record, packing, bytes) VALUES (?1, ?2, ?3)
                 ON CONFLICT (record) DO UPDATE SET packing = ?2, bytes = ?3",
            )?
            .execute(params![number, preimage.0, preimage.1])?;
            Ok(())
        })
    }

    /// Lets `fast` stand for the record of `key` from now on. Without such a record, nothing happens.
    pub fn alias(&self, fast: &FastKey, key: &StepKey) -> Result<()> {
        self.db().write("enter an alias", |db| {
            db.prepare_cached(
                "INSERT INTO aliases (fast, record) SELECT ?1, number FROM records WHERE key = ?2
                 ON CONFLICT (fast) DO UPDATE SET record = excluded.record",
            )?
            .execute(params![fast.0, key.0])?;
            Ok(())
        })
    }

    /// What a record's key was computed from, as it was given.
    pub fn preimage(&self, key: &StepKey) -> Result<Option<Vec<u8>>> {
        self.db().read("read a preimage", |db| {
            let found: Option<(i64, Vec<u8>)> = db
                .prepare_cached(
                    "SELECT packing, preimages.bytes FROM preimages JOIN records ON record = number WHERE key = ?1",
                )?
                .query_row([key.0], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(found.and_then(|(packing, bytes)| unpack(packing, bytes)))
        })
    }

    /// The newest records of the step `name` in `scope`, newest first, at most `limit`: to explain a miss by what was
    /// there before. Their layers may be gone.
    pub fn records_named(&self, scope: &str, name: &str, limit: usize) -> Result<Vec<Record>> {
        self.db().read("look for earlier records", |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM records WHERE scope = ?1 AND name = ?2 ORDER BY created DESC, number DESC LIMIT ?3"
            );
            all_records(db, &sql, params![scope, name, limit as i64])
        })
    }

    /// The newest records of any step in `scope`, newest first, at most `limit`.
    pub fn records_in_scope(&self, scope: &str, limit: usize) -> Result<Vec<Record>> {
        self.db().read("list records", |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM records WHERE scope = ?1 ORDER BY created DESC, number DESC LIMIT ?2"
            );
            all_records(db, &sql, params![scope, limit as i64])
        })
    }

    /// Every record, least recently used first.
    pub fn records(&self) -> Result<Vec<Record>> {
        self.db().read("list records", |db| {
            let sql = format!("SELECT {COLUMNS} FROM records ORDER BY last_used, number");
            all_records(db, &sql, params![])
        })
    }

    /// Forgets a record; its layers go with the next prune unless something else needs them. Tells whether it was there.
    pub fn remove_record(&self, key: &StepKey) -> Result<bool> {
        self.db().write("remove a record", |db| {
            let removed = db
                .prepare_cached("DELETE FROM records WHERE key = ?1")?
                .execute([key.0])?;
            Ok(removed > 0)
        })
    }

    fn noted(&self, record: Option<Record>) -> Option<Record> {
        let record = record?;
        let age = self.now().duration_since(record.last_used);
        if age.is_ok_and(|age| age >= USE_GRANULARITY) {
            self.uses().records.insert(record.key);
        }
        Some(record)
    }
}

fn select_records(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM records {condition}")
}

/// One record, if all its layers have rows.
fn one_record(db: &Connection, sql: &str, key: &[u8; 32]) -> Result<Option<Record>, Fault> {
    let found = db
        .prepare_cached(sql)?
        .query_row([key], |row| Ok((row.get(0)?, read_record(row)?)))
        .optional()?;
    let Some((number, mut record)) = found else {
        return Ok(None);
    };
    let Some(layers) = layers_of(db, number, Missing::Refused)? else {
        return Ok(None);
    };
    record.layers = layers;
    Ok(Some(record))
}

fn all_records(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Record>, Fault> {
    let rows: Vec<(i64, Record)> = db
        .prepare_cached(sql)?
        .query_map(parameters, |row| Ok((row.get(0)?, read_record(row)?)))?
        .collect::<rusqlite::Result<_>>()?;
    rows.into_iter()
        .map(|(number, mut record)| {
            record.layers = layers_of(db, number, Missing::Listed)?.unwrap_or_default();
            Ok(record)
        })
        .collect()
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: StepKey(row.get(1)?),
        scope: row.get(2)?,
        name: row.get(3)?,
        layers: Vec::new(),
        outcome: row.get(4)?,
        created: time::from_millis(row.get(5)?),
        last_used: time::from_millis(row.get(6)?),
        run_time: Duration::from_millis(row.get::<_, i64>(7)? as u64),
        bytes: row.get::<_, i64>(8)? as u64,
    })
}

/// What to do with a layer that has no row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refused,
    Listed,
}

fn layers_of(
    db: &Connection,
    record: i64,
    missing: Missing,
) -> rusqlite::Result<Option<Vec<LayerId>>> {
    let mut query = db.prepare_cached(
        "SELECT layer, layers.id IS NOT NULL FROM record_layers LEFT JOIN layers ON layers.id = layer
         WHERE record = ?1 ORDER BY position",
    )?;
    let mut rows = query.query([record])?;
    let mut layers = Vec::new();
    while let Some(row) = rows.next()? {
        let present: bool = row.get(1)?;
        if !present && missing == Missing::Refused {
            return Ok(None);
        }
        let Ok(layer) = row.get::<_, String>(0)?.parse() else {
            return Ok(None);
        };
        layers.push(layer);
    }
    Ok(Some(layers))
}

/// The bytes of `layers` together, each of which must have a row.
fn layer_bytes(db: &Connection, layers: &[LayerId]) -> Result<u64, Fault> {
    let mut query = db.prepare_cached("SELECT bytes FROM layers WHERE id = ?1")?;
    let mut sum = 0;
    for id in layers {
        let bytes: Option<i64> = query
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        let Some(bytes) = bytes else {
            return Err(StoreError::MissingLayer { id: *id }.into());
        };
        sum += bytes as u64;
    }
    Ok(sum)
}

/// Packings of preimages, part of the format: 0 as they are, 1 zstd.
fn pack(preimage: &[u8]) -> (i64, Vec<u8>) {
    if preimage.len() < PACK_BYTES {
        return (0, preimage.to_vec());
    }
    match zstd::bulk::compress(preimage, 1) {
        Ok(packed) if packed.len() < preimage.len() => (1, packed),
        _ => (0, preimage.to_vec()),
    }
}

fn unpack(packing: i64, bytes: Vec<u8>) -> Option<Vec<u8>> {
    match packing {
        0 => Some(bytes),
        1 => zstd::stream::decode_all(bytes.as_slice()).ok(),
        _ => None,
    }
}
