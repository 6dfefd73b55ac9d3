//! What base image names stood for when a registry was last asked.
//!
//! The documents of such a base (its manifest and config) stay as long as that is remembered, so a build whose registry is gone
//! still knows it; its layers are cache, and go when there is nothing of less worth.

use std::time::SystemTime;

use rbuild_image::{Descriptor, Digest, Platform, Reference};
use rusqlite::{Connection, OptionalExtension, params};

use crate::Store;
use crate::db::Fault;
use crate::error::{Result, StoreError};
use crate::image::Parts;
use crate::time;
use crate::uses::{BaseName, USE_GRANULARITY};

/// The answer of a registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The manifest (or index) that the name stood for.
    pub descriptor: Descriptor,
    /// When.
    pub resolved: SystemTime,
}

impl Store {
    /// What `reference` last stood for on `platform`; the caller decides whether that is recent enough. The use is noted as
    /// that of a record is.
    pub fn resolution(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<Resolution>> {
        let name = BaseName::new(reference, platform);
        let row: Option<(String, i64, i64)> = self.db().read("look up a resolution", |db| {
            Ok(db
                .prepare_cached(
                    "SELECT descriptor, resolved, last_used FROM resolutions WHERE reference = ?1 AND platform = ?2",
                )?
                .query_row(params![name.reference, name.platform], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?)
        })?;
        let Some((descriptor, resolved, last_used)) = row else {
            return Ok(None);
        };
        let age = self.now().duration_since(time::from_millis(last_used));
        if age.is_ok_and(|age| age >= USE_GRANULARITY) {
            self.uses().bases.insert(name);
        }
        let descriptor = serde_json::from_str(&descriptor).ok();
        Ok(descriptor.map(|descriptor| Resolution {
            descriptor,
            resolved: time::from_millis(resolved),
        }))
    }

    /// Remembers what `reference` stands for on `platform` now, and keeps as much of its documents as is here.
    pub fn set_resolution(
        &self,
        reference: &Reference,
        platform: &Platform,
        descriptor: &Descriptor,
    ) -> Result<()> {
        let name = BaseName::new(reference, platform);
        let parts = match self.parts(descriptor, &crate::image::digest_of(descriptor)?) {
            Ok(parts) => Some(parts),
            Err(StoreError::MissingBlob { .. } | StoreError::Document { .. }) => None,
            Err(error) => return Err(error),
        };
        let descriptor = serde_json::to_string(descriptor).expect("a descriptor is plain JSON");
        self.db().write("remember a resolution", |db| {
            // Replacing a row takes what it kept with it.
            db.prepare_cached(
                "INSERT OR REPLACE INTO resolutions (reference, platform, descriptor, resolved, last_used)
                 VALUES (?1, ?2, ?3, ?4, ?4)",
            )?
            .execute(params![
                name.reference,
                name.platform,
                descriptor,
                self.now_millis()
            ])?;
            parts.iter().try_for_each(|parts| keep(db, &name, parts))
        })
    }

    /// Forgets what a name stood for, unless that was used since `protected`. Tells whether it did.
    pub(crate) fn forget_resolution(&self, name: &BaseName, protected: i64) -> Result<bool> {
        self.db().write("forget a resolution", |db| {
            let removed = db
                .prepare_cached(
                    "DELETE FROM resolutions WHERE reference = ?1 AND platform = ?2 AND last_used < ?3",
                )?
                .execute(params![name.reference, name.platform, protected])?;
            Ok(removed > 0)
        })
    }
}

fn keep(db: &Connection, name: &BaseName, parts: &Parts) -> Result<(), Fault> {
    let insert = |sql: &str, digest: &Digest| -> Result<(), Fault> {
        db.prepare_cached(sql)?.execute(params![
            name.reference,
            name.platform,
            digest.as_bytes()
        ])?;
        Ok(())
    };
    for digest in &parts.documents {
        insert(
            "INSERT INTO base_blobs (reference, platform, digest) VALUES (?1, ?2, ?3)",
            digest,
        )?;
    }
    for diff_id in &parts.layers {
        insert(
            "INSERT INTO base_layers (reference, platform, diff_id) VALUES (?1, ?2, ?3)",
            &diff_id.0,
        )?;
    }
    Ok(())
}
