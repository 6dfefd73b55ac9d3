//! What comes from elsewhere: images, contexts, git repositories, files from the web.

use std::sync::Arc;

use rbuild_image::{Descriptor, DiffId, Digest, ImageConfig};

/// An image whose manifest and config are known; its layers may still be far away.
#[derive(Debug, Clone)]
pub struct ResolvedImage {
    /// Where the layers come from.
    pub origin: ImageOrigin,
    /// Digest of the platform's manifest.
    pub manifest: Digest,
    /// The config, as pulled.
    pub config: ImageConfig,
    /// The layers' blobs, bottom first, as many as `config.rootfs.diff_ids`.
    pub layers: Vec<Descriptor>,
}

/// Where an image's blobs are to be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageOrigin {
    /// The local store holds what it needs, or knows the registry the image came from: the complete reference.
    Store(String),
    /// A registry: the complete reference, as [`rbuild_image::Reference`] writes it.
    Registry(String),
    /// An OCI layout directory on this machine.
    OciLayout(String),
}

/// An image as an operation: identified by its layers, so a retagged image is the same vertex.
#[derive(Debug, Clone)]
pub struct ImageSource {
    /// What was resolved.
    pub image: Arc<ResolvedImage>,
}

impl ImageSource {
    /// The layers' diffIDs, bottom first: the identity of this operation.
    pub fn diff_ids(&self) -> &[DiffId] {
        &self.image.config.rootfs.diff_ids
    }
}

impl PartialEq for ImageSource {
    fn eq(&self, other: &Self) -> bool {
        self.diff_ids() == other.diff_ids() && self.image.origin == other.image.origin
    }
}

impl Eq for ImageSource {}

impl std::hash::Hash for ImageSource {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.diff_ids().hash(state);
        self.image.origin.hash(state);
    }
}

/// A local directory, by the name that the build knows it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextSource {
    /// The build context.
    Main,
    /// `--build-context NAME=DIR`.
    Named(String),
}

/// A git repository at a ref, checked out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitSource {
    /// The remote's URL without fragment and query.
    pub url: String,
    /// Branch, tag, ref or commit; the remote's HEAD if absent.
    pub reference: Option<String>,
    /// Only this directory of it.
    pub subdirectory: Option<String>,
    /// The commit (or a prefix of it) that must be found.
    pub checksum: Option<String>,
    /// Whether `.git` stays.
    pub git_directory: GitDirectory,
    /// Whether submodules are checked out.
    pub submodules: Submodules,
    /// Which times its files get.
    pub times: GitTimes,
}

/// The modification times of a checkout's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GitTimes {
    /// That of the checkout, whatever it is.
    Checkout,
    /// That of the commit (`?mtime=commit`).
    Commit,
}

/// What becomes of `.git` in a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GitDirectory {
    /// Left out.
    Dropped,
    /// Kept.
    Kept,
}

/// Whether submodules are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Submodules {
    /// Fetched, recursively.
    Fetched,
    /// Left empty.
    Skipped,
}

/// A file from the web: the output tree holds just that file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpSource {
    /// Where it is.
    pub url: String,
    /// What the body must hash to.
    pub checksum: Option<Digest>,
    /// Its name in the output tree.
    pub file_name: String,
}
