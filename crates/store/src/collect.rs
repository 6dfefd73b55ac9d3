//! What nobody needs any more, and its removal.
//!
//! ```text
//! layer   kept by a record, an image or a base of builds (both through its diffID), a container, or a lock of any living process
//! blob    kept by an image, by what a base's name stands for, by a kept layer whose tar it is, or by its use since the oldest
//!         living lease began
//! ```
//!
//! A pulled layer that nothing keeps is no garbage: it was fetched and may serve again, so it goes as the cache does (see
//! [`crate::shrink`]). A layer that was made here is of no use without a record.
//!
//! Each removal asks again in the transaction that removes the row, so two collectors, or a collector and a build, can
//! work at once. Files go after their row: what a crash leaves is swept.

use std::time::SystemTime;

use rbuild_image::{Digest, LayerId};
use rusqlite::{OptionalExtension, params};

use crate::Store;
use crate::error::Result;
use crate::flock::{self, Attempt, Hold};
use crate::layer::digest_column;
use crate::time;

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers, whose directories are in the trash now.
    pub layers: Vec<LayerId>,
    /// Blobs.
    pub blobs: Vec<Digest>,
    /// Their bytes together.
    pub bytes: u64,
}

/// When [`Store::remove_layer`] does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Unless something refers to it.
    IfUnneeded,
    /// Although a base of builds has it, which can fetch it again.
    FromBases,
    /// Although something may: it is damaged.
    Always,
}

/// What may be needed no more, since that which needed it went.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    pub(crate) layers: Vec<LayerId>,
    pub(crate) blobs: Vec<Digest>,
}

/// True of a row of `layers` that nothing refers to.
const UNNEEDED_LAYER: &str = "NOT EXISTS (SELECT 1 FROM record_layers WHERE layer = layers.id)
    AND NOT EXISTS (SELECT 1 FROM container_layers WHERE layer = layers.id)
    AND NOT EXISTS (SELECT 1 FROM layer_tars JOIN image_layers USING (diff_id) WHERE layer_tars.layer = layers.id)
    AND NOT EXISTS (SELECT 1 FROM layer_tars JOIN base_layers USING (diff_id) WHERE layer_tars.layer = layers.id)";

/// True of a row of `layers` that at most the bases of builds refer to.
const LAYER_OF_BASES: &str = "NOT EXISTS (SELECT 1 FROM record_layers WHERE layer = layers.id)
    AND NOT EXISTS (SELECT 1 FROM container_layers WHERE layer = layers.id)
    AND NOT EXISTS (SELECT 1 FROM layer_tars JOIN image_layers USING (diff_id) WHERE layer_tars.layer = layers.id)";

/// True of a row of `blobs` that no image names, that is a form of a layer which is here as files too, and that was not used
/// since `?1`.
const FORM_OF_LAYER: &str = "last_used < ?1
    AND NOT EXISTS (SELECT 1 FROM image_blobs WHERE image_blobs.digest = blobs.digest)
    AND EXISTS (SELECT 1 FROM layer_blobs JOIN layer_tars USING (diff_id) WHERE layer_blobs.digest = blobs.digest)";

/// True of a row of `blobs` that nothing refers to and that was not used since `?1`.
const UNNEEDED_BLOB: &str = "last_used < ?1
    AND NOT EXISTS (SELECT 1 FROM image_blobs WHERE image_blobs.digest = blobs.digest)
    AND NOT EXISTS (SELECT 1 FROM base_blobs WHERE base_blobs.digest = blobs.digest)
    AND NOT EXISTS (SELECT 1 FROM layer_blobs WHERE layer_blobs.digest = blobs.digest AND (
        EXISTS (SELECT 1 FROM layer_tars WHERE layer_tars.diff_id = layer_blobs.diff_id)
        OR EXISTS (SELECT 1 FROM image_layers WHERE image_layers.diff_id = layer_blobs.diff_id)))";

impl Store {
    /// Removes the layers that were made here and that nothing needs, and such blobs as were not used since `before`.
    /// Layers land in the trash, which [`Store::sweep`] empties.
    pub(crate) fn collect(&self, before: i64) -> Result<Collected> {
        let layers: Vec<String> = self.db().read("look for unneeded layers", |db| {
            Ok(db
                .prepare_cached(&format!("SELECT id FROM layers WHERE {UNNEEDED_LAYER}"))?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?)
        })?;
        let layers = layers.iter().filter_map(|id| id.parse().ok());
        let mut suspects = Suspects {
            layers: layers.filter(|id| matches!(id, LayerId::Made(_))).collect(),
            blobs: Vec::new(),
        };
        let before = before.min(self.protected_since()?);
        let mut collected = Collected::default();
        self.collect_layers(&suspects, &mut collected)?;
        // Now, since the layers' own blobs are among them.
        suspects.blobs = self.db().read("look for unneeded blobs", |db| {
            Ok(db
                .prepare_cached(&format!("SELECT digest FROM blobs WHERE {UNNEEDED_BLOB}"))?
                .query_map([before], |row| digest_column(row, 0))?
                .collect::<rusqlite::Result<_>>()?)
        })?;
        self.collect_blobs(&suspects, before, &mut collected)?;
        Ok(collected)
    }

