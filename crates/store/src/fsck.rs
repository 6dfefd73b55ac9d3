//! Reading everything again: whether the store is what its database says.
//!
//! ```text
//! layer     its files are what its index says       else dropped: the step that made it runs again
//! blob      its bytes have its digest               else dropped: it is fetched or made again
//! record    its layers are there                    else dropped
//! image     its documents and layers are to be had  else its names are taken away
//! ```
//!
//! Checking takes no lock that keeps builds from working; what is collected meanwhile is no damage. Neither is what a process
//! that was killed did not come to, and what the next sweep does: a blob whose file went before its row, an `index.json` that
//! lists the images of before.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;

use rbuild_image::{DiffId, Digest, Digester, LayerId, Reference};
use rusqlite::params;

use crate::Store;
use crate::collect::Removal;
use crate::error::{Result, StoreError};
use crate::flock;
use crate::image::{ImageOrigin, StoredImage};
use crate::layer::{digest_column, is_whole};
use crate::oci_layout;
use crate::record::StepKey;

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
    /// What is not as it should be.
    pub damages: Vec<Damage>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The database itself, in its own words. Nothing here can mend that.
    Database(String),
    /// A layer whose files are not what its index says, or are gone.
    Layer(LayerId),
    /// A blob whose bytes do not have its digest, or are gone.
    Blob(Digest),
    /// A record of a layer that is not there.
    Record(StepKey),
    /// An image that needs something that is not to be had.
    Image {
        /// Its digest.
        digest: Digest,
        /// Its names.
        names: Vec<Reference>,
        /// What it needs.
        needs: Needed,
    },
    /// `index.json` is not there, or is no list of images.
    Index,
}

/// What an image needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// A manifest or a config.
    Document(Digest),
    /// A layer's files.
    Layer(DiffId),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(words) => write!(f, "database: {words}"),
            Self::Layer(id) => write!(f, "layer {id}: its files are not what its index says"),
            Self::Blob(digest) => write!(f, "blob {digest}: its bytes do not have this digest"),
            Self::Record(key) => write!(f, "cache record {key}: a layer of it is missing"),
            Self::Image {
                digest,
                names,
                needs,
            } => {
                let names: Vec<String> = names.iter().map(Reference::familiar).collect();
                let names = if names.is_empty() {
                    "<none>".to_owned()
                } else {
                    names.join(", ")
                };
                match needs {
                    Needed::Document(missing) => {
                        write!(
                            f,
                            "image {names} ({digest}): its document {missing} is missing"
                        )
                    }
                    Needed::Layer(missing) => {
                        write!(
                            f,
                            "image {names} ({digest}): its layer {} is missing",
                            missing.0
                        )
                    }
                }
            }
            Self::Index => f.write_str("index.json: it is no list of images"),
        }
    }
}

impl Store {
    /// Reads everything and compares it with what it should be. Takes as long as reading the whole store does; `told` is
    /// called with what is read next.
    ///
    /// # Errors
    /// Where the store cannot be read at all; what is damaged is in the answer.
    pub fn check(&self, told: &dyn Fn(&str)) -> Result<Check> {
        let mut check = Check::default();
        told("database");
        self.check_database(&mut check)?;
        self.check_layers(&mut check, told)?;
        self.check_blobs(&mut check, told)?;
        told("records");
        self.check_records(&mut check)?;
        told("images");
        self.check_images(&mut check)?;
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
        let mut left = Vec::new();
        for damage in &check.damages {
            let repaired = match damage {
                Damage::Database(_) => false,
                Damage::Layer(id) => self.drop_layer(id)?,
                Damage::Blob(digest) => self.drop_blob(digest).map(|()| true)?,
                Damage::Record(key) => self.remove_record(key).map(|_| true)?,
                Damage::Image { digest, .. } => self.drop_image(digest).map(|()| true)?,
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

    fn check_layers(&self, check: &mut Check, told: &dyn Fn(&str)) -> Result<()> {
        for id in self.layer_ids()? {
            told(&format!("layer {id}"));
            check.layers += 1;
            if !is_whole(id, &self.paths().layer(&id)) && self.has_layer_row(&id)? {
                check.damages.push(Damage::Layer(id));
            }
        }
        Ok(())
    }

    fn check_blobs(&self, check: &mut Check, told: &dyn Fn(&str)) -> Result<()> {
        for digest in self.blob_digests()? {
            told(&format!("blob {digest}"));
            check.blobs += 1;
            if !self.is_blob_whole(&digest)? && self.blob_digests()?.contains(&digest) {
                check.damages.push(Damage::Blob(digest));
            }
        }
        Ok(())
    }

    fn blob_digests(&self) -> Result<BTreeSet<Digest>> {
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
