//! What happens in a build, as data. Workers send; renderers draw.
//!
//! ```text
//! Started ─ Output* / Status* ─ Done(Completed | Cached | Failed | Cancelled)      for each vertex
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A vertex's number in this build: `#3` in the plain log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventVertex(pub u32);

/// One event and when it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Time since the build began.
    pub at: Duration,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A vertex will be needed. Sent once for each, before anything else of it.
    Planned {
        /// Its number.
        vertex: EventVertex,
        /// `[build 2/5] RUN make`
        name: String,
        /// The numbers of its inputs.
        inputs: Vec<EventVertex>,
    },
    /// It runs now (a cached one never starts).
    Started {
        /// Its number.
        vertex: EventVertex,
    },
    /// It runs although it ran before.
    Missed {
        /// Its number.
        vertex: EventVertex,
        /// `src/main.rs changed (and 2 more)`
        reason: String,
    },
    /// Its process wrote something.
    Output {
        /// Its number.
        vertex: EventVertex,
        /// Which stream.
        stream: Stream,
        /// The bytes as they came, perhaps half a line.
        data: Vec<u8>,
    },
    /// Something countable within it: a blob pulled, a context walked.
    Status {
        /// Its number.
        vertex: EventVertex,
        /// `sha256:3f4…`, `transferring context`.
        id: String,
        /// How much is done, in bytes.
        current: u64,
        /// How much there is, if known.
        total: Option<u64>,
        /// Whether it goes on.
        state: StatusState,
    },
    /// It ended.
    Done {
        /// Its number.
        vertex: EventVertex,
        /// How.
        outcome: Outcome,
    },
    /// Something to tell that stops nothing.
    Warning {
        /// One sentence.
        message: String,
        /// What a program that shows it wants to know besides.
        about: Option<Box<WarningAbout>>,
    },
}

impl EventKind {
    /// What of it is words of ours.
    pub(crate) fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::Planned { name, .. } => vec![name],
            Self::Missed { reason, .. } => vec![reason],
            Self::Status { id, .. } => vec![id],
            Self::Done {
                outcome: Outcome::Failed { message },
                ..
            }
            | Self::Warning { message, .. } => vec![message],
            Self::Started { .. } | Self::Output { .. } | Self::Done { .. } => Vec::new(),
        }
    }
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningAbout {
    /// What the rule asks for.
    pub detail: String,
    /// A page that explains it; may be empty.
    pub url: String,
    /// The file.
    pub file: String,
    /// Its lines, from 1.
    pub lines: (u32, u32),
}

/// Which stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Whether a status goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusState {
    /// More will come.
    Running,
    /// That was all.
    Finished,
}

/// How a vertex ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It ran.
    Completed,
    /// An earlier result serves.
    Cached,
    /// It failed, with these words.
    Failed {
        /// `process "/bin/sh -c false" did not complete successfully: exit code: 1`
        message: String,
    },
    /// Something else failed or the user interrupted.
    Cancelled,
}