    /// Removes what is needed no more of what was needed before.
    pub(crate) fn collect_of(&self, suspects: &Suspects) -> Result<Collected> {
        let mut collected = Collected::default();
        self.collect_layers(suspects, &mut collected)?;
        self.collect_blobs(suspects, self.protected_since()?, &mut collected)?;
        Ok(collected)
    }

    fn collect_layers(&self, suspects: &Suspects, collected: &mut Collected) -> Result<()> {
        for id in &suspects.layers {
            if let Some(bytes) = self.remove_layer(id, Removal::IfUnneeded)? {
                collected.layers.push(*id);
                collected.bytes += bytes;
            }
        }
        Ok(())
    }

    /// What an image needs and has here.
    pub(crate) fn needs(&self, image: &Digest) -> Result<Suspects> {
        self.db().read("look what an image needs", |db| {
            let layers: Vec<String> = db
                .prepare_cached("SELECT DISTINCT layer FROM image_layers JOIN layer_tars USING (diff_id) WHERE image = ?1")?
                .query_map([image.as_bytes()], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let blobs = db
                .prepare_cached(
                    "SELECT digest FROM image_blobs WHERE image = ?1
                     UNION SELECT digest FROM image_layers JOIN layer_blobs USING (diff_id) WHERE image = ?1",
                )?
                .query_map([image.as_bytes()], |row| digest_column(row, 0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Suspects {
                layers: layers.iter().filter_map(|id| id.parse().ok()).collect(),
                blobs,
            })
        })
    }

    /// Removes a layer that no process uses; gives its bytes if it did.
    pub(crate) fn remove_layer(&self, id: &LayerId, when: Removal) -> Result<Option<u64>> {
        let directory = self.paths().layer(id);
        let lock = match flock::try_directory(&directory, Hold::Exclusive)? {
            Attempt::Busy => return Ok(None),
            Attempt::Got(lock) => Some(lock),
            Attempt::Missing => None,
        };
        let condition = match when {
            Removal::IfUnneeded => UNNEEDED_LAYER,
            Removal::FromBases => LAYER_OF_BASES,
            Removal::Always => "TRUE",
        };
        let removed = self.db().write("remove a layer", |db| {
            // Without a directory there was no lock to take, so one may have been put there meanwhile.
            if lock.is_none() && directory.exists() {
                return Ok(None);
            }
            let bytes: Option<i64> = db
                .prepare_cached(&format!(
                    "DELETE FROM layers WHERE id = ?1 AND {condition} RETURNING bytes"
                ))?
                .query_row([id.to_string()], |row| row.get(0))
                .optional()?;
            Ok(bytes)
        })?;
        if removed.is_some() && lock.is_some() {
            self.throw_away(&directory)?;
        }
        Ok(removed.map(|bytes| bytes as u64))
    }

    fn collect_blobs(
        &self,
        suspects: &Suspects,
        before: i64,
        collected: &mut Collected,
    ) -> Result<()> {
        for digest in &suspects.blobs {
            if let Some(bytes) = self.remove_blob_if(digest, UNNEEDED_BLOB, before)? {
                collected.blobs.push(*digest);
                collected.bytes += bytes;
            }
        }
        self.db().write("forget blobs of layers that are gone", |db| {
            db.prepare_cached(
                "DELETE FROM layer_blobs WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.digest = layer_blobs.digest)
                 AND NOT EXISTS (SELECT 1 FROM layer_tars WHERE layer_tars.diff_id = layer_blobs.diff_id)
                 AND NOT EXISTS (SELECT 1 FROM image_layers WHERE image_layers.diff_id = layer_blobs.diff_id)",
            )?
            .execute([])?;
            Ok(())
        })
    }

    /// Removes the compressed form of a layer that is here as files too; gives its bytes if it did.
    pub(crate) fn remove_form_of_layer(
        &self,
        digest: &Digest,
        protected: SystemTime,
    ) -> Result<Option<u64>> {
        self.remove_blob_if(digest, FORM_OF_LAYER, time::to_millis(protected))
    }

    /// Removes a blob that nothing needs; gives its bytes if it did.
    pub(crate) fn remove_spare_blob(
        &self,
        digest: &Digest,
        protected: SystemTime,
    ) -> Result<Option<u64>> {
        self.remove_blob_if(digest, UNNEEDED_BLOB, time::to_millis(protected))
    }

    fn remove_blob_if(&self, digest: &Digest, condition: &str, before: i64) -> Result<Option<u64>> {
        let path = self.paths().blob(digest);
        self.db().write("remove a blob", |db| {
            let bytes: Option<i64> = db
                .prepare_cached(&format!(
                    "DELETE FROM blobs WHERE digest = ?2 AND {condition} RETURNING bytes"
                ))?
                .query_row(params![before, digest.as_bytes()], |row| row.get(0))
                .optional()?;
            if bytes.is_some() {
                // In the transaction, so that a commit of the same blob comes before or after it.
                crate::blob::remove_file(&path)?;
            }
            Ok(bytes.map(|bytes| bytes as u64))
        })
    }

    /// What was used since then may be in use by a living process. A process that takes its lease after this was asked
    /// notes its uses later still.
    pub(crate) fn protected_since(&self) -> Result<i64> {
        let now = self.now_millis();
        Ok(self.oldest_lease()?.map_or(now, |oldest| oldest.min(now)))
    }
}
