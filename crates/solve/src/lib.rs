//! Walks a plan: every vertex gets its key, is found in the cache or executed, and yields a tree of files.
//!
//! One thread owns the state and decides; workers do what takes time and tell it when they are done. Events go to
//! the progress; nothing is printed here. What becomes of the result is for `rbuild-export`.
//!
//! ```text
//! ready vertex ─ fast key ─ hit ──────────────────────────→ done
//!       └─ miss → worker: contents → key ─ hit ───────────→ done
//!                               └─ miss → lock → execute → layer → record → done
//! ```
#![forbid(unsafe_code)]

mod adopt;
mod agent;
mod archive;
mod build;
mod cancel;
mod canvas;
mod cdi;
mod copy;
mod damage;
mod diff_ids;
mod epoch;
mod error;
mod exec;
mod fetch;
mod fetch_made;
mod file;
mod hints;
mod memory;
mod mode;
mod mounts;
mod network;
mod owner;
mod path;
mod pull;
mod reads;
mod remote;
mod report;
mod schedule;
mod select;
mod solve;
mod sources;
mod step;
mod story;
mod tree;
mod why;
mod work;

pub use agent::{AgentError, SshKeys};
pub use build::{
    BaseLayers, Build, CacheTtl, LayerHook, LayerPacker, RemoteLayers, Reuse, Secret, Secrets,
};
pub use cancel::{Cancel, CancelGuard};
pub use canvas::CanvasError;
pub use cdi::{CdiDevices, CdiError};
pub use copy::CopyError;
pub use epoch::{git_time, http_time};
pub use error::{DiskState, MemoryState, SolveError, StepError, with_causes};
pub use network::{NetworkFiles, StepNetwork, StepNetworks};
pub use owner::OwnerError;
pub use pull::pull;
pub use reads::{ContextPath, ContextReads};
pub use remote::{git_authorization, git_url, http_authorization};
pub use report::FIRST_FREE_EVENT_VERTEX;
pub use solve::{Solution, solve};
pub use sources::{MovingSource, Pin, RemoteSources, Unpinned};
pub use why::Miss;
