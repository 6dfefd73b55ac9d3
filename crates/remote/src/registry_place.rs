//! A cache in a registry.
//!
//! ```text
//! user/app:cache              artifact …cache.bundle.v1    config: the bundle
//! user/app:cache.k.<key>      artifact …cache.entry.v1     config: the entry; layers: its blobs; annotation: the entry, brief
//! user/app:cache.f.<fast key> the same artifact
//! ```
//!
//! Nobody rewrites what another wrote, but for the bundle, which is a hint. That the artifact of an entry lists its blobs as
//! layers keeps them from the registry's own collection.

use std::io::{self, Read};
use std::sync::Arc;

use rbuild_image::{
    Descriptor, Digest, ImageManifest, Manifest, Reference, canonical_json, descriptor, media_type,
};
use rbuild_registry::{BlobUpload, Client};
use serde::Serialize;

use crate::entry::MAX_ENTRY_BYTES;
use crate::{Address, Bundle, Entry, Place, RemoteError, Upload, tags};

/// What the artifacts are.
const ENTRY: &str = "application/vnd.rbuild.cache.entry.v1";
const ENTRY_JSON: &str = "application/vnd.rbuild.cache.entry.v1+json";
const BUNDLE: &str = "application/vnd.rbuild.cache.bundle.v1";
const BUNDLE_JSON: &str = "application/vnd.rbuild.cache.bundle.v1+json";
/// The annotation with the entry itself, so that one request suffices.
const ANNOTATION: &str = "vnd.rbuild.cache.entry";
/// The largest entry that goes into an annotation, in bytes; registries limit manifests to 4 MiB, some to less.
const MAX_ANNOTATION_BYTES: usize = 64 << 10;

/// A cache under a tag of a repository.
#[derive(Debug)]
pub struct RegistryPlace {
    name: Reference,
    tag: String,
    reader: Arc<Client>,
    client: Arc<Client>,
}

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
    pub fn new(name: &Reference, reader: Arc<Client>, client: Arc<Client>) -> Self {
        Self {
            name: name.without_digest(),
            tag: name.tag().unwrap_or("latest").to_owned(),
            reader,
            client,
        }
    }

    fn tagged(&self, address: &Address) -> Result<Reference, RemoteError> {
        Ok(self.name.with_tag(&tags::of(&self.tag, address))?)
    }

    fn manifest(&self, name: &Reference) -> Result<Option<ImageManifest>, RemoteError> {
        match self.reader.resolve(name) {
            Ok(resolved) => match resolved.manifest {
                Manifest::Image(manifest) => Ok(Some(manifest)),
                Manifest::Index(_) => Ok(None),
            },
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
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

    fn find(&self, address: &Address) -> Result<Option<ImageManifest>, RemoteError> {
        self.manifest(&self.tagged(address)?)
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
        let Some(manifest) = self.manifest(&self.name)? else {
            return Ok(None);
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

/// `entry`, if it is the one that was asked for: a tag can be moved.
pub(crate) fn answering(entry: Entry, address: &Address) -> Option<Entry> {
    entry.answers(address).then_some(entry)
}
