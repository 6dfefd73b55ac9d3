//! Reading everything again: whether the store is what its database says.
//!
//! ```text
//! layer     its files are what its index says       else dropped: the step that made it runs again
//! blob      its bytes have its digest               else dropped: it is fetched or made again
//! record    its layers are there                    else dropped
//! image     its documents and layers are to be had  else its names are taken away
//! mount     its description can be read             else dropped, unless a step uses it
//! container its directory and layers are there      told: what it wrote is not ours to drop
//! ```
//!
//! Checking takes no lock that keeps builds from working; what is collected meanwhile is no damage. Neither is what a process
//! that was killed did not come to, and what the next sweep does: a blob whose file went before its row, an `index.json` that
//! lists the images of before.

mod damage;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use rbuild_image::{DiffId, Digest, Digester, LayerId};
use rusqlite::params;

use crate::Store;
use crate::collect::Removal;
use crate::error::{Result, StoreError};
use crate::flock;
use crate::image::{ImageOrigin, StoredImage};
use crate::layer::{digest_column, is_whole};
use crate::oci_layout;
use crate::record::StepKey;

pub use damage::{Damage, Needed};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Layers that were read.
    pub layers: usize,
    /// Blobs that were read.
    pub blobs: usize,
    /// Images that were looked at.
    pub images: usize,
    /// Records that were looked at.
    pub records: usize,
    /// Cache mounts that were looked at.
    pub mounts: usize,
    /// Containers that were looked at.
    pub containers: usize,
    /// What killed commands left, which harms nothing and is swept after the next build.
    pub leftovers: usize,
    /// What is not as it should be.
    pub damages: Vec<Damage>,
}

/// What is looked at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checking {
    /// `layers`, `blobs`, …
    pub what: &'static str,
    /// How many of them were looked at before.
    pub done: usize,
    /// How many there are.
    pub of: usize,
}

impl Store {
    /// Reads everything and compares it with what it should be. Takes as long as reading the whole store does; `told` is
    /// called with what is read next.
    ///
    /// # Errors
    /// Where the store cannot be read at all; what is damaged is in the answer.
    pub fn check(&self, told: &dyn Fn(Checking)) -> Result<Check> {
        let mut check = Check::default();
        let whole = |what| {
            told(Checking {
                what,
                done: 0,
                of: 1,
            });
        };
        whole("the database");
        self.check_database(&mut check)?;
        self.check_layers(&mut check, told)?;
        self.check_blobs(&mut check, told)?;
        whole("cache records");
        self.check_records(&mut check)?;
        whole("images");
        self.check_images(&mut check)?;
        whole("cache mounts and containers");
        self.check_mounts(&mut check)?;
        self.check_containers(&mut check)?;
        check.leftovers = self.leftovers()?;
        if !oci_layout::is_whole(self)? {
            check.damages.push(Damage::Index);
        }
        Ok(check)
    }

    /// Drops what `check` found damaged, and what cannot be without it, so that it is made or fetched again. Gives what is
    /// left: a damaged database, and layers that a process is using.
    ///
    /// # Errors
    /// Where the store cannot be changed.
    pub fn repair(&self, check: &Check) -> Result<Vec<Damage>> {
        self.make_way()?;
        let mut left = Vec::new();
        for damage in &check.damages {
            let repaired = match damage {
                Damage::Database(_) | Damage::Container { .. } => false,
                Damage::Layer(id) => self.drop_layer(id)?,
                Damage::Blob(digest) => self.drop_blob(digest).map(|()| true)?,
                Damage::Record(key) => self.remove_record(key).map(|_| true)?,
                Damage::Image { digest, .. } => self.drop_image(digest).map(|()| true)?,
                Damage::CacheMount(key) => {
                    self.remove_cache_mount(key).map(|removed| removed > 0)?
                }
                Damage::Index => true,
            };
            if !repaired {
                left.push(damage.clone());
            }
        }
        // What needed a dropped layer or blob is found in a second look, which reads nothing again.
        let mut second = Check::default();
        self.check_records(&mut second)?;
        self.check_images(&mut second)?;
        for damage in &second.damages {
            match damage {
                Damage::Record(key) => drop(self.remove_record(key)?),
                Damage::Image { digest, .. } => self.drop_image(digest)?,
                _ => {}
            }
        }
        self.sweep()?;
        Ok(left)
    }

    fn check_database(&self, check: &mut Check) -> Result<()> {
        let words: Vec<String> = self.db().read("check the database", |db| {
            Ok(db
                .prepare("PRAGMA integrity_check")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?)
        })?;
        let damaged = words.into_iter().filter(|words| words != "ok");
        check.damages.extend(damaged.map(Damage::Database));
        Ok(())
    }

    fn check_layers(&self, check: &mut Check, told: &dyn Fn(Checking)) -> Result<()> {
        let ids = self.layer_ids()?;
        for (done, id) in ids.iter().copied().enumerate() {
            told(Checking {
                what: "layers",
                done,
                of: ids.len(),
            });
            check.layers += 1;
            if !is_whole(id, &self.paths().layer(&id)) && self.has_layer_row(&id)? {
                check.damages.push(Damage::Layer(id));
            }
        }
        Ok(())
    }

