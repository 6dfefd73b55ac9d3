//! Images: manifests among the blobs, and the names that people gave them.
//!
//! An image is its manifest (or index) blob; a row says which blobs and layers it needs, and names point at it. Blobs
//! of layers need not be there: layers that we made exist as directories until somebody wants a tar, and of pulled
//! ones the registry has a copy (`origin`). Names hold the complete reference: `docker.io/library/app:latest`.

use std::collections::BTreeSet;
use std::time::SystemTime;

use rbuild_image::{
    Descriptor, DiffId, Digest, ImageConfig, ImageError, ImageIndex, ImageManifest, MediaType,
    Reference, is_attestation, media_type,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;

use crate::Store;
use crate::collect::{Collected, Suspects};
use crate::db::Fault;
use crate::error::{Result, StoreError};
use crate::image_repository;
use crate::layer::digest_column;
use crate::oci_layout;
use crate::time;

/// Where an image came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageOrigin {
    /// It was built or loaded here.
    Local,
    /// It was pulled by this name, from whose registry missing blobs can be fetched.
    Registry(Reference),
}

/// An image of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// Its manifest or index.
    pub descriptor: Descriptor,
    /// The digest of that.
    pub digest: Digest,
    /// The image ID that people see: the digest of the config; of the index itself for one of several platforms.
    pub id: Digest,
    /// Its names, sorted; none for a dangling image.
    pub names: Vec<Reference>,
    /// Where it came from.
    pub origin: ImageOrigin,
    /// Its names by digest in the repositories that are known to have it, sorted.
    pub published: Vec<Reference>,
    /// When it came into this store.
    pub stored: SystemTime,
}

/// What removing an image or a name of it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageRemoval {
    /// Names that are gone.
    pub untagged: Vec<Reference>,
    /// IDs of images that are gone.
    pub deleted: Vec<Digest>,
    /// What went with them.
    pub collected: Collected,
}

/// What an image refers to.
pub(crate) struct Parts {
    id: Digest,
    /// Manifests and configs, and the index.
    pub(crate) documents: BTreeSet<Digest>,
    /// The compressed forms of layers, which need not be here.
    layer_blobs: BTreeSet<Digest>,
    pub(crate) layers: BTreeSet<DiffId>,
}

impl Store {
    /// Enters an image whose manifest and config are among the blobs; of an index, those of the platforms that are
    /// wanted. Known images keep their origin, unless it was local.
    ///
    /// Fails with [`StoreError::MissingBlob`] or [`StoreError::Document`].
    pub fn add_image(&self, image: &Descriptor, origin: &ImageOrigin) -> Result<StoredImage> {
        let digest = digest_of(image)?;
        let parts = self.parts(image, &digest)?;
        let text = serde_json::to_string(image).expect("a descriptor is plain JSON");
        let origin = match origin {
            ImageOrigin::Local => None,
            ImageOrigin::Registry(reference) => Some(reference),
        };
        self.db().write("enter an image", |db| {
            db.prepare_cached(
                "INSERT INTO images (digest, id, descriptor, origin, created) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (digest) DO UPDATE SET origin = COALESCE(images.origin, excluded.origin)",
            )?
            .execute(params![
                digest.as_bytes(),
                parts.id.as_bytes(),
                text,
                origin.map(Reference::to_string),
                self.now_millis()
            ])?;
            if let Some(origin) = origin {
                image_repository::insert(db, &digest, origin)?;
            }
            insert_parts(db, &digest, &parts)
        })?;
        oci_layout::write(self)?;
        self.image_by_digest(&digest)?
            .ok_or(StoreError::MissingBlob { digest })
    }

    /// Lets `name` mean `image`, which is entered as a local one if it is unknown. An image that had that name before
    /// loses it, and stays as a dangling one. Nothing is written if all was so already.
    pub fn set_tag(&self, name: &Reference, image: &Descriptor) -> Result<()> {
        let digest = digest_of(image)?;
        if self
            .image(name)?
            .is_some_and(|known| known.digest == digest)
        {
            return Ok(());
        }
        let parts = self.parts(image, &digest)?;
        let text = serde_json::to_string(image).expect("a descriptor is plain JSON");
        let now = self.now_millis();
        self.db().write("name an image", |db| {
            db.prepare_cached(
                "INSERT INTO images (digest, id, descriptor, created) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (digest) DO NOTHING",
            )?
            .execute(params![digest.as_bytes(), parts.id.as_bytes(), text, now])?;
            insert_parts(db, &digest, &parts)?;
            db.prepare_cached(
                "INSERT INTO image_names (name, image, tagged) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET image = ?2, tagged = ?3",
            )?
            .execute(params![name.to_string(), digest.as_bytes(), now])?;
            Ok(())
        })?;
        oci_layout::write(self)
    }

