//! OCI image layouts and Docker archives (OCI image-spec, image-layout.md; `docker save`'s format), as a directory or a
//! tar stream.
//!
//! ```text
//! oci-layout
//! index.json            the images, with their names
//! blobs/sha256/<hex>    index, manifests, configs, layers
//! manifest.json         Docker's table of contents: only in type=docker
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rbuild_image::{Digest, Reference, canonical_json, media_type};
use serde::Serialize;
use serde_json::{Value, json};

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

/// Where the files of a layout go.
pub(crate) trait LayoutSink {
    /// What stays of the layout that is there.
    fn before(&self) -> Before;

    /// Makes a directory.
    fn directory(&mut self, path: &str) -> Result<(), ExportError>;
    /// Writes a file of `size` bytes, which `fill` writes to what it is given.
    fn file(
        &mut self,
        path: &str,
        size: u64,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError>;
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

/// What was in a place before a layout is written there.
pub(crate) enum Before {
    /// Nothing: a stream has no past.
    Nothing,
    /// A directory, whose index names these images, if any.
    Images(Vec<Value>),
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

/// A tar stream. Nothing in it depends on when or where it is written.
pub(crate) struct TarSink<W> {
    sink: W,
}

impl<W: Write> TarSink<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink }
    }

    pub(crate) fn finish(mut self) -> Result<(), ExportError> {
        /// Two blocks of zeros end a tar (POSIX, pax).
        const END: [u8; 1024] = [0; 1024];
        self.sink.write_all(&END).map_err(ExportError::Archive)?;
        self.sink.flush().map_err(ExportError::Archive)
    }
}

impl<W: Write> LayoutSink for TarSink<W> {
    fn before(&self) -> Before {
        Before::Nothing
    }

    fn directory(&mut self, path: &str) -> Result<(), ExportError> {
        let mut header = header(&format!("{path}/"), tar::EntryType::Directory, 0)?;
        header.set_mode(0o755);
        header.set_cksum();
        self.sink
            .write_all(header.as_bytes())
            .map_err(ExportError::Archive)
    }

    fn file(
        &mut self,
        path: &str,
        size: u64,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        const BLOCK_BYTES: u64 = 512;
        let header = header(path, tar::EntryType::Regular, size)?;
        self.sink
            .write_all(header.as_bytes())
            .map_err(ExportError::Archive)?;
        let mut counted = Counted {
            sink: &mut self.sink,
            written: 0,
        };
        fill(&mut counted)?;
        if counted.written != size {
            let message = format!("{path}: {} bytes instead of {size}", counted.written);
            return Err(ExportError::Archive(io::Error::other(message)));
        }
        let padding = (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES;
        let zeros = [0; BLOCK_BYTES as usize];
        self.sink
            .write_all(&zeros[..padding as usize])
            .map_err(ExportError::Archive)
    }
}

/// A header on which nothing depends but its arguments.
fn header(path: &str, kind: tar::EntryType, size: u64) -> Result<tar::Header, ExportError> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).map_err(ExportError::Archive)?;
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

struct Counted<W> {
    sink: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A directory; each file appears whole or not at all.
struct DirectorySink {
    root: PathBuf,
}

impl LayoutSink for DirectorySink {
    fn before(&self) -> Before {
        let index = fs::read(self.root.join("index.json")).ok();
        let index = index.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let images = index.map(|mut index: Value| index["manifests"].take());
        Before::Images(match images {
            Some(Value::Array(images)) => images,
            _ => Vec::new(),
        })
    }

    fn directory(&mut self, path: &str) -> Result<(), ExportError> {
        let target = self.root.join(path);
        fs::create_dir_all(&target).map_err(ExportError::file("create", &target))
    }

    fn file(
        &mut self,
        path: &str,
        size: u64,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let target = self.root.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(ExportError::file("create", parent))?;
        }
        let is_blob = path.starts_with("blobs/");
        if is_blob && fs::metadata(&target).is_ok_and(|found| found.len() == size) {
            return Ok(());
        }
        let partial = target.with_extension("partial");
        let created = File::create(&partial).map_err(ExportError::file("create", &partial))?;
        let mut buffered = io::BufWriter::new(created);
        fill(&mut buffered)?;
        buffered
            .flush()
            .map_err(ExportError::file("write", &partial))?;
        fs::rename(&partial, &target).map_err(ExportError::file("rename", &partial))
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
