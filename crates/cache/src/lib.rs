//! Cache keys: what a step depends on, as bytes that are the same on every machine.
//!
//! A [`Preimage`] lists everything that can change what a step yields: its own definition and the contents
//! that it reads. Its blake3 hash is the step's [`StepKey`]. The preimage is kept beside the result, so that a
//! later miss can be explained by comparing two of them ([`explain()`]).
//!
//! This crate does not read files and does not run steps; who calls it brings the content digests.
//!
//! ```
//! use rbuild_cache::Preimage;
//!
//! let mut preimage = Preimage::new("exec");
//! preimage.push("arg 0", "/bin/true");
//! assert_eq!(preimage.key(), Preimage::decode(preimage.as_bytes().to_vec())?.key());
//! # Ok::<(), rbuild_cache::CacheError>(())
//! ```
#![forbid(unsafe_code)]

mod chain;
mod circumstances;
mod differences;
mod elsewhere;
mod error;
mod exec;
mod explain;
mod explanation;
mod file;
mod preimage;
mod reason;

pub use chain::Chain;
pub use circumstances::{Circumstances, Copied, Lookup, Told};
pub use differences::{Difference, first_differences};
pub use elsewhere::{Elsewhere, ElsewhereRun};
pub use error::CacheError;
pub use exec::{MountContent, exec_preimage};
pub use explain::{Missed, Ran, explain, last_runs};
pub use explanation::{Earlier, EarlierPlace, Explanation};
pub use file::{SourceContent, file_preimage};
pub use preimage::{Element, Preimage};
pub use reason::{FileChange, Files, Kind, Reason, Setting};
