//! Where everything lies under the root.

use std::path::{Path, PathBuf};

use rbuild_image::{Digest, LayerId};

/// Turns names into paths; knows nothing of what is there.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("rbuild.db")
    }

    pub(crate) fn oci_layout(&self) -> PathBuf {
        self.root.join("oci-layout")
    }

    pub(crate) fn oci_index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, id: &LayerId) -> PathBuf {
        self.layers().join(id.to_string())
    }

    pub(crate) fn mounts(&self) -> PathBuf {
        self.root.join("mounts")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub(crate) fn contexts(&self) -> PathBuf {
        self.root.join("contexts")
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("tmp/trash")
    }

    /// Every directory, parents first.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        vec![
            self.root.clone(),
            self.root.join("blobs"),
            self.blobs(),
            self.layers(),
            self.mounts(),
            self.containers(),
            self.contexts(),
            self.locks(),
            self.tmp(),
            self.trash(),
        ]
    }
}
