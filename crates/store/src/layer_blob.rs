//! Layers' tars as blobs: which bytes they were packed into, and how.

use rbuild_image::{Compression, Descriptor, DiffId, Digest, Packing};
use rusqlite::params;

use crate::Store;
use crate::error::{Result, StoreError};

/// A layer's tar as a blob, in one of the forms in which it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerBlob {
    /// How it is packed.
    pub packing: Packing,
    /// Its media type, digest, size and annotations.
    pub descriptor: Descriptor,
}

impl Store {
    /// The forms in which a layer's tar is known as a blob that decompresses to it (eStargz is asked for with
    /// [`Store::packed_layer`]); the blobs themselves may be elsewhere (in the registry that
    /// an image came from) or collected: ask [`Store::blob`]. Sorted by digest.
    pub fn layer_blobs(&self, diff_id: &DiffId) -> Result<Vec<LayerBlob>> {
        let mut all = self.all_layer_blobs(diff_id)?;
        all.retain(|blob| blob.packing != Packing::Estargz);
        Ok(all)
    }

    /// The blob that the tar was last packed into so, wherever that blob is now.
    pub fn packed_layer(
        &self,
        diff_id: &DiffId,
        packing: impl Into<Packing>,
    ) -> Result<Option<Descriptor>> {
        let packing = packing.into();
        let mut all = self.all_layer_blobs(diff_id)?.into_iter();
        let found = all.find(|blob| blob.packing == packing);
        Ok(found.map(|blob| blob.descriptor))
    }

    fn all_layer_blobs(&self, diff_id: &DiffId) -> Result<Vec<LayerBlob>> {
        self.db().read("list a layer's blobs", |db| {
            let rows: Vec<(i64, String)> = db
                .prepare_cached(
                    "SELECT compression, descriptor FROM layer_blobs WHERE diff_id = ?1 ORDER BY digest",
                )?
                .query_map([diff_id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(rows
                .into_iter()
                .filter_map(|(compression, descriptor)| {
                    Some(LayerBlob {
                        packing: packing_of(compression)?,
                        descriptor: serde_json::from_str(&descriptor).ok()?,
                    })
                })
                .collect())
        })
    }

    /// A blob of a layer, packed as wanted, that the store holds now.
    pub fn layer_blob(
        &self,
        diff_id: &DiffId,
        packing: impl Into<Packing>,
    ) -> Result<Option<Descriptor>> {
        let packing = packing.into();
        for blob in self.all_layer_blobs(diff_id)? {
            if blob.packing == packing
                && let Ok(digest) = Digest::try_from(blob.descriptor.digest())
                && self.has_blob(&digest)?
            {
                return Ok(Some(blob.descriptor));
            }
        }
        Ok(None)
    }

    /// Remembers that the blob of `descriptor` is the layer `diff_id`, packed so.
    ///
    /// Fails with [`StoreError::Document`] if the descriptor's digest is not a sha256.
    pub fn set_layer_blob(
        &self,
        diff_id: &DiffId,
        packing: impl Into<Packing>,
        descriptor: &Descriptor,
    ) -> Result<()> {
        let digest =
            Digest::try_from(descriptor.digest()).map_err(|source| StoreError::Document {
                digest: diff_id.0,
                source,
            })?;
        let text = serde_json::to_string(descriptor).expect("a descriptor is plain JSON");
        let packing = packing.into();
        self.db().write("remember a layer's blob", |db| {
            db.prepare_cached(
                "INSERT INTO layer_blobs (diff_id, digest, compression, descriptor) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET compression = ?3, descriptor = ?4",
            )?
            .execute(params![
                diff_id.0.as_bytes(),
                digest.as_bytes(),
                packing_number(packing),
                text
            ])?;
            Ok(())
        })
    }
}

/// How the database writes a packing. Part of the format.
fn packing_number(packing: Packing) -> i64 {
    match packing {
        Packing::Stream(Compression::None) => 0,
        Packing::Stream(Compression::Gzip) => 1,
        Packing::Stream(Compression::Zstd) => 2,
        Packing::Estargz => 3,
        Packing::ZstdChunked => 4,
    }
}

fn packing_of(number: i64) -> Option<Packing> {
    match number {
        0 => Some(Compression::None.into()),
        1 => Some(Compression::Gzip.into()),
        2 => Some(Compression::Zstd.into()),
        3 => Some(Packing::Estargz),
        4 => Some(Packing::ZstdChunked),
        _ => None,
    }
}
