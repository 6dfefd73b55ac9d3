//! Archives of images, as `docker save`, `podman save` and skopeo write them.
//!
//! ```text
//! oci-layout, index.json, blobs/sha256/…            OCI's; Docker writes manifest.json beside these since version 25
//! manifest.json, <id>.json, <id>/layer.tar          Docker's before that, and podman's
//! ```
//!
//! An archive is taken to be hostile. No path in it becomes a path on disk: each of its files is kept as the blob of what it
//! hashes to, and links are followed in the table of its names only. What the two tables of contents name is checked by digest,
//! before anybody gets to see it.

mod index;
mod table;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rbuild_image::{Compression, Descriptor, Digest, Digester, ImageConfig, LayerMediaType};
use rbuild_layer::{LayerError, TarFile, visit_tar};

use crate::SourceError;
use crate::archive::{BLOCK_BYTES, Packing, clamp, read_full};

/// More files than this are refused; each is remembered.
const MAX_FILES: usize = 100_000;
/// A larger document is refused: it is read into memory.
const MAX_DOCUMENT_BYTES: u64 = rbuild_image::MAX_DOCUMENT_BYTES as u64;
/// All documents together may have so many bytes, each counted as often as something names it: a small archive could name a
/// large one any number of times.
const MAX_DOCUMENTS_BYTES: u64 = 256 << 20;
/// Links to links are followed this far.
const MAX_LINKS: usize = 16;
/// Bytes that are copied at once.
const COPY_BYTES: usize = 256 << 10;

/// The files of an archive, kept as the blobs of an OCI layout.
#[derive(Debug)]
pub struct ImageArchive {
    name: String,
    layout: PathBuf,
    files: BTreeMap<Vec<u8>, Kept>,
    links: BTreeMap<Vec<u8>, Vec<u8>>,
    blobs: HashMap<Digest, u64>,
    /// Bytes of documents that were read.
    read: Cell<u64>,
}

/// A file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    digest: Digest,
    size: u64,
}

/// An image of an archive.
#[derive(Debug, Clone)]
pub struct ArchivedImage {
    /// What it is called there, as it stands there.
    pub names: BTreeSet<String>,
    /// Its manifest or index.
    pub head: Descriptor,
    /// The bytes of that, and of every manifest, config and statement below it that is there.
    pub documents: Vec<Vec<u8>>,
    /// Its image for each platform that is there.
    pub platforms: Vec<ArchivedPlatform>,
}

/// The image for one platform.
#[derive(Debug, Clone)]
pub struct ArchivedPlatform {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Its config.
    pub config: ImageConfig,
    /// Its layers, bottom first; their blobs are in the layout.
    pub layers: Vec<Descriptor>,
}

/// The bytes of `stream`, whatever it is packed with: gzip, bzip2, xz, zstd, nothing. One without any is an error.
pub fn unpacked<'a>(mut stream: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut first = vec![0; BLOCK_BYTES];
    let count = read_full(&mut stream, &mut first)?;
    if count == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty"));
    }
    first.truncate(count);
    Packing::of(&first).unpack(io::Cursor::new(first).chain(stream))
}

impl ImageArchive {
    /// Reads `tar`, which is not packed, to its end into the empty directory `layout`. `name` stands in messages.
    pub fn read(tar: impl Read, name: &str, layout: &Path) -> Result<Self, SourceError> {
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(file_error("create", &blobs))?;
        let mut archive = Self {
            name: name.to_owned(),
            layout: layout.to_owned(),
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            blobs: HashMap::new(),
            read: Cell::new(0),
        };
        visit_tar(tar, |path, file| archive.enter(&clamp(path), file)).map_err(
            |error| match error {
                Refusal::Tar(source) => SourceError::Unpack {
                    name: name.to_owned(),
                    source,
                },
                Refusal::Other(error) => error,
            },
        )?;
        Ok(archive)
    }

    /// The directory that was read into: an OCI layout as far as its blobs go.
    pub fn layout(&self) -> &Path {
        &self.layout
    }

    /// All images, complete and verified but for what their layers unpack to.
    pub fn images(&self) -> Result<Vec<ArchivedImage>, SourceError> {
        let mut images = match self.file(b"index.json") {
            Some(index) => self.indexed(index)?,
            None => Vec::new(),
        };
        match self.file(b"manifest.json") {
            Some(table) => self.tabled(table, &mut images)?,
            None if !images.is_empty() => {}
            None if self.file(b"repositories").is_some() => {
                return Err(self.wrong(
                    "it is of the form that Docker wrote before version 1.10: save the image again with a current one",
                ));
            }
            None => {
                return Err(self.wrong(
                    "there are no images in it: it has neither an index.json nor a manifest.json that names one",
                ));
            }
        }
        Ok(images)
    }

