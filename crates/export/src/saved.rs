//! `docker save`: images of the store as they are, with the very documents that they have there, so that they keep their digests.
//!
//! ```text
//! oci-layout  index.json  blobs/      an OCI image layout, with a name for each name
//! manifest.json                       Docker's table of contents: one platform of each image
//! ```
//!
//! A layer that was made here is the plain tar that its manifest names, others are the blobs that they came as.

use std::collections::BTreeSet;
use std::io::Write;

use rbuild_image::{Descriptor, Digest, Reference, canonical_json, media_type};
use serde_json::{Value, json};

use crate::assemble::{BuiltLayer, Document};
use crate::blobs::{Blobs, digest_of};
use crate::error::ExportError;
use crate::layout::{Before, DockerEntry, TarSink, blob_path, index_json, put_bytes, put_document};
use crate::layout::{LayoutSink as _, put_layout_file};

/// An image as it is saved.
#[derive(Debug, Clone)]
pub struct SavedImage {
    /// Its names in the archive.
    pub names: Vec<Reference>,
    /// Its manifest or index.
    pub head: Document,
    /// What there is below: manifests, configs, statements.
    pub documents: Vec<Document>,
    /// The layers of all its platforms, each as it is here and as its manifest names it.
    pub layers: Vec<(BuiltLayer, Descriptor)>,
    /// The config, and the layers' blobs, of the platform that stands in Docker's table.
    pub table: (Digest, Vec<Digest>),
}

/// Writes `images` as a tar stream. What two of them have in common is in it once.
pub fn write_saved(
    blobs: &Blobs<'_>,
    images: &[SavedImage],
    sink: impl Write,
) -> Result<(), ExportError> {
    let mut tar = TarSink::new(sink);
    for directory in ["blobs", "blobs/sha256"] {
        tar.directory(directory)?;
    }
    put_layout_file(&mut tar)?;
    let mut written = BTreeSet::new();
    let mut entries: Vec<Value> = Vec::new();
    let mut table = Vec::new();
    for image in images {
        for (layer, descriptor) in &image.layers {
            let digest = digest_of(descriptor)?;
            if written.insert(digest) {
                tar.file(&blob_path(&digest), descriptor.size(), &mut |out| {
                    blobs.copy(layer, descriptor, out)
                })?;
            }
        }
        for document in image.documents.iter().chain([&image.head]) {
            put_document(&mut tar, &mut written, document)?;
        }
        let described =
            serde_json::to_value(&image.head.descriptor).expect("a descriptor is plain JSON");
        let mut index = index_json(&described, &image.names, Before::Nothing);
        if let Value::Array(named) = index["manifests"].take() {
            entries.extend(named);
        }
        let (config, layers) = &image.table;
        table.push(DockerEntry::new(config, layers, &image.names));
    }
    put_bytes(&mut tar, "manifest.json", &canonical_json(&table)?)?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": entries,
    });
    put_bytes(&mut tar, "index.json", &canonical_json(&index)?)?;
    tar.finish()
}
