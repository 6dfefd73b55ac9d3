//! A cache in a registry.
//!
//! ```text
//! user/app:cache              artifact …cache.bundle.v1    config: the bundle
//! user/app:cache.k.<key>      artifact …cache.entry.v1     config: the entry; layers: its blobs; annotation: the entry, brief
//! user/app:cache.f.<fast key> the same artifact
//! user/app:cache.m.<key>      artifact …cache.mount.v1     config: the list of a cache mount's chunks; layers: the chunks
//! user/app:main               an image, perhaps with a cache inside
//! ```
//!
//! Nobody rewrites what another wrote, but for the bundle, which is a hint. That the artifact of an entry lists its blobs as
//! layers keeps them from the registry's own collection.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rbuild_image::{
    Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, MAX_DOCUMENT_BYTES, Manifest,
    ManifestKind, Reference, canonical_json, descriptor, media_type,
};
use rbuild_registry::{BlobUpload, Client};
use serde::Serialize;

use crate::entry::MAX_ENTRY_BYTES;
use crate::inline::read_inline;
use crate::{Address, Bundle, Chunk, Entry, MountSnapshot, Place, RemoteError, Upload, tags};

/// What the artifacts are.
const ENTRY: &str = "application/vnd.rbuild.cache.entry.v1";
const ENTRY_JSON: &str = "application/vnd.rbuild.cache.entry.v1+json";
const BUNDLE: &str = "application/vnd.rbuild.cache.bundle.v1";
const BUNDLE_JSON: &str = "application/vnd.rbuild.cache.bundle.v1+json";
const MOUNT: &str = "application/vnd.rbuild.cache.mount.v1";
const MOUNT_JSON: &str = "application/vnd.rbuild.cache.mount.v1+json";
/// The annotation with the entry itself, so that one request suffices.
const ANNOTATION: &str = "vnd.rbuild.cache.entry";
/// The largest entry that goes into an annotation, in bytes; registries limit manifests to 4 MiB, some to less.
const MAX_ANNOTATION_BYTES: usize = 64 << 10;

/// A cache under a tag of a repository.
#[derive(Debug)]
pub struct RegistryPlace {
    name: Reference,
    tag: String,
    way: Way,
    reader: Arc<Client>,
    client: Arc<Client>,
    /// Set once the name turned out to be an image's: what it has is in its config.
    is_image: AtomicBool,
}

/// What a cache is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To look into it. An image's name stands for the cache inside it.
    Read,
    /// To write to it. An image is not written over.
    Write,
}

/// Manifests of one index that are looked at: more platforms than anybody builds for.
const MAX_IMAGES: usize = 16;

/// What is said of an image that is no cache.
const NOTHING_INSIDE: &str = "it is an image that was built without --cache-to type=inline";

/// A manifest as we write it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u32,
    media_type: &'a str,
    artifact_type: &'a str,
    config: Descriptor,
    layers: Vec<&'a Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations>,
}

#[derive(Serialize)]
struct Annotations {
    #[serde(rename = "vnd.rbuild.cache.entry")]
    entry: String,
}

impl RegistryPlace {
    /// The cache `name`. Questions go through `reader`, which should not be patient; blobs and what is written, through
    /// `client`.
    pub fn new(name: &Reference, way: Way, reader: Arc<Client>, client: Arc<Client>) -> Self {
        Self {
            name: name.without_digest(),
            tag: name.tag().unwrap_or("latest").to_owned(),
            way,
            reader,
            client,
            is_image: AtomicBool::new(false),
        }
    }

    fn tagged(&self, address: &Address) -> Result<Reference, RemoteError> {
        Ok(self.name.with_tag(&tags::of(&self.tag, address))?)
    }

