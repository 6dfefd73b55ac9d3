//! When what is in the cache was last of use.
//!
//! Lookups note uses in memory, to the hour, so that a warm build writes nothing; they are written with
//! [`Store::flush_uses`], or when the last handle is dropped. Lost uses make a thing look older than it is, no more.

use std::collections::HashSet;
use std::time::Duration;

use rbuild_image::{Platform, Reference};
use rusqlite::params;

use crate::Store;
use crate::db::Db;
use crate::error::Result;
use crate::record::StepKey;

/// Uses within this time count as one.
pub(crate) const USE_GRANULARITY: Duration = Duration::from_secs(60 * 60);

/// The name of a base on a platform, as its columns have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BaseName {
    pub(crate) reference: String,
    pub(crate) platform: String,
}

impl BaseName {
    pub(crate) fn new(reference: &Reference, platform: &Platform) -> Self {
        Self {
            reference: reference.to_string(),
            platform: platform.to_string(),
        }
    }
}

/// What was used, not yet written.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) records: HashSet<StepKey>,
    pub(crate) bases: HashSet<BaseName>,
}

impl Uses {
    pub(crate) fn write(&self, db: &Db, now_millis: i64) -> Result<()> {
        if self.records.is_empty() && self.bases.is_empty() {
            return Ok(());
        }
        db.write("note uses", |db| {
            let mut note = db.prepare_cached(
                "UPDATE records SET last_used = MAX(last_used, ?2) WHERE key = ?1",
            )?;
            for key in &self.records {
                note.execute(params![key.0, now_millis])?;
            }
            let mut note = db.prepare_cached(
                "UPDATE resolutions SET last_used = MAX(last_used, ?3) WHERE reference = ?1 AND platform = ?2",
            )?;
            for name in &self.bases {
                note.execute(params![name.reference, name.platform, now_millis])?;
            }
            Ok(())
        })
    }
}

impl Store {
    /// Writes the uses of records and bases that lookups have noted. Also happens when the last handle is dropped.
    pub fn flush_uses(&self) -> Result<()> {
        let uses = std::mem::take(&mut *self.uses());
        uses.write(self.db(), self.now_millis())
    }
}
