//! OCI image layouts and Docker archives (OCI image-spec, image-layout.md; `docker save`'s format), as a directory or a
//! tar stream.
//!
//! ```text
//! oci-layout
//! index.json            the images, with their names
//! blobs/sha256/<hex>    index, manifests, configs, layers
//! manifest.json         Docker's table of contents: only in type=docker
//! ```

mod sink;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use rbuild_image::{Digest, Reference, canonical_json, media_type};
use serde::Serialize;
use serde_json::{Value, json};

use self::sink::DirectorySink;
pub(crate) use self::sink::{Before, LayoutSink, TarSink};
use crate::assemble::{Document, rfc3339_seconds};
use crate::attestations::Attested;
use crate::blobs::{Blobs, LayerForm, TravellingLayer, digest_of, named_only};
use crate::error::ExportError;
use crate::images::{BuiltImages, Exported, Written};

/// What containerd calls an image by.
const NAME_ANNOTATION: &str = "io.containerd.image.name";
/// What other tools call an image of a layout by: a tag.
const TAG_ANNOTATION: &str = "org.opencontainers.image.ref.name";
/// The tag of an image without a name in a directory.
const DEFAULT_TAG: &str = "latest";

/// What the layout's index says of its images.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// What they are called by.
    pub names: &'a [Reference],
    /// When they were written, in seconds.
    pub created: SystemTime,
}

/// Which tables of contents an archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// An OCI image layout.
    Oci,
    /// One that `docker load` takes as well: a single image.
    Docker,
}

/// Writes `images` as a tar stream.
pub fn write_archive(
    blobs: &Blobs<'_>,
    images: &BuiltImages,
    labels: Labels<'_>,
    kind: ArchiveKind,
    form: LayerForm,
    sink: impl Write,
) -> Result<Exported, ExportError> {
    let mut tar = TarSink::new(sink);
    let exported = write_layout(blobs, images, labels, kind, form, &mut tar)?;
    tar.finish()?;
    Ok(exported)
}

/// Writes `images` as a directory, adding to a layout that is there.
pub fn write_directory(
    blobs: &Blobs<'_>,
    images: &BuiltImages,
    labels: Labels<'_>,
    form: LayerForm,
    directory: &Path,
) -> Result<Exported, ExportError> {
    let mut sink = DirectorySink {
        root: directory.to_path_buf(),
    };
    write_layout(blobs, images, labels, ArchiveKind::Oci, form, &mut sink)
}

fn write_layout(
    blobs: &Blobs<'_>,
    images: &BuiltImages,
    labels: Labels<'_>,
    kind: ArchiveKind,
    form: LayerForm,
    sink: &mut dyn LayoutSink,
) -> Result<Exported, ExportError> {
    if let (ArchiveKind::Docker, None) = (kind, images.single()) {
        return Err(ExportError::Unsupported(
            "type=docker holds one image, no index: use type=oci, or build with one --platform and without BUILDKIT_MULTI_PLATFORM"
                .to_owned(),
        ));
    }
    for directory in ["blobs", "blobs/sha256"] {
        sink.directory(directory)?;
    }
    put_layout_file(sink)?;
    let mut written = BTreeSet::new();
    let mut images_written = Vec::new();
    let mut docker = Vec::new();
    for image in images {
        let layers = blobs.prepare(image, form)?;
        for (layer, TravellingLayer { descriptor, .. }) in image.layers.iter().zip(&layers) {
            let digest = digest_of(descriptor)?;
            if named_only(layer, form)?.is_none() && written.insert(digest) {
                sink.file(&blob_path(&digest), descriptor.size(), &mut |out| {
                    blobs.copy(layer, descriptor, out)
                })?;
            }
        }
        let config = images.config(image, &layers)?;
        let manifest = images.manifest(image, &config, &layers)?;
        put_document(sink, &mut written, &config)?;
        put_document(sink, &mut written, &manifest)?;
        let attested = images.attestations(image, &manifest)?;
        for document in attested.iter().flat_map(Attested::documents) {
            put_document(sink, &mut written, document)?;
        }
        docker.push(docker_entry(&config, &layers, labels.names)?);
        images_written.push(Written {
            manifest: manifest.descriptor,
            config: config.digest(),
            platform: image.platform.clone(),
            attestations: attested.map(|attested| attested.manifest.descriptor),
        });
    }
    let mut exported = images
        .head(&images_written)?
        .finish(|index| put_document(sink, &mut written, index))?;
    exported.created = Some(rfc3339_seconds(labels.created));
    if kind == ArchiveKind::Docker {
        put_bytes(sink, "manifest.json", &canonical_json(&docker)?)?;
    }
    let index = index_json(&exported.described(), labels.names, sink.before());
    put_bytes(sink, "index.json", &canonical_json(&index)?)?;
    Ok(exported)
}

