//! OCI layout directories as a source of images (OCI image-spec, image-layout.md).
//!
//! ```text
//! <dir>/oci-layout                  {"imageLayoutVersion": "1.0.0"}
//! <dir>/index.json                  tags are annotations of its manifests
//! <dir>/blobs/sha256/<hex>
//! ```

mod reference;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_image::{
    Descriptor, Digest, Digester, ImageIndex, ImageManifest, ManifestKind, Platform,
};
use rustix::fs::OFlags;

pub use self::reference::LayoutReference;
use crate::SourceError;
use crate::context::{open_beneath, open_directory};

/// A larger index or manifest is refused: it is read into memory.
const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Indexes in indexes are followed this deep.
const MAX_DEPTH: usize = 8;
/// Annotations that hold an image's name or tag.
const NAME_ANNOTATIONS: [&str; 2] = [
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
];

/// An OCI layout directory.
#[derive(Debug)]
pub struct OciLayout {
    root: OwnedFd,
    path: PathBuf,
}

/// An image of a layout.
#[derive(Debug, Clone)]
pub struct LayoutImage {
    /// The platform's manifest.
    pub descriptor: Descriptor,
    /// Its bytes, verified.
    pub manifest_bytes: Vec<u8>,
    /// Its meaning.
    pub manifest: ImageManifest,
    /// The config's bytes, verified.
    pub config_bytes: Vec<u8>,
}

impl OciLayout {
    /// The layout at `path`.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let root = open_directory(path).map_err(|source| SourceError::File {
            action: "open OCI layout",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// The image that `tag` and `digest` name, for `platform`. Without either: the only one, or that called `latest`.
    pub fn resolve(
        &self,
        tag: Option<&str>,
        digest: Option<&Digest>,
        platform: &Platform,
    ) -> Result<LayoutImage, SourceError> {
        let index = self.index("index.json", &self.document("index.json")?)?;
        let missing = || SourceError::OciLayoutImage {
            path: self.path.clone(),
            what: match (digest, tag) {
                (Some(digest), _) => digest.to_string(),
                (None, Some(tag)) => format!("tag {tag}"),
                (None, None) => "tag latest".to_owned(),
            },
        };
        let manifests = index.manifests();
        let chosen: Vec<&Descriptor> = match (digest, tag) {
            (Some(digest), _) => manifests
                .iter()
                .filter(|found| is_digest(found, digest))
                .take(1)
                .collect(),
            (None, Some(tag)) => manifests
                .iter()
                .filter(|found| has_name(found, tag))
                .collect(),
            (None, None) => {
                let latest: Vec<_> = manifests
                    .iter()
                    .filter(|found| has_name(found, "latest"))
                    .collect();
                if latest.is_empty() {
                    manifests.iter().collect()
                } else {
                    latest
                }
            }
        };
        if chosen.is_empty() {
            // A digest may name what stands below an index.
            let Some(digest) = digest else {
                return Err(missing());
            };
            let all: Vec<&Descriptor> = manifests.iter().collect();
            let found = self.find_digest(&all, digest, 0)?.ok_or_else(missing)?;
            return self.select(&[&found], platform, 0)?.ok_or_else(missing);
        }
        if digest.is_none()
            && tag.is_none()
            && chosen.len() > 1
            && (1..chosen.len()).any(|at| {
                let platform = chosen[at].platform();
                chosen[..at]
                    .iter()
                    .any(|other| other.platform() == platform)
            })
        {
            return Err(self.wrong(
                "it holds several images and none is called latest: name one by tag or digest",
            ));
        }
        self.select(&chosen, platform, 0)?
            .ok_or_else(|| SourceError::OciLayoutImage {
                path: self.path.clone(),
                what: format!("an image for {platform}"),
            })
    }

