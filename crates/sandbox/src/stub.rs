//! What is remembered of a mount point that had to be made, so that it can go without a trace.

use std::path::PathBuf;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

/// A made file or directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) kind: MadeKind,
    /// Modification time of the directory it is in, before it was made.
    pub(crate) before: Moment,
    /// … and right after: if it still is that in the end, nobody else changed the directory.
    pub(crate) after: Moment,
    /// Directories above it that overlayfs copied to the upper directory for it, outermost first.
    pub(crate) copied_up: Vec<CopiedUp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MadeKind {
    File,
    Directory,
}

/// A directory as it was before anything was made in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CopiedUp {
    /// Inside the root.
    #[serde(with = "crate::text")]
    pub(crate) path: PathBuf,
    pub(crate) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    mode: u32,
    uid: u32,
    gid: u32,
    modified: Moment,
}

/// A modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

impl From<&Stat> for Moment {
    fn from(stat: &Stat) -> Self {
        Self {
            seconds: stat.st_mtime,
            nanoseconds: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        }
    }
}

impl From<&Stat> for State {
    fn from(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: Moment::from(stat),
        }
    }
}
