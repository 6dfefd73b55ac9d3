//! The result of a build as an OCI layout: its images, their configs and their layers.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use rbuild_image::Digest;
use rbuild_layer::decompress;
use serde_json::Value;

/// An OCI layout directory with one image, or one index.
pub(super) struct Layout {
    directory: PathBuf,
    head: Digest,
}

/// An image of a layout.
pub(super) struct Image {
    /// `linux/arm64`; empty for a lone image.
    pub(super) platform: String,
    pub(super) manifest: Value,
    pub(super) config: Value,
}

impl Layout {
    pub(super) fn open(directory: PathBuf) -> anyhow::Result<Self> {
        let index = std::fs::read(directory.join("index.json")).context("a build left no image")?;
        let index: Value = serde_json::from_slice(&index)?;
        let head = digest(&index["manifests"][0])?;
        Ok(Self { directory, head })
    }

    /// What stands above all.
    pub(super) fn digest(&self) -> Digest {
        self.head
    }

    /// The images; attestations are none.
    pub(super) fn images(&self) -> anyhow::Result<Vec<Image>> {
        let head = self.document(&self.head)?;
        let Some(listed) = head["manifests"].as_array() else {
            return Ok(vec![self.image(String::new(), head)?]);
        };
        let mut images = Vec::new();
        for entry in listed {
            let platform = &entry["platform"];
            let text = |key: &str| platform[key].as_str().unwrap_or_default();
            if text("os") == "unknown" {
                continue;
            }
            let mut name = format!("{}/{}", text("os"), text("architecture"));
            if !text("variant").is_empty() {
                name = format!("{name}/{}", text("variant"));
            }
            images.push(self.image(name, self.document(&digest(entry)?)?)?);
        }
        Ok(images)
    }

    fn image(&self, platform: String, manifest: Value) -> anyhow::Result<Image> {
        let config = self.document(&digest(&manifest["config"])?)?;
        Ok(Image {
            platform,
            manifest,
            config,
        })
    }

    fn document(&self, digest: &Digest) -> anyhow::Result<Value> {
        let mut text = Vec::new();
        self.blob(digest)?.read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The tar of a layer.
    pub(super) fn layer(&self, descriptor: &Value) -> anyhow::Result<impl Read + use<>> {
        Ok(decompress(self.blob(&digest(descriptor)?)?)?)
    }

    fn blob(&self, digest: &Digest) -> anyhow::Result<File> {
        let path = self.directory.join("blobs/sha256").join(digest.hex());
        File::open(&path).with_context(|| format!("failed to open {}", path.display()))
    }
}

fn digest(descriptor: &Value) -> anyhow::Result<Digest> {
    match descriptor["digest"].as_str() {
        Some(text) => Ok(text.parse()?),
        None => bail!("a descriptor of the build's result has no digest"),
    }
}
