//! The tars that layers make: one for each way of dating their files.

use rbuild_image::{DiffId, Digest, LayerId};
use rbuild_layer::FileTimes;
use rusqlite::{OptionalExtension, params};

use super::digest_column;
use crate::Store;
use crate::error::{Result, StoreError};

impl Store {
    /// The diffID of a layer and the size of its uncompressed tar in bytes, its files dated as `times` says, once somebody
    /// has computed them.
    pub fn diff_id(&self, id: &LayerId, times: FileTimes) -> Result<Option<(DiffId, u64)>> {
        let (kind, epoch) = times_columns(times);
        self.db().read("read a layer's diffID", |db| {
            let found = db
                .prepare_cached(
                    "SELECT diff_id, tar_bytes FROM layer_tars WHERE layer = ?1 AND kind = ?2 AND epoch = ?3
                     UNION ALL SELECT diff_id, tar_bytes FROM layer_tars WHERE diff_id = ?4 LIMIT 1",
                )?
                .query_row(
                    params![id.to_string(), kind, epoch, own_diff_id(id)],
                    |row| Ok((DiffId(digest_column(row, 0)?), row.get::<_, i64>(1)? as u64)),
                )
                .optional()?;
            Ok(found)
        })
    }

    /// Remembers the diffID of a layer whose files are dated as `times` says, and the size of its uncompressed tar in bytes.
    ///
    /// Fails with [`StoreError::MissingLayer`] if the layer is not in the store.
    pub fn set_diff_id(
        &self,
        id: &LayerId,
        times: FileTimes,
        diff_id: &DiffId,
        tar_bytes: u64,
    ) -> Result<()> {
        let name = id.to_string();
        let (digest, bytes) = (diff_id.0.as_bytes(), tar_bytes as i64);
        self.db().write("remember a layer's diffID", |db| {
            let changed = match times_columns(times) {
                (0, _) => db
                    .prepare_cached("UPDATE layers SET diff_id = ?2, tar_bytes = ?3 WHERE id = ?1")?
                    .execute(params![name, digest, bytes])?,
                (kind, epoch) => db
                    .prepare_cached(
                        "INSERT OR REPLACE INTO dated_layers (layer, kind, epoch, diff_id, tar_bytes)
                         SELECT id, ?2, ?3, ?4, ?5 FROM layers WHERE id = ?1",
                    )?
                    .execute(params![name, kind, epoch, digest, bytes])?,
            };
            if changed == 0 {
                return Err(StoreError::MissingLayer { id: *id }.into());
            }
            Ok(())
        })
    }

    /// The tars of a layer whose files have other times than their own: how they are dated, diffID and bytes; those with
    /// the latest times.
    pub fn dated_tars(&self, id: &LayerId) -> Result<Vec<(FileTimes, DiffId, u64)>> {
        self.db().read("list a layer's tars", |db| {
            let rows: Vec<((i64, i64), Digest, i64)> = db
                .prepare_cached(
                    "SELECT kind, epoch, diff_id, tar_bytes FROM dated_layers WHERE layer = ?1
                     ORDER BY epoch DESC, kind LIMIT 8",
                )?
                .query_map([id.to_string()], |row| {
                    Ok((
                        (row.get(0)?, row.get(1)?),
                        digest_column(row, 2)?,
                        row.get(3)?,
                    ))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let tars = rows.into_iter();
            Ok(tars
                .filter_map(|(times, digest, bytes)| {
                    Some((times_of(times)?, DiffId(digest), bytes as u64))
                })
                .collect())
        })
    }

    /// A layer in the store whose tar has this diffID, whether it was pulled or made here.
    pub fn layer_by_diff_id(&self, diff_id: &DiffId) -> Result<Option<LayerId>> {
        Ok(self.layer_tar(diff_id)?.map(|(id, _)| id))
    }

    /// The layer in the store whose tar has this diffID when its files are dated so.
    pub fn layer_tar(&self, diff_id: &DiffId) -> Result<Option<(LayerId, FileTimes)>> {
        let pulled = LayerId::Pulled(*diff_id);
        self.db().read("find a layer by its diffID", |db| {
            let rows: Vec<(String, (i64, i64))> = db
                .prepare_cached(
                    "SELECT layer, kind, epoch FROM layer_tars WHERE diff_id = ?1
                     UNION SELECT id, 0, 0 FROM layers WHERE id = ?2 ORDER BY 2, 3, 1",
                )?
                .query_map(params![diff_id.0.as_bytes(), pulled.to_string()], |row| {
                    Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let mut found = rows
                .iter()
                .map(|(id, times)| Some((id.parse().ok()?, times_of(*times)?)));
            Ok(found.find_map(|found| found))
        })
    }
}

/// `times` as columns.
fn times_columns(times: FileTimes) -> (i64, i64) {
    match times {
        FileTimes::Own => (0, 0),
        FileTimes::Fixed(seconds) => (1, seconds),
        FileTimes::Bounded(seconds) => (2, seconds),
    }
}

/// What [`times_columns`] made.
fn times_of((kind, epoch): (i64, i64)) -> Option<FileTimes> {
    match kind {
        0 => Some(FileTimes::Own),
        1 => Some(FileTimes::Fixed(epoch)),
        2 => Some(FileTimes::Bounded(epoch)),
        _ => None,
    }
}

/// The diffID that the name of a pulled layer is.
pub(super) fn own_diff_id(id: &LayerId) -> Option<[u8; 32]> {
    match id {
        LayerId::Pulled(diff_id) => Some(*diff_id.0.as_bytes()),
        LayerId::Made(_) => None,
    }
}