    fn enter(&mut self, path: &[u8], file: TarFile<'_>) -> Result<(), Refusal> {
        if self.files.len() + self.links.len() >= MAX_FILES {
            return Err(self.wrong("it has more than 100,000 files").into());
        }
        match file {
            TarFile::File { size, content } => {
                let kept = self.keep(size, content)?;
                if let Some(name) = path.strip_prefix(b"blobs/sha256/")
                    && name != kept.digest.hex().as_bytes()
                {
                    let name = String::from_utf8_lossy(name);
                    let reason = format!("blob {name} is damaged: it hashes to {}", kept.digest);
                    return Err(self.wrong(reason).into());
                }
                self.files.insert(path.to_owned(), kept);
            }
            TarFile::Symlink(target) => {
                let parent = match path.iter().rposition(|&byte| byte == b'/') {
                    Some(at) => &path[..=at],
                    None => b"",
                };
                let target = clamp(&[parent, target].concat());
                self.links.insert(path.to_owned(), target);
            }
            TarFile::Hardlink(target) => {
                self.links.insert(path.to_owned(), clamp(target));
            }
            TarFile::Other => {}
        }
        Ok(())
    }

    /// Writes a file's bytes under the name of their digest.
    fn keep(&mut self, size: u64, content: &mut dyn Read) -> Result<Kept, Refusal> {
        let blobs = self.layout.join("blobs/sha256");
        let partial = blobs.join("partial");
        let mut file = File::create(&partial).map_err(file_error("create", &partial))?;
        let mut digester = Digester::new();
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let count = content.read(&mut buffer).map_err(LayerError::Input)?;
            if count == 0 {
                break;
            }
            digester.update(&buffer[..count]);
            let written = file.write_all(&buffer[..count]);
            written.map_err(file_error("write", &partial))?;
        }
        let kept = Kept {
            digest: digester.finish(),
            size,
        };
        let target = blobs.join(kept.digest.hex());
        fs::rename(&partial, &target).map_err(file_error("rename", &partial))?;
        self.blobs.insert(kept.digest, size);
        Ok(kept)
    }

    /// The file of that name, through links.
    fn file(&self, path: &[u8]) -> Option<Kept> {
        let mut path = path;
        for _ in 0..MAX_LINKS {
            if let Some(kept) = self.files.get(path) {
                return Some(*kept);
            }
            path = self.links.get(path)?;
        }
        None
    }

    /// What a descriptor names.
    fn blob(&self, descriptor: &Descriptor) -> Result<Kept, SourceError> {
        let digest =
            Digest::try_from(descriptor.digest()).map_err(|error| self.wrong(error.to_string()))?;
        match self.blobs.get(&digest) {
            Some(&size) if size == descriptor.size() => Ok(Kept { digest, size }),
            Some(size) => Err(self.wrong(format!(
                "blob {digest} has {size} bytes instead of {}",
                descriptor.size()
            ))),
            None => Err(self.wrong(format!("blob {digest} is missing"))),
        }
    }

    fn open(&self, kept: Kept) -> Result<File, SourceError> {
        let path = self.layout.join("blobs/sha256").join(kept.digest.hex());
        File::open(&path).map_err(file_error("open", &path))
    }

    /// The bytes of something that is to be understood.
    fn document(&self, kept: Kept) -> Result<Vec<u8>, SourceError> {
        if kept.size > MAX_DOCUMENT_BYTES {
            let reason = format!("document {} has {} bytes: too many", kept.digest, kept.size);
            return Err(self.wrong(reason));
        }
        self.read.set(self.read.get() + kept.size);
        if self.read.get() > MAX_DOCUMENTS_BYTES {
            return Err(self.wrong("its documents are too many and too large"));
        }
        let mut bytes = Vec::new();
        let mut file = self.open(kept)?;
        file.read_to_end(&mut bytes)
            .map_err(|error| self.wrong(error.to_string()))?;
        Ok(bytes)
    }

    /// A config, which has to know these layers. What those that are packed unpack to is for who does it.
    fn config(&self, bytes: &[u8], layers: &[Descriptor]) -> Result<ImageConfig, SourceError> {
        let config =
            ImageConfig::from_json(bytes).map_err(|error| self.wrong(error.to_string()))?;
        let known = &config.rootfs.diff_ids;
        if known.len() != layers.len() {
            let (known, there) = (known.len(), layers.len());
            let reason = format!("a config knows {known} layers, and its manifest {there}");
            return Err(self.wrong(reason));
        }
        for (diff_id, layer) in known.iter().zip(layers) {
            let kind = layer.media_type().to_string();
            let Some(kind) = LayerMediaType::parse(&kind) else {
                return Err(self.wrong(format!("a layer is of the unknown type {kind}")));
            };
            let digest = layer.digest();
            if kind.compression == Compression::None && digest.to_string() != diff_id.0.to_string()
            {
                let reason = format!("layer {digest} is not {}, as its config says", diff_id.0);
                return Err(self.wrong(reason));
            }
        }
        Ok(config)
    }

    fn wrong(&self, reason: impl Into<String>) -> SourceError {
        SourceError::ImageArchive {
            name: self.name.clone(),
            reason: reason.into(),
        }
    }
}

/// Why a member is not taken.
enum Refusal {
    Tar(LayerError),
    Other(SourceError),
}

impl From<LayerError> for Refusal {
    fn from(error: LayerError) -> Self {
        Self::Tar(error)
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        Self::Other(error)
    }
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::File {
        action,
        path,
        source,
    }
}
