//! RUN: a command and all that it sees.

use std::sync::Arc;

use super::Input;
use crate::Environment;

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exec {
    /// Program and arguments; the shell is already in front.
    pub args: Vec<Arc<str>>,
    /// The stage's ENV and visible ARGs, PATH included.
    pub env: Environment,
    /// Proxy variables: given to the process, never in the key.
    pub proxy_env: Vec<String>,
    /// Working directory, absolute; made if missing.
    pub cwd: Arc<str>,
    /// `user[:group]`; empty is root.
    pub user: Arc<str>,
    /// `--mount=`, in the order of mounting.
    pub mounts: Vec<ExecMount>,
    /// `--network=`
    pub network: NetworkMode,
    /// `--security=`
    pub security: SecurityMode,
    /// `--device=`: those that are there, `vendor.com/class=name` each.
    pub devices: Vec<String>,
    /// The host name that the process sees.
    pub hostname: Arc<str>,
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
