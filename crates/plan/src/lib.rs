//! Syntax tree + options + base configs → one graph of operations for the whole build; lints.
//!
//! Pure: base images are resolved through a trait that the caller implements, nothing is executed, no file is read.
#![forbid(unsafe_code)]

mod draw;
mod git_url;
mod graph;
mod images;
mod operation;
mod options;
mod planner;

pub use draw::{to_dot, to_json};
pub use git_url::{GitUrl, GitUrlError, parse_git_url};
pub use graph::{CacheUse, HISTORY_COMMENT, ImageOutput, Needed, Plan, Vertex, VertexId};
pub use images::{BaseImage, Images, PlanError, ResolveError};
pub use operation::*;
pub use options::{
    DEFAULT_HOSTNAME, Entitlement, Ignored, MainContext, NamedContext, NoCache, PlanOptions, Scope,
};
pub use planner::{Planned, base_images, plan};
