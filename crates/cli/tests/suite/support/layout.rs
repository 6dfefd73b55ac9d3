//! An image as an OCI layout directory.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// An OCI layout with one image.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// `index.json`.
    pub(crate) fn index(&self) -> Value {
        read(&self.dir.join("index.json"))
    }

    /// The image's manifest.
    pub(crate) fn manifest(&self) -> Value {
        read(&self.blob(&self.index()["manifests"][0]["digest"]))
    }

    /// The image's config.
    pub(crate) fn config(&self) -> Value {
        read(&self.blob(&self.manifest()["config"]["digest"]))
    }

    /// Where a blob is.
    pub(crate) fn blob(&self, digest: &Value) -> PathBuf {
        let digest = digest.as_str().expect("a digest");
        self.dir.join("blobs").join(digest.replace(':', "/"))
    }
}

fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).expect("JSON")
}
