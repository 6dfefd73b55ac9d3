//! What a vertex of the plan does. Data only: nothing here runs.
//!
//! Every operation's output is a *file tree*: a stack of layers (`Image`, `Exec`, `File`, `Merge`, `Git`,
//! `Http`) or a context's directory (`Context`). An operation names its inputs by [`Input`]: the slot of
//! the edge that leads to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbuild_image::{Descriptor, DiffId, Digest, ImageConfig};

/// The slot of an input edge: `Input(0)` is the first input of a vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input(pub u32);

/// One operation. Equal operations on equal inputs are one vertex, whatever stage or platform asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The layers of an image. No inputs.
    Image(ImageSource),
    /// A local directory. No inputs.
    Context(ContextSource),
    /// A git checkout. No inputs.
    Git(GitSource),
    /// One file from the web. No inputs.
    Http(HttpSource),
    /// A command over a root file system: one layer on top of input 0.
    Exec(Box<Exec>),
    /// Copies, directories and files: one layer on top of `base`.
    File(FileOperation),
    /// The layers of input 0 and, on top, those of the other inputs: makes no layer of its own. With no
    /// inputs it is the empty tree: what a RUN on `FROM scratch` starts from.
    Merge,
}

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

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exec {
    /// Program and arguments; the shell is already in front.
    pub args: Vec<String>,
    /// `NAME=value`: the stage's ENV and visible ARGs, PATH included.
    pub env: Vec<String>,
    /// Proxy variables: given to the process, never in the key.
    pub proxy_env: Vec<String>,
    /// Working directory, absolute; made if missing.
    pub cwd: String,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// `--mount=`, in the order of mounting.
    pub mounts: Vec<ExecMount>,
    /// `--network=`
    pub network: NetworkMode,
    /// `--security=`
    pub security: SecurityMode,
    /// `--device=`: those that are there, `vendor.com/class=name` each.
    pub devices: Vec<String>,
    /// The host name that the process sees.
    pub hostname: String,
    /// Lines for /etc/hosts: (name, address).
    pub extra_hosts: Vec<(String, String)>,
    /// Size of /dev/shm in bytes.
    pub shm_size: Option<u64>,
    /// `--ulimit`: (name, soft, hard).
    pub ulimits: Vec<(String, u64, u64)>,
}

/// A mount of a RUN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecMount {
    /// Absolute path in the container.
    pub target: String,
    /// What is mounted.
    pub kind: MountKind,
}

/// Whether a mount can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read-only.
    ReadOnly,
    /// Writable.
    ReadWrite,
}

/// What a mount of a RUN brings in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// A path of another tree. Writes are thrown away after the step.
    Bind {
        /// The tree.
        from: Input,
        /// The path in it.
        source: String,
        /// `rw` or `ro`.
        access: Access,
    },
    /// A directory that outlives builds.
    Cache {
        /// Its id, namespace included.
        id: String,
        /// Whether the id was given or is the target.
        id_origin: CacheIdOrigin,
        /// How concurrent users share it.
        sharing: Sharing,
        /// What it holds at first.
        from: Option<Input>,
        /// The path in `from`.
        source: String,
        /// Owner and mode at creation.
        owner: (u32, u32),
        /// Mode at creation.
        mode: u32,
        /// `rw` or `ro`.
        access: Access,
    },
    /// An empty tmpfs.
    Tmpfs {
        /// Limit in bytes.
        size: Option<u64>,
    },
    /// A secret as a file, as a variable, or both.
    Secret {
        /// Its id.
        id: String,
        /// Whether the file appears at `target`.
        file: SecretFile,
        /// The variable that receives it.
        env: Option<String>,
        /// What happens without it.
        presence: Presence,
        /// Owner of the file.
        owner: (u32, u32),
        /// Mode of the file.
        mode: u32,
    },
    /// An SSH agent's socket.
    Ssh {
        /// Its id.
        id: String,
        /// What happens without it.
        presence: Presence,
        /// Owner of the socket.
        owner: (u32, u32),
        /// Mode of the socket.
        mode: u32,
    },
    /// A read-only file with these bytes (a `#!` heredoc).
    Inline {
        /// The bytes.
        data: String,
        /// Its mode.
        mode: u32,
    },
}

