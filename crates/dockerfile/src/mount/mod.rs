//! `RUN --mount=` options: `type=cache,target=/root/.cache,sharing=locked`.
//!
//! A mount is read twice. When the file is parsed, only `from=` is looked at ([`mount_from`]), as it decides which
//! stages are needed. When the step is planned and variables have values, everything is ([`parse_mount`]): a bad
//! option in a stage that nobody builds is no error.

mod csv;
mod error;
mod fields;
mod size;

use crate::ExpandError;
pub use csv::CsvError;
pub use error::MountError;
use fields::Fields;

/// A mount, its options checked and its defaults filled in, as far as they do not depend on anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountOptions {
    /// `type=bind`, the default.
    Bind(BindMount),
    /// `type=cache`
    Cache(CacheMount),
    /// `type=tmpfs`
    Tmpfs(TmpfsMount),
    /// `type=secret`
    Secret(SecretMount),
    /// `type=ssh`
    Ssh(SshMount),
}

/// Files of a stage, an image or the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// Where to, relative to the working directory; empty is the working directory itself.
    pub target: String,
    /// What of `from`; empty is its root.
    pub source: String,
    /// A stage or an image; the build context if it is absent.
    pub from: Option<String>,
    /// Read-only unless told otherwise. What is written is thrown away.
    pub access: MountAccess,
}

/// A directory that survives the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// Which directory; the cleaned target if it is not given.
    pub id: String,
    /// Where to, relative to the working directory; empty is the working directory itself.
    pub target: String,
    /// The directory's part that is mounted; empty is its root.
    pub source: String,
    /// A stage or an image that the directory is a copy of at first; empty at first if it is absent.
    pub from: Option<String>,
    /// Whether others may use it at the same time.
    pub sharing: MountSharing,
    /// Writable unless told otherwise.
    pub access: MountAccess,
    /// Mode of a new directory; none if it is not given, and then 0755.
    pub mode: Option<u32>,
    /// Owner of a new directory; none if it is not given, and then 0.
    pub uid: Option<u32>,
    /// Group of a new directory; none if it is not given, and then 0.
    pub gid: Option<u32>,
}

/// An empty directory in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TmpfsMount {
    /// Where to, relative to the working directory; empty is the working directory itself.
    pub target: String,
    /// How many bytes it may hold; 0 is no limit.
    pub size: u64,
    /// Writable unless told otherwise.
    pub access: MountAccess,
}

/// A file or a variable that no layer and no key shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMount {
    /// Which secret.
    pub id: String,
    /// The file; none if the secret is only a variable.
    pub target: Option<String>,
    /// The variable.
    pub env: Option<String>,
    /// Whether its absence is an error.
    pub requirement: MountRequirement,
    /// Mode of the file, 0400 unless told otherwise.
    pub mode: u32,
    /// Owner of the file.
    pub uid: u32,
    /// Group of the file.
    pub gid: u32,
}

/// The socket of an SSH agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshMount {
    /// Which agent, `default` unless told otherwise.
    pub id: String,
    /// The socket; `/run/buildkit/ssh_agent.<N>` if it is not given, *N* counting the ssh mounts of the RUN from 0.
    pub target: Option<String>,
    /// Whether its absence is an error.
    pub requirement: MountRequirement,
    /// Mode of the socket, 0600 unless told otherwise.
    pub mode: u32,
    /// Owner of the socket.
    pub uid: u32,
    /// Group of the socket.
    pub gid: u32,
}

/// Whether a mount can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MountAccess {
    /// `ro`
    ReadOnly,
    /// `rw`
    ReadWrite,
}

/// Who may use a cache mount at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MountSharing {
    /// Everybody, the default.
    #[default]
    Shared,
    /// One; others get a directory of their own.
    Private,
    /// One; others wait.
    Locked,
}

/// Whether a mount may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MountRequirement {
    /// If it is missing, the step runs without it.
    Optional,
    /// `required`
    Required,
}

/// Reads the value of `--mount=`. Every option's value goes through `expand` first; commas that come from variables
/// do not part options.
///
/// ```
/// use rbuild_dockerfile::{MountOptions, parse_mount};
///
/// let mount = parse_mount("type=cache,target=/root/.cache/", |value| Ok(value.to_owned())).expect("it is valid");
/// let MountOptions::Cache(cache) = mount else { panic!("it is a cache mount") };
/// assert_eq!(cache.id, "/root/.cache");
/// ```
pub fn parse_mount(
    text: &str,
    mut expand: impl FnMut(&str) -> Result<String, ExpandError>,
) -> Result<MountOptions, MountError> {
    let mut fields = Fields::default();
    for field in csv::record(text)? {
        fields.set(&field, &mut expand)?;
    }
    fields.finish()
}

/// The stage or image that a mount names with `from=`, as far as parsing tells: variables are refused in it, other
/// options are not looked at.
pub fn mount_from(text: &str) -> Result<Option<String>, MountError> {
    let mut from = None;
    for field in csv::record(text)? {
        let Some((key, value)) = field.split_once('=') else {
            continue;
        };
        if !key.eq_ignore_ascii_case("from") {
            continue;
        }
        let expands = value
            .char_indices()
            .any(|(at, c)| c == '$' && at + 1 < value.len());
        if expands {
            return Err(MountError::ExpandedFrom);
        }
        from = Some(value.to_owned()).filter(|value| !value.is_empty());
    }
    Ok(from)
}

#[cfg(test)]
mod tests;