    /// The bytes of a blob: what is read is verified, an error stands in the place of a wrong end.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<VerifiedBlob, SourceError> {
        let digest = self.digest_of(descriptor)?;
        let path = format!("blobs/sha256/{}", digest.hex());
        Ok(VerifiedBlob {
            file: self.file(&path)?,
            size: descriptor.size(),
            expected: digest,
            digester: Some(Digester::new()),
        })
    }

    fn find_digest(
        &self,
        among: &[&Descriptor],
        digest: &Digest,
        depth: usize,
    ) -> Result<Option<Descriptor>, SourceError> {
        for found in among {
            if is_digest(found, digest) {
                return Ok(Some((*found).clone()));
            }
            if depth < MAX_DEPTH && kind(found) == Some(ManifestKind::Index) {
                let index = self.index("an index", &self.verified_document(found)?)?;
                let below: Vec<&Descriptor> = index.manifests().iter().collect();
                if let Some(found) = self.find_digest(&below, digest, depth + 1)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The best of `among` for `platform`.
    fn select(
        &self,
        among: &[&Descriptor],
        platform: &Platform,
        depth: usize,
    ) -> Result<Option<LayoutImage>, SourceError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("its indexes are nested too deep"));
        }
        // The one image that is named is meant, whatever its platform.
        if let ([only], 0) = (among, depth)
            && kind(only) == Some(ManifestKind::Image)
        {
            return self.image(only).map(Some);
        }
        let mut fitting: Vec<(u32, &Descriptor)> = among
            .iter()
            .filter_map(|found| {
                let distance = match found.platform() {
                    Some(offered) => Platform::from(offered).distance_to(platform)?,
                    None => 0,
                };
                Some((distance, *found))
            })
            .collect();
        fitting.sort_by_key(|(distance, _)| *distance);
        for (_, found) in fitting {
            match kind(found) {
                Some(ManifestKind::Image) => return self.image(found).map(Some),
                Some(ManifestKind::Index) => {
                    let index = self.index("an index", &self.verified_document(found)?)?;
                    let below: Vec<&Descriptor> = index.manifests().iter().collect();
                    if let Some(image) = self.select(&below, platform, depth + 1)? {
                        return Ok(Some(image));
                    }
                }
                None => {}
            }
        }
        Ok(None)
    }

    fn image(&self, descriptor: &Descriptor) -> Result<LayoutImage, SourceError> {
        let manifest_bytes = self.verified_document(descriptor)?;
        let manifest: ImageManifest = self.parse("a manifest", &manifest_bytes)?;
        let config_bytes = self.verified_document(manifest.config())?;
        Ok(LayoutImage {
            descriptor: descriptor.clone(),
            manifest_bytes,
            manifest,
            config_bytes,
        })
    }

    fn verified_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        if descriptor.size() > MAX_DOCUMENT_BYTES {
            return Err(self.wrong("a manifest or config is larger than 16 MiB"));
        }
        let mut bytes = Vec::new();
        self.blob(descriptor)?
            .read_to_end(&mut bytes)
            .map_err(|error| self.wrong(format!("blob {}: {error}", descriptor.digest())))?;
        Ok(bytes)
    }

    fn document(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        self.file(path)?
            .take(MAX_DOCUMENT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| self.wrong(format!("{path}: {error}")))?;
        Ok(bytes)
    }

    fn file(&self, path: &str) -> Result<File, SourceError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        open_beneath(self.root.as_fd(), path.as_bytes(), flags)
            .map(File::from)
            .map_err(|error| SourceError::File {
                action: "open",
                path: self.path.join(path),
                source: error.into(),
            })
    }

    fn parse<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        bytes: &[u8],
    ) -> Result<T, SourceError> {
        serde_json::from_slice(bytes).map_err(|error| self.wrong(format!("{what}: {error}")))
    }

    fn index(&self, what: &str, bytes: &[u8]) -> Result<ImageIndex, SourceError> {
        rbuild_image::read_index(bytes).map_err(|error| self.wrong(format!("{what}: {error}")))
    }

    fn digest_of(&self, descriptor: &Descriptor) -> Result<Digest, SourceError> {
        Digest::try_from(descriptor.digest()).map_err(|error| self.wrong(error.to_string()))
    }

    fn wrong(&self, reason: impl Into<String>) -> SourceError {
        SourceError::OciLayout {
            path: self.path.clone(),
            reason: reason.into(),
        }
    }
}

fn kind(descriptor: &Descriptor) -> Option<ManifestKind> {
    ManifestKind::of_media_type(descriptor.media_type().as_ref())
}

fn is_digest(descriptor: &Descriptor, digest: &Digest) -> bool {
    Digest::try_from(descriptor.digest()).is_ok_and(|found| found == *digest)
}

/// Whether an annotation is `tag`, or a whole name that ends in it.
fn has_name(descriptor: &Descriptor, tag: &str) -> bool {
    let Some(annotations) = descriptor.annotations() else {
        return false;
    };
    NAME_ANNOTATIONS
        .iter()
        .filter_map(|key| annotations.get(*key))
        .any(|name| name == tag || name.rsplit_once(':').is_some_and(|(_, last)| last == tag))
}

/// A blob that is verified while it is read: the read that reaches its end fails if digest or size are wrong.
pub struct VerifiedBlob {
    file: File,
    size: u64,
    expected: Digest,
    /// `None` once the end was reached.
    digester: Option<Digester>,
}

impl std::fmt::Debug for VerifiedBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedBlob")
            .field("expected", &self.expected)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Read for VerifiedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(digester) = &mut self.digester else {
            return Ok(0);
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let left = self.size - digester.written();
        let wanted = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX))
            .max(1);
        let count = self.file.read(&mut buffer[..wanted])?;
        if left == 0 && count > 0 {
            return Err(io::Error::other(format!(
                "it is larger than its {} bytes",
                self.size
            )));
        }
        if count > 0 {
            digester.update(&buffer[..count]);
            return Ok(count);
        }
        if left > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it ends {left} bytes too early"),
            ));
        }
        let found = self
            .digester
            .take()
            .expect("the end is reached once")
            .finish();
        if found == self.expected {
            Ok(0)
        } else {
            Err(io::Error::other(format!("it hashes to {found}")))
        }
    }
}
