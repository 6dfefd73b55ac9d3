//! What a container wrote, kept for `logs`.
//!
//! ```text
//! containers/<id>/log      {"log":"a line\n","stream":"stdout","time":"2026-11-21T10:00:00.123456789Z"}
//! containers/<id>/log.1    what was in it before it became too long, and so on
//! ```
//!
//! One JSON object for each line, as Docker's `json-file` has it; what is not UTF-8 is replaced. A line without an end
//! is written when it is long enough, or when the container ends.

mod read;
mod write;

use std::path::{Path, PathBuf};

use rbuild_store::{Container, Store};
use serde::{Deserialize, Serialize};

pub use read::{LogLine, LogQuery, follow_log};
pub(crate) use write::LogWriter;

use crate::ContainerError;
use crate::link::Stream;

/// Its name in a container's directory.
const NAME: &str = "log";

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Bytes of a file before the next is begun.
    pub max_bytes: u64,
    /// Files, the current one included.
    pub max_files: u32,
}

/// What becomes of what a container writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Logging {
    /// It is kept for `logs`.
    #[default]
    Kept,
    /// Only who is attached sees it.
    Dropped,
}

impl Logging {
    /// Reads `--log-driver`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        match text {
            // Both of these are files that only the engine reads.
            "json-file" | "local" => Ok(Self::Kept),
            "none" => Ok(Self::Dropped),
            _ => Err(ContainerError::option(
                "--log-driver",
                text,
                "there are json-file and none: others send the log elsewhere, which `rbuild logs -f` can be piped to",
            )),
        }
    }
}

impl Default for LogLimits {
    /// Enough for a day's trouble, and no full disk after a year.
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            max_files: 3,
        }
    }
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    log: std::borrow::Cow<'a, str>,
    stream: Stream,
    #[serde(borrow)]
    time: std::borrow::Cow<'a, str>,
}

/// The file that a container's log is written to; `None` where there is none.
pub fn log_file(store: &Store, container: &Container) -> Option<PathBuf> {
    let file = path(&store.container_path(&container.id), 0);
    file.exists().then_some(file)
}

/// The `age`th file back: 0 is the one that is written.
fn path(directory: &Path, age: u32) -> PathBuf {
    directory.join(if age == 0 {
        NAME.to_owned()
    } else {
        format!("{NAME}.{age}")
    })
}