    /// The image that `name` means.
    pub fn image(&self, name: &Reference) -> Result<Option<StoredImage>> {
        let name = name.to_string();
        self.db().read("look up an image by name", |db| {
            let digest = db
                .prepare_cached("SELECT image FROM image_names WHERE name = ?1")?
                .query_row([&name], |row| digest_column(row, 0))
                .optional()?;
            match digest {
                Some(digest) => select_image(db, &digest),
                None => Ok(None),
            }
        })
    }

    /// The image whose manifest or index has this digest.
    pub fn image_by_digest(&self, digest: &Digest) -> Result<Option<StoredImage>> {
        self.db()
            .read("look up an image", |db| select_image(db, digest))
    }

    /// The image whose ID or manifest digest begins with `prefix` (hexadecimal, with or without `sha256:`).
    ///
    /// Fails with [`StoreError::Ambiguous`] if there are several.
    pub fn image_by_prefix(&self, prefix: &str) -> Result<Option<StoredImage>> {
        let digits = prefix.strip_prefix("sha256:").unwrap_or(prefix);
        if digits.is_empty() {
            return Ok(None);
        }
        let fits = |digest: &Digest| digest.hex().starts_with(digits);
        let mut found = self.images()?;
        found.retain(|image| fits(&image.id) || fits(&image.digest));
        let ids: BTreeSet<Digest> = found.iter().map(|image| image.id).collect();
        if ids.len() > 1 {
            return Err(StoreError::Ambiguous {
                prefix: prefix.to_owned(),
                matches: ids.iter().map(Digest::short).collect(),
            });
        }
        // One config may have several manifests; the one with a name is meant.
        found.sort_by_key(|image| (image.names.is_empty(), image.stored, image.digest));
        Ok(found.into_iter().next())
    }

