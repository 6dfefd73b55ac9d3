//! What was pushed where: a later push asks for one manifest instead of for each of its blobs, and other repositories of the
//! same registry take blobs from there.
//!
//! It is knowledge, not truth: a registry may have collected what it was given. Whoever uses a row asks the registry first,
//! and [`Store::forget_pushed`] drops what was wrong.

use rbuild_image::{Digest, Reference};
use rusqlite::params;

use crate::Store;
use crate::error::Result;

/// How long a push is remembered, in milliseconds: 90 days.
const REMEMBERED_MILLIS: i64 = 90 * 24 * 3600 * 1000;

impl Store {
    /// Remembers that `reference`'s repository has `manifest` and, for that, `blobs`.
    pub fn note_pushed(
        &self,
        reference: &Reference,
        manifest: &Digest,
        blobs: &[Digest],
    ) -> Result<()> {
        let now = self.now_millis();
        self.db().write("remember a push", |db| {
            let mut insert = db.prepare_cached(
                "INSERT OR REPLACE INTO pushed_blobs (digest, registry, repository, manifest, seen)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for blob in blobs {
                insert.execute(params![
                    blob.as_bytes(),
                    reference.registry(),
                    reference.repository(),
                    manifest.as_bytes(),
                    now
                ])?;
            }
            db.prepare_cached("DELETE FROM pushed_blobs WHERE seen < ?1")?
                .execute([now - REMEMBERED_MILLIS])?;
            Ok(())
        })
    }

    /// The manifest in `reference`'s repository that named the blob when it was last pushed there.
    pub fn pushed(&self, reference: &Reference, blob: &Digest) -> Result<Option<Digest>> {
        self.db().read("look for a push", |db| {
            let mut select = db.prepare_cached(
                "SELECT manifest FROM pushed_blobs WHERE digest = ?1 AND registry = ?2 AND repository = ?3",
            )?;
            let mut rows = select.query(params![
                blob.as_bytes(),
                reference.registry(),
                reference.repository()
            ])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            Ok(Some(Digest::from_sha256_bytes(row.get(0)?)))
        })
    }

    /// Another repository at `reference`'s registry that got the blob, the latest one.
    pub fn pushed_beside(&self, reference: &Reference, blob: &Digest) -> Result<Option<Reference>> {
        let found: Option<String> = self.db().read("look for a push", |db| {
            let mut select = db.prepare_cached(
                "SELECT repository FROM pushed_blobs WHERE digest = ?1 AND registry = ?2 AND repository <> ?3
                 ORDER BY seen DESC LIMIT 1",
            )?;
            let mut rows = select.query(params![
                blob.as_bytes(),
                reference.registry(),
                reference.repository()
            ])?;
            Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
        })?;
        let named = found.map(|repository| format!("{}/{repository}", reference.registry()));
        // It was a reference when it was written.
        Ok(named.and_then(|name| name.parse().ok()))
    }

    /// Forgets what was pushed to `reference`'s repository.
    pub fn forget_pushed(&self, reference: &Reference) -> Result<()> {
        self.db().write("forget pushes", |db| {
            db.prepare_cached("DELETE FROM pushed_blobs WHERE registry = ?1 AND repository = ?2")?
                .execute(params![reference.registry(), reference.repository()])?;
            Ok(())
        })
    }
}