    fn check_blobs(&self, check: &mut Check, told: &dyn Fn(Checking)) -> Result<()> {
        let digests = self.blob_digests()?;
        for (done, digest) in digests.iter().copied().enumerate() {
            told(Checking {
                what: "blobs",
                done,
                of: digests.len(),
            });
            check.blobs += 1;
            if !self.is_blob_whole(&digest)? && self.blob_digests()?.contains(&digest) {
                check.damages.push(Damage::Blob(digest));
            }
        }
        Ok(())
    }

    pub(crate) fn blob_digests(&self) -> Result<BTreeSet<Digest>> {
        self.db().read("list blobs", |db| {
            Ok(db
                .prepare_cached("SELECT digest FROM blobs")?
                .query_map([], |row| digest_column(row, 0))?
                .collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Whether the blob's file is what its name says, if it is there.
    fn is_blob_whole(&self, digest: &Digest) -> Result<bool> {
        let path = self.paths().blob(digest);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            // Its removal was cut off. Where something needs it, that is found there.
            Err(error) if flock::is_missing(&error) => return Ok(true),
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        let mut digester = Digester::new();
        io::copy(&mut file, &mut digester).map_err(StoreError::io("read", &path))?;
        Ok(digester.finish() == *digest)
    }

    fn check_records(&self, check: &mut Check) -> Result<()> {
        check.records += self.records()?.len();
        let broken: Vec<[u8; 32]> = self.db().read("look for broken records", |db| {
            Ok(db
                .prepare_cached(
                    "SELECT DISTINCT key FROM records JOIN record_layers ON record = number
                     WHERE NOT EXISTS (SELECT 1 FROM layers WHERE id = layer) ORDER BY key",
                )?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?)
        })?;
        let broken = broken.into_iter().map(|key| Damage::Record(StepKey(key)));
        check.damages.extend(broken);
        Ok(())
    }

    fn check_images(&self, check: &mut Check) -> Result<()> {
        for image in self.images()? {
            check.images += 1;
            if let Some(needs) = self.missing(&image)? {
                check.damages.push(Damage::Image {
                    digest: image.digest,
                    names: image.names,
                    needs,
                });
            }
        }
        Ok(())
    }

    fn check_mounts(&self, check: &mut Check) -> Result<()> {
        let known = self.cache_mounts()?;
        check.mounts += known.len();
        for top in crate::lease::list(&self.paths().mounts())? {
            let key = top.file_name().unwrap_or_default().to_string_lossy();
            // An empty one is being made or removed.
            let is_empty = crate::lease::list(&top)?.is_empty();
            if !is_empty && !known.iter().any(|mount| mount.key == key) {
                check.damages.push(Damage::CacheMount(key.into_owned()));
            }
        }
        Ok(())
    }

    fn check_containers(&self, check: &mut Check) -> Result<()> {
        for container in self.containers()? {
            check.containers += 1;
            let mut missing = None;
            for id in &container.layers {
                if !self.has_layer_row(id)? {
                    missing = Some(Some(*id));
                }
            }
            if !self.container_path(&container.id).exists() {
                missing = Some(None);
            }
            if let Some(layer) = missing {
                check.damages.push(Damage::Container {
                    id: container.id,
                    name: container.name,
                    layer,
                });
            }
        }
        Ok(())
    }

    /// What `image` needs and nobody has.
    fn missing(&self, image: &StoredImage) -> Result<Option<Needed>> {
        let parts = match self.parts(&image.descriptor, &image.digest) {
            Ok(parts) => parts,
            Err(
                StoreError::MissingBlob { digest }
                | StoreError::Document { digest, .. }
                | StoreError::DigestMismatch {
                    expected: digest, ..
                },
            ) => return Ok(Some(Needed::Document(digest))),
            Err(other) => return Err(other),
        };
        if matches!(image.origin, ImageOrigin::Registry(_)) {
            return Ok(None);
        }
        for diff_id in parts.layers {
            if self.layer_by_diff_id(&diff_id)?.is_none() && !self.has_layer_blob(&diff_id)? {
                return Ok(Some(Needed::Layer(diff_id)));
            }
        }
        Ok(None)
    }

    fn has_layer_blob(&self, diff_id: &DiffId) -> Result<bool> {
        for blob in self.layer_blobs(diff_id)? {
            if let Ok(digest) = Digest::try_from(blob.descriptor.digest())
                && self.has_blob(&digest)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the layer went: one that a process uses stays.
    fn drop_layer(&self, id: &LayerId) -> Result<bool> {
        self.remove_layer(id, Removal::Always)?;
        Ok(!self.has_layer_row(id)?)
    }

    fn drop_blob(&self, digest: &Digest) -> Result<()> {
        let path = self.paths().blob(digest);
        self.db().write("drop a damaged blob", |db| {
            db.prepare_cached("DELETE FROM blobs WHERE digest = ?1")?
                .execute([digest.as_bytes()])?;
            crate::blob::remove_file(&path)?;
            Ok(())
        })
    }

    fn drop_image(&self, digest: &Digest) -> Result<()> {
        self.db().write("drop a damaged image", |db| {
            db.prepare_cached("DELETE FROM images WHERE digest = ?1")?
                .execute(params![digest.as_bytes()])?;
            Ok(())
        })
    }
}