    /// All images, the newest first.
    pub fn images(&self) -> Result<Vec<StoredImage>> {
        self.db().read("list images", |db| {
            let digests: Vec<Digest> = db
                .prepare_cached("SELECT digest FROM images ORDER BY created DESC, digest")?
                .query_map([], |row| digest_column(row, 0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut images = Vec::with_capacity(digests.len());
            for digest in &digests {
                images.extend(select_image(db, digest)?);
            }
            Ok(images)
        })
    }

    /// Takes a name away. An image that has no name left and that no container uses is removed with it, and what only
    /// it needed. `None`: nothing has that name.
    pub fn untag(&self, name: &Reference) -> Result<Option<ImageRemoval>> {
        self.make_way()?;
        let text = name.to_string();
        let needed = match self.image(name)? {
            Some(image) => self.needs(&image.digest)?,
            None => Suspects::default(),
        };
        let Some(deleted) = self.db().write("remove an image's name", |db| {
            let image = db
                .prepare_cached("DELETE FROM image_names WHERE name = ?1 RETURNING image")?
                .query_row([&text], |row| digest_column(row, 0))
                .optional()?;
            let Some(image) = image else {
                return Ok(None);
            };
            let id = db
                .prepare_cached(
                    "DELETE FROM images WHERE digest = ?1
                     AND NOT EXISTS (SELECT 1 FROM image_names WHERE image = ?1)
                     AND NOT EXISTS (SELECT 1 FROM containers WHERE image = ?1) RETURNING id",
                )?
                .query_row([image.as_bytes()], |row| digest_column(row, 0))
                .optional()?;
            Ok(Some(id))
        })?
        else {
            return Ok(None);
        };
        oci_layout::write(self)?;
        Ok(Some(ImageRemoval {
            untagged: vec![name.clone()],
            collected: match deleted {
                Some(_) => self.collect_of(&needed)?,
                None => Collected::default(),
            },
            deleted: deleted.into_iter().collect(),
        }))
    }

    /// Removes an image with all its names, and what only it needed. Whether a container uses it is the caller's to
    /// ask ([`Store::containers_of_image`]); the layers of containers stay.
    pub fn remove_image(&self, digest: &Digest) -> Result<Option<ImageRemoval>> {
        let Some(image) = self.image_by_digest(digest)? else {
            return Ok(None);
        };
        let needed = self.needs(digest)?;
        self.make_way()?;
        self.db().write("remove an image", |db| {
            db.prepare_cached("DELETE FROM images WHERE digest = ?1")?
                .execute([digest.as_bytes()])?;
            Ok(())
        })?;
        oci_layout::write(self)?;
        Ok(Some(ImageRemoval {
            untagged: image.names,
            deleted: vec![image.id],
            collected: self.collect_of(&needed)?,
        }))
    }

    /// What an image refers to, read from its documents.
    pub(crate) fn parts(&self, image: &Descriptor, digest: &Digest) -> Result<Parts> {
        let mut parts = Parts {
            id: *digest,
            documents: BTreeSet::from([*digest]),
            layer_blobs: BTreeSet::new(),
            layers: BTreeSet::new(),
        };
        if !is_index(image.media_type()) {
            parts.id = self.manifest_parts(digest, &mut parts)?;
            return Ok(parts);
        }
        let index: ImageIndex = self.document(digest)?;
        for manifest in index.manifests() {
            let nested = digest_of(manifest)?;
            // Only the platforms that somebody wanted are here.
            if self.has_blob(&nested)? && !is_index(manifest.media_type()) {
                parts.documents.insert(nested);
                if is_attestation(manifest) {
                    self.attestation_parts(&nested, &mut parts)?;
                } else {
                    self.manifest_parts(&nested, &mut parts)?;
                }
            }
        }
        Ok(parts)
    }

    /// Adds what a manifest refers to; gives the digest of its config.
    fn manifest_parts(&self, digest: &Digest, parts: &mut Parts) -> Result<Digest> {
        let manifest: ImageManifest = self.document(digest)?;
        let id = digest_of(manifest.config())?;
        parts.documents.insert(id);
        for layer in manifest.layers() {
            parts.layer_blobs.insert(digest_of(layer)?);
        }
        let config: ImageConfig = self.document(&id)?;
        parts.layers.extend(config.rootfs.diff_ids);
        Ok(id)
    }

    /// Adds what an attestation manifest refers to: its layers are statements, and its config says nothing.
    fn attestation_parts(&self, digest: &Digest, parts: &mut Parts) -> Result<()> {
        let manifest: ImageManifest = self.document(digest)?;
        parts.documents.insert(digest_of(manifest.config())?);
        for statement in manifest.layers() {
            parts.documents.insert(digest_of(statement)?);
        }
        Ok(())
    }

    fn document<T: DeserializeOwned>(&self, digest: &Digest) -> Result<T> {
        // Asking also keeps the collector off it while this image is entered.
        self.has_blob(digest)?;
        let bytes = self
            .read_blob(digest)?
            .ok_or(StoreError::MissingBlob { digest: *digest })?;
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Document {
            digest: *digest,
            source: ImageError::Document {
                what: "a document of an image",
                reason: error.to_string(),
            },
        })
    }
}

/// Whether a media type is that of a list of manifests.
fn is_index(kind: &MediaType) -> bool {
    match kind {
        MediaType::ImageIndex => true,
        other => {
            let name = other.to_string();
            name == media_type::OCI_INDEX || name == media_type::DOCKER_LIST
        }
    }
}

pub(crate) fn digest_of(descriptor: &Descriptor) -> Result<Digest> {
    Digest::try_from(descriptor.digest()).map_err(|source| StoreError::Document {
        digest: Digest::sha256_of(descriptor.digest().to_string().as_bytes()),
        source,
    })
}

fn insert_parts(db: &Connection, image: &Digest, parts: &Parts) -> Result<(), Fault> {
    let mut insert =
        db.prepare_cached("INSERT OR IGNORE INTO image_blobs (image, digest) VALUES (?1, ?2)")?;
    for digest in parts.documents.union(&parts.layer_blobs) {
        insert.execute(params![image.as_bytes(), digest.as_bytes()])?;
    }
    let mut insert =
        db.prepare_cached("INSERT OR IGNORE INTO image_layers (image, diff_id) VALUES (?1, ?2)")?;
    for diff_id in &parts.layers {
        insert.execute(params![image.as_bytes(), diff_id.0.as_bytes()])?;
    }
    Ok(())
}

fn select_image(db: &Connection, digest: &Digest) -> Result<Option<StoredImage>, Fault> {
    let row: Option<(Digest, String, Option<String>, i64)> = db
        .prepare_cached("SELECT id, descriptor, origin, created FROM images WHERE digest = ?1")?
        .query_row([digest.as_bytes()], |row| {
            Ok((
                digest_column(row, 0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
            ))
        })
        .optional()?;
    let Some((id, descriptor, origin, created)) = row else {
        return Ok(None);
    };
    let Ok(descriptor) = serde_json::from_str(&descriptor) else {
        return Ok(None);
    };
    let names: Vec<String> = db
        .prepare_cached("SELECT name FROM image_names WHERE image = ?1 ORDER BY name")?
        .query_map([digest.as_bytes()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let origin: Option<Reference> = origin.and_then(|name| name.parse().ok());
    Ok(Some(StoredImage {
        published: image_repository::select(db, digest, origin.as_ref())?,
        descriptor,
        digest: *digest,
        id,
        names: names.iter().filter_map(|name| name.parse().ok()).collect(),
        origin: origin.map_or(ImageOrigin::Local, ImageOrigin::Registry),
        stored: time::from_millis(created),
    }))
}