    fn resolve(&self, name: &Reference) -> Result<Option<Manifest>, RemoteError> {
        match self.reader.resolve(name) {
            Ok(resolved) => Ok(Some(resolved.manifest)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn occupied(&self) -> RemoteError {
        RemoteError::Occupied {
            place: self.title(),
        }
    }

    /// The config blob of one of our artifacts.
    fn config(
        &self,
        manifest: &ImageManifest,
        kind: &str,
        what: &'static str,
    ) -> Result<Vec<u8>, RemoteError> {
        let config = manifest.config();
        if config.media_type().to_string() != kind {
            return Err(RemoteError::document(
                what,
                format!("{} is no {what}, it is {}", self.name, config.media_type()),
            ));
        }
        if config.size() > MAX_ENTRY_BYTES as u64 {
            return Err(RemoteError::document(what, "it is too large"));
        }
        Ok(self.reader.blob(&self.name, config)?.read_all()?)
    }

    fn put_document(&self, kind: &str, bytes: &[u8]) -> Result<Descriptor, RemoteError> {
        let described = descriptor(kind, Digest::sha256_of(bytes), bytes.len() as u64);
        let shared: Arc<[u8]> = bytes.into();
        let open = || {
            let reader = io::Cursor::new(Arc::clone(&shared));
            Ok(Box::new(reader) as Box<dyn Read + Send>)
        };
        self.put_blob(&Upload {
            descriptor: &described,
            open: &open,
            neighbour: None,
        })?;
        Ok(described)
    }

    fn put_artifact(&self, name: &Reference, bytes: &[u8]) -> Result<(), RemoteError> {
        let kind = media_type::OCI_MANIFEST;
        self.client.put_manifest(name, kind, bytes)?;
        Ok(())
    }

    /// The list of the images of `index`.
    fn inline_of_index(&self, index: &ImageIndex) -> Result<Bundle, RemoteError> {
        let mut all = Bundle::default();
        let images = index.manifests().iter().filter(|one| is_image(one));
        for image in images.take(MAX_IMAGES) {
            let digest = Digest::try_from(image.digest())?;
            let Manifest::Image(manifest) = self.reader.manifest(&self.name, &digest)?.manifest
            else {
                continue;
            };
            match self.inline_of(&manifest) {
                Ok(found) => all = all.merged(found.entries()),
                // An attestation looks like an image, too.
                Err(RemoteError::Document { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if all.entries().is_empty() {
            return Err(RemoteError::document("bundle", NOTHING_INSIDE));
        }
        Ok(all)
    }

    /// The list inside an image.
    fn inline_of(&self, manifest: &ImageManifest) -> Result<Bundle, RemoteError> {
        if self.way == Way::Write {
            return Err(self.occupied());
        }
        self.is_image.store(true, Ordering::Relaxed);
        let config = manifest.config();
        if config.size() > MAX_DOCUMENT_BYTES as u64 {
            return Err(RemoteError::document(
                "bundle",
                "its image's config is too large",
            ));
        }
        let bytes = self.reader.blob(&self.name, config)?.read_all()?;
        let found = read_inline(&ImageConfig::from_json(&bytes)?, manifest.layers())?;
        found.ok_or_else(|| RemoteError::document("bundle", NOTHING_INSIDE))
    }

    fn find(&self, address: &Address) -> Result<Option<ImageManifest>, RemoteError> {
        if self.is_image.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.resolve(&self.tagged(address)?)? {
            Some(Manifest::Image(manifest)) => Ok(Some(manifest)),
            Some(Manifest::Index(_)) | None => Ok(None),
        }
    }

    fn read_entry(&self, manifest: &ImageManifest) -> Result<Entry, RemoteError> {
        Entry::decode(&self.config(manifest, ENTRY_JSON, "entry")?)
    }
}

impl Place for RegistryPlace {
    fn title(&self) -> String {
        self.name.to_string()
    }

    fn bundle(&self) -> Result<Option<Bundle>, RemoteError> {
        let manifest = match self.resolve(&self.name)? {
            None => return Ok(None),
            Some(Manifest::Index(index)) if index.manifests().iter().any(is_image) => {
                if self.way == Way::Write {
                    return Err(self.occupied());
                }
                return self.inline_of_index(&index).map(Some);
            }
            Some(Manifest::Index(_)) => {
                let what = "it is an index of something else";
                return Err(RemoteError::document("bundle", what));
            }
            Some(Manifest::Image(manifest)) if is_image_config(manifest.config()) => {
                return self.inline_of(&manifest).map(Some);
            }
            Some(Manifest::Image(manifest)) => manifest,
        };
        let bytes = self.config(&manifest, BUNDLE_JSON, "bundle")?;
        Bundle::decode(&bytes).map(Some)
    }

    fn put_bundle(&self, bundle: &Bundle) -> Result<(), RemoteError> {
        let artifact = Document {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST,
            artifact_type: BUNDLE,
            config: self.put_document(BUNDLE_JSON, &bundle.encode())?,
            layers: Vec::new(),
            annotations: None,
        };
        self.put_artifact(&self.name, &canonical_json(&artifact)?)
    }

    fn entry(&self, address: &Address) -> Result<Option<Entry>, RemoteError> {
        let Some(manifest) = self.find(address)? else {
            return Ok(None);
        };
        let annotations = manifest.annotations().as_ref();
        let entry = match annotations.and_then(|all| all.get(ANNOTATION)) {
            Some(text) => Entry::decode(text.as_bytes())?,
            None => self.read_entry(&manifest)?,
        };
        Ok(answering(entry, address))
    }

    fn full_entry(&self, address: &Address) -> Result<Option<Entry>, RemoteError> {
        let Some(manifest) = self.find(address)? else {
            return Ok(None);
        };
        Ok(answering(self.read_entry(&manifest)?, address))
    }

    fn put_entry(&self, entry: &Entry) -> Result<(), RemoteError> {
        let brief = entry.brief().encode();
        let annotation = (brief.len() <= MAX_ANNOTATION_BYTES)
            .then(|| String::from_utf8_lossy(&brief).into_owned());
        let artifact = Document {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST,
            artifact_type: ENTRY,
            config: self.put_document(ENTRY_JSON, &entry.encode())?,
            layers: entry
                .layers
                .iter()
                .filter_map(|layer| layer.blob.as_ref())
                .collect(),
            annotations: annotation.map(|entry| Annotations { entry }),
        };
        let bytes = canonical_json(&artifact)?;
        self.put_artifact(&self.tagged(&Address::Key(entry.key()))?, &bytes)?;
        for fast in entry.aliases() {
            self.put_artifact(&self.tagged(&Address::Fast(fast))?, &bytes)?;
        }
        Ok(())
    }

    fn mount(&self, key: &str) -> Result<Option<MountSnapshot>, RemoteError> {
        let name = self.name.with_tag(&tags::of_mount(&self.tag, key))?;
        match self.resolve(&name)? {
            Some(Manifest::Image(manifest)) => {
                MountSnapshot::decode(&self.config(&manifest, MOUNT_JSON, "mount")?)
            }
            Some(Manifest::Index(_)) | None => Ok(None),
        }
    }

    fn put_mount(&self, key: &str, snapshot: &MountSnapshot) -> Result<(), RemoteError> {
        let blobs: Vec<Descriptor> = snapshot.chunks().map(Chunk::descriptor).collect();
        let mut seen = HashSet::new();
        let artifact = Document {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST,
            artifact_type: MOUNT,
            config: self.put_document(MOUNT_JSON, &snapshot.encode()?)?,
            layers: blobs
                .iter()
                .filter(|blob| seen.insert(blob.digest()))
                .collect(),
            annotations: None,
        };
        let name = self.name.with_tag(&tags::of_mount(&self.tag, key))?;
        self.put_artifact(&name, &canonical_json(&artifact)?)
    }

    fn open_blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, RemoteError> {
        Ok(Box::new(self.client.blob(&self.name, blob)?))
    }

    fn put_blob(&self, upload: &Upload<'_>) -> Result<(), RemoteError> {
        let blob = BlobUpload {
            descriptor: upload.descriptor,
            open: upload.open,
            progress: &|_| {},
        };
        self.client
            .ensure_blob(&self.name, &blob, upload.neighbour)?;
        Ok(())
    }

    fn repository(&self) -> Option<&Reference> {
        Some(&self.name)
    }
}

/// Whether a part of an index is an image: what BuildKit's caches list are layers.
fn is_image(part: &Descriptor) -> bool {
    let kind = part.media_type().to_string();
    ManifestKind::of_media_type(&kind) == Some(ManifestKind::Image)
}

fn is_image_config(config: &Descriptor) -> bool {
    let kind = config.media_type().to_string();
    [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG].contains(&kind.as_str())
}

/// `entry`, if it is the one that was asked for: a tag can be moved.
pub(crate) fn answering(entry: Entry, address: &Address) -> Option<Entry> {
    entry.answers(address).then_some(entry)
}