/// The file that says what this is.
pub(crate) fn put_layout_file(sink: &mut dyn LayoutSink) -> Result<(), ExportError> {
    put_bytes(sink, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// An image in Docker's manifest.json.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl DockerEntry {
    pub(crate) fn new(config: &Digest, layers: &[Digest], names: &[Reference]) -> Self {
        let tags: Vec<String> = names.iter().map(Reference::familiar).collect();
        Self {
            config: blob_path(config),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: layers.iter().map(blob_path).collect(),
        }
    }
}

fn docker_entry(
    config: &Document,
    layers: &[TravellingLayer],
    names: &[Reference],
) -> Result<DockerEntry, ExportError> {
    let layers = layers.iter().map(|layer| digest_of(&layer.descriptor));
    let layers: Vec<Digest> = layers.collect::<Result<_, _>>()?;
    Ok(DockerEntry::new(&config.digest(), &layers, names))
}

/// The layout's index.json: one entry for each name, as containerd, skopeo and podman look for them.
/// Other images of a directory that was there stay. Without a name an image is the directory's `latest`.
pub(crate) fn index_json(image: &Value, names: &[Reference], before: Before) -> Value {
    let annotated = |annotations: &[(&str, &str)]| {
        let mut entry = image.clone();
        for (key, value) in annotations {
            entry["annotations"][key] = json!(value);
        }
        entry
    };
    let entry_of = |name: &Reference| {
        let tag = name.tag().unwrap_or(DEFAULT_TAG);
        annotated(&[(NAME_ANNOTATION, &name.to_string()), (TAG_ANNOTATION, tag)])
    };
    let entries: Vec<Value> = match (&before, names) {
        (Before::Nothing, []) => vec![image.clone()],
        (Before::Images(_), []) => vec![annotated(&[(TAG_ANNOTATION, DEFAULT_TAG)])],
        (_, names) => names.iter().map(entry_of).collect(),
    };
    let mut all = match before {
        Before::Nothing => Vec::new(),
        Before::Images(known) => known,
    };
    all.retain(|old| !entries.iter().any(|new| is_same_name(old, new)));
    all.extend(entries);
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": all })
}

/// Whether two entries of an index are called the same.
fn is_same_name(old: &Value, new: &Value) -> bool {
    let called = |entry: &Value, key: &str| entry["annotations"][key].clone();
    if called(old, NAME_ANNOTATION) != called(new, NAME_ANNOTATION) {
        return false;
    }
    match (called(old, NAME_ANNOTATION), called(old, TAG_ANNOTATION)) {
        (Value::Null, Value::Null) => old["digest"] == new["digest"],
        (Value::Null, tag) => tag == called(new, TAG_ANNOTATION),
        (_, _) => true,
    }
}

pub(crate) fn put_document(
    sink: &mut dyn LayoutSink,
    written: &mut BTreeSet<Digest>,
    document: &Document,
) -> Result<(), ExportError> {
    if written.insert(document.digest()) {
        put_bytes(sink, &blob_path(&document.digest()), &document.bytes)?;
    }
    Ok(())
}

pub(crate) fn put_bytes(
    sink: &mut dyn LayoutSink,
    path: &str,
    bytes: &[u8],
) -> Result<(), ExportError> {
    sink.file(path, bytes.len() as u64, &mut |out| {
        out.write_all(bytes).map_err(ExportError::Archive)
    })
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