/// Where a cache mount's id comes from (a custom id is not in the key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheIdOrigin {
    /// The cleaned target.
    Target,
    /// `id=`
    Given,
}

/// `sharing=` of a cache mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// All at once.
    Shared,
    /// A directory of one's own if another is using it.
    Private,
    /// One after the other.
    Locked,
}

/// Whether a secret is mounted as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretFile {
    /// At the mount's target.
    Mounted,
    /// Only in the environment.
    Absent,
}

/// `required=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Its absence is an error.
    Required,
    /// Its absence is silent.
    Optional,
}

/// `RUN --network=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetworkMode {
    /// What the builder gives.
    Default,
    /// Only loopback.
    None,
    /// The host's.
    Host,
}

/// `RUN --security=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurityMode {
    /// Default capabilities, seccomp, masked paths.
    Sandbox,
    /// All capabilities.
    Insecure,
}

/// COPY, ADD, WORKDIR: actions that together make one layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileOperation {
    /// What it goes on top of; `None` for `--link` and for the first step on scratch.
    pub base: Option<Input>,
    /// In order.
    pub actions: Vec<FileAction>,
}

/// One thing that a [`FileOperation`] does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FileAction {
    /// Copy from a tree.
    Copy(CopyAction),
    /// Make a directory and its parents.
    MakeDirectory {
        /// Absolute path.
        path: String,
        /// Mode of what is made.
        mode: u32,
        /// Owner of what is made.
        owner: Owner,
    },
    /// Write a file; a `path` that ends in `/` or is a directory gets `name` below it.
    MakeFile {
        /// Absolute path; a trailing `/` is kept.
        path: String,
        /// The heredoc's name.
        name: String,
        /// Its bytes.
        data: String,
        /// Mode.
        mode: Mode,
        /// Owner.
        owner: Owner,
    },
}

/// One source of a COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CopyAction {
    /// The tree to copy from.
    pub from: Input,
    /// The path or pattern in it, clamped: starts with `/`. With [`Parents::Kept`] a `/./` may stand in it:
    /// what comes behind it is kept, else all of it.
    pub source: String,
    /// Absolute destination; a trailing `/` is kept.
    pub destination: String,
    /// Ownership of what is copied.
    pub owner: Owner,
    /// Mode of what is copied.
    pub mode: Mode,
    /// `--parents`
    pub parents: Parents,
    /// Patterns of `--exclude`.
    pub excludes: Vec<String>,
    /// Whether archives are unpacked.
    pub unpack: Unpack,
    /// Whether a pattern that matches nothing is fine.
    pub wildcard: Wildcard,
}

/// Ownership of files that an action makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// As in the source tree (`COPY --from` without `--chown`).
    Source,
    /// Numeric.
    Ids {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// As written: `user[:group]`, looked up in the base's /etc/passwd and /etc/group.
    Named(String),
}

/// Mode of files that an action makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As in the source.
    Source,
    /// These bits for files and directories alike.
    Octal(u32),
    /// `u=rwX,go=rX`, applied to each entry.
    Symbolic(String),
}

/// `COPY --parents`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parents {
    /// Only the last component is kept.
    Dropped,
    /// The path from the pivot (`/./`, or the root) is kept.
    Kept,
}

/// Whether ADD unpacks archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unpack {
    /// Never.
    Never,
    /// What is an archive by its content is unpacked, the rest copied.
    Archives,
}

/// Whether a source is a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wildcard {
    /// A literal path: it must exist.
    Literal,
    /// Go's `filepath.Match` patterns: may match nothing.
    Pattern,
}

/// Labels and such that tools outside want to know of a vertex, by name.
pub type Annotations = BTreeMap<String, String>;
