//! Small images as OCI layouts, byte for byte the same each time.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rbuild_image::{Digest, ImageConfig, ImageError, RuntimeConfig, canonical_json, media_type};
use serde_json::{Value, json};

/// How the layers of a made image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerCompression {
    /// Plain tars.
    None,
    /// gzip.
    #[default]
    Gzip,
    /// zstd.
    Zstd,
}

/// Makes an image from lists of files.
#[derive(Debug, Clone, Default)]
pub struct ImageMaker {
    layers: Vec<Vec<u8>>,
    compression: LayerCompression,
    runtime: RuntimeConfig,
    platforms: Vec<(String, String)>,
}

/// An OCI image layout on disk.
#[derive(Debug, Clone)]
pub struct ImageLayout {
    /// Its directory.
    pub dir: PathBuf,
    /// The image's tag in `index.json`.
    pub tag: String,
    /// The digest of the manifest, or of the index of an image for several platforms.
    pub digest: Digest,
    /// The manifests' digests, one for each platform.
    pub manifests: Vec<Digest>,
    /// The digests of the layers' blobs, bottom first.
    pub layers: Vec<Digest>,
}

impl ImageMaker {
    /// No layers, for linux/amd64.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer of regular files (mode 0644; parents are made). A name like `dir/.wh.file` is a whiteout.
    #[must_use]
    pub fn layer(self, files: &[(&str, &[u8])]) -> Self {
        self.layer_tar(tar_of(files).expect("a tar in memory"))
    }

    /// Adds a layer that is this tar.
    #[must_use]
    pub fn layer_tar(mut self, tar: Vec<u8>) -> Self {
        self.layers.push(tar);
        self
    }

    /// Compresses the layers so.
    #[must_use]
    pub fn compression(mut self, compression: LayerCompression) -> Self {
        self.compression = compression;
        self
    }

    /// What a container is started with.
    #[must_use]
    pub fn runtime(mut self, runtime: RuntimeConfig) -> Self {
        self.runtime = runtime;
        self
    }

    /// Makes an index of one image for each `(os, architecture)`; their configs differ in it.
    #[must_use]
    pub fn platforms(mut self, platforms: &[(&str, &str)]) -> Self {
        let owned =
            |(os, architecture): &(&str, &str)| ((*os).to_owned(), (*architecture).to_owned());
        self.platforms = platforms.iter().map(owned).collect();
        self
    }

    /// Writes the image to `dir`, which is made, as `tag`.
    pub fn write(&self, dir: &Path, tag: &str) -> io::Result<ImageLayout> {
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs)?;
        std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut layers = Vec::new();
        let mut digests = Vec::new();
        for tar in &self.layers {
            let (kind, blob) = compressed(self.compression, tar)?;
            let descriptor = put(&blobs, kind, &blob)?;
            digests.push(Digest::sha256_of(&blob));
            layers.push(descriptor);
        }
        let default = [("linux".to_owned(), "amd64".to_owned())];
        let platforms = match self.platforms.as_slice() {
            [] => &default,
            several => several,
        };
        let mut entries = Vec::new();
        for (os, architecture) in platforms {
            let mut entry = self.write_image(&blobs, os, architecture, &layers)?;
            entry["platform"] = json!({"architecture": architecture, "os": os});
            entries.push(entry);
        }
        let manifests = entries.iter().map(digest_of).collect();
        let mut root = if self.platforms.is_empty() {
            entries.remove(0)
        } else {
            let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
            put(&blobs, media_type::OCI_INDEX, &bytes_of(&index)?)?
        };
        root["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let digest = digest_of(&root);
        let index =
            json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [root]});
        std::fs::write(dir.join("index.json"), bytes_of(&index)?)?;
        Ok(ImageLayout {
            dir: dir.to_owned(),
            tag: tag.to_owned(),
            digest,
            manifests,
            layers: digests,
        })
    }

    fn write_image(
        &self,
        blobs: &Path,
        os: &str,
        architecture: &str,
        layers: &[Value],
    ) -> io::Result<Value> {
        let mut config = ImageConfig {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            created: Some("1970-01-01T00:00:00Z".to_owned()),
            config: self.runtime.clone(),
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = self
            .layers
            .iter()
            .map(|tar| rbuild_image::DiffId(Digest::sha256_of(tar)))
            .collect();
        let config = put(blobs, media_type::OCI_CONFIG, &bytes_of(&config)?)?;
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers});
        put(blobs, media_type::OCI_MANIFEST, &bytes_of(&manifest)?)
    }
}

impl ImageLayout {
    /// The bytes of one of its blobs.
    pub fn blob(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        std::fs::read(self.dir.join("blobs/sha256").join(digest.hex()))
    }
}

fn bytes_of<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    canonical_json(value).map_err(|error: ImageError| io::Error::other(error))
}

fn digest_of(descriptor: &Value) -> Digest {
    let text = descriptor["digest"].as_str().unwrap_or_default();
    text.parse().expect("we wrote it")
}

/// Writes a blob; gives its descriptor.
fn put(blobs: &Path, kind: &str, bytes: &[u8]) -> io::Result<Value> {
    let digest = Digest::sha256_of(bytes);
    std::fs::write(blobs.join(digest.hex()), bytes)?;
    Ok(json!({"mediaType": kind, "digest": digest, "size": bytes.len()}))
}

fn compressed(how: LayerCompression, tar: &[u8]) -> io::Result<(&'static str, Vec<u8>)> {
    Ok(match how {
        LayerCompression::None => (media_type::OCI_LAYER, tar.to_vec()),
        LayerCompression::Gzip => {
            let mut encoder =
                flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar)?;
            (media_type::OCI_LAYER_GZIP, encoder.finish()?)
        }
        LayerCompression::Zstd => (media_type::OCI_LAYER_ZSTD, zstd::encode_all(tar, 3)?),
    })
}

fn tar_of(files: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut made = std::collections::BTreeSet::new();
    for (path, content) in files {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        for parent in parents.filter(|parent| !parent.is_empty()) {
            if made.insert(parent.to_owned()) {
                let mut header = header_of(0o755, 0);
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, format!("{parent}/"), io::empty())?;
            }
        }
        let mut header = header_of(0o644, content.len() as u64);
        builder.append_data(&mut header, path, *content)?;
    }
    builder.into_inner()
}

fn header_of(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
