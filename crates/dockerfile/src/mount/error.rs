//! What can be wrong with a mount.

use thiserror::Error;

use super::csv::CsvError;
use crate::{ExpandError, quote};

/// Why `--mount=` options are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MountError {
    /// The commas and quotes do not work out.
    #[error("failed to parse csv mounts: {0}")]
    Csv(#[from] CsvError),
    /// A value cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// `from=$…`
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    ExpandedFrom,
    /// An option that needs a value has none.
    #[error("invalid field '{0}' must be a key=value pair")]
    MissingValue(String),
    /// An option that does not exist.
    #[error("unexpected key '{key}' in '{field}'")]
    UnknownKey {
        /// The option.
        key: String,
        /// With its value.
        field: String,
        /// What was meant.
        suggestion: Option<String>,
    },
    /// An option that this type of mount does not have, or not before `type=`.
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyOfOtherType {
        /// The option.
        key: String,
        /// The type so far.
        kind: &'static str,
    },
    /// A type that does not exist.
    #[error("unsupported mount type {}", quote(value))]
    UnknownType {
        /// The type.
        value: String,
        /// What was meant.
        suggestion: Option<String>,
    },
    /// A kind of sharing that does not exist.
    #[error("unsupported sharing value {}", quote(value))]
    UnknownSharing {
        /// The kind.
        value: String,
        /// What was meant.
        suggestion: Option<String>,
    },
    /// A value that cannot be read.
    #[error("invalid value for {key}: {value}")]
    InvalidValue {
        /// The option.
        key: String,
        /// Its value.
        value: String,
    },
    /// A mode or an ID that is no number.
    #[error("invalid value {value} for {key}")]
    InvalidNumber {
        /// The option.
        key: String,
        /// Its value.
        value: String,
    },
    /// `mode`, `uid` or `gid` where there is no file to have it.
    #[error("{key} not allowed for \"{kind}\" type mounts")]
    NotAllowed {
        /// The option.
        key: &'static str,
        /// The type.
        kind: &'static str,
    },
    /// `sharing` on something else than a cache.
    #[error("invalid cache sharing set for {0} mount")]
    SharingWithoutCache(&'static str),
    /// A secret with `from`.
    #[error("secret mount should not have a from")]
    SecretFrom,
    /// A secret with `sharing`.
    #[error("secret mount should not define sharing")]
    SecretSharing,
    /// A secret without a name.
    #[error("invalid secret mount. one of source, target required")]
    SecretWithoutName,
    /// A secret with two names.
    #[error("both source and id can't be set")]
    SecretNamedTwice,
    /// `source` of an SSH agent.
    #[error("ssh does not support source")]
    SshSource,
}

impl MountError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownKey {
                suggestion: Some(meant),
                ..
            }
            | Self::UnknownType {
                suggestion: Some(meant),
                ..
            }
            | Self::UnknownSharing {
                suggestion: Some(meant),
                ..
            } => Some(format!("did you mean {meant}?")),
            Self::UnknownType { .. } => {
                Some("it is one of bind, cache, tmpfs, secret, ssh".to_owned())
            }
            Self::UnknownSharing { .. } => Some("it is one of shared, private, locked".to_owned()),
            Self::KeyOfOtherType { kind: "bind", .. } => {
                Some("`type=` must stand before it".to_owned())
            }
            Self::ExpandedFrom => Some(
                "put `FROM … AS name` with the variable above, and `from=name` here".to_owned(),
            ),
            _ => None,
        }
    }
}
