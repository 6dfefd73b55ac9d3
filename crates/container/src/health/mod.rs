//! Whether a container does its work: HEALTHCHECK of its image, or the `--health-*` options.
//!
//! ```text
//! Options + image ─ check ─▶ Check ─ every interval ─▶ probe ─▶ Health ─▶ containers/<id>/health.json
//! ```
//!
//! The supervisor keeps the time (`supervisor/health.rs`); all others read the file.

mod check;
mod probe;
mod report;

pub use check::healthcheck;
pub(crate) use check::{Check, verify};
pub(crate) use probe::{Outcome, Probe};
pub use report::{Health, HealthStatus, ProbeRecord, health};
