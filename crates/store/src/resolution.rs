//! What base image names stood for when a registry was last asked.

use std::time::SystemTime;

use rbuild_image::{Descriptor, Platform, Reference};
use rusqlite::{OptionalExtension, params};

use crate::Store;
use crate::error::Result;
use crate::time;

/// The answer of a registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The manifest (or index) that the name stood for.
    pub descriptor: Descriptor,
    /// When.
    pub resolved: SystemTime,
}

impl Store {
    /// What `reference` last stood for on `platform`; the caller decides whether that is recent enough.
    pub fn resolution(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<Resolution>> {
        self.db().read("look up a resolution", |db| {
            let row: Option<(String, i64)> = db
                .prepare_cached(
                    "SELECT descriptor, resolved FROM resolutions WHERE reference = ?1 AND platform = ?2",
                )?
                .query_row(
                    params![reference.to_string(), platform.to_string()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            Ok(row.and_then(|(descriptor, resolved)| {
                Some(Resolution {
                    descriptor: serde_json::from_str(&descriptor).ok()?,
                    resolved: time::from_millis(resolved),
                })
            }))
        })
    }

    /// Remembers what `reference` stands for on `platform` now.
    pub fn set_resolution(
        &self,
        reference: &Reference,
        platform: &Platform,
        descriptor: &Descriptor,
    ) -> Result<()> {
        let descriptor = serde_json::to_string(descriptor).expect("a descriptor is plain JSON");
        self.db().write("remember a resolution", |db| {
            db.prepare_cached(
                "INSERT OR REPLACE INTO resolutions (reference, platform, descriptor, resolved)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                reference.to_string(),
                platform.to_string(),
                descriptor,
                self.now_millis()
            ])?;
            Ok(())
        })
    }
}
