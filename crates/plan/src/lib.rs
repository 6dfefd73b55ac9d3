//! Syntax tree + options + base configs → one graph of operations for the whole build; lints.
//!
//! Pure: base images are resolved through a trait that the caller implements, nothing is executed, no file is read.
#![forbid(unsafe_code)]

mod bases;
mod build;
mod config;
mod contexts;
mod dispatch;
mod display;
mod draw;
mod env;
mod git_url;
mod globals;
mod go;
mod graph;
mod images;
mod lint;
mod mounts;
mod near;
mod operation;
mod options;
mod paths;
mod planner;
mod platform_args;
mod reach;
mod report;
mod stage;
mod words;

pub use draw::{to_dot, to_json};
pub use git_url::{GitUrl, GitUrlError, parse_git_url};
pub use graph::{CacheUse, HISTORY_COMMENT, ImageOutput, Needed, Plan, Vertex, VertexId};
pub use images::{BaseImage, Images, PlanError, ResolveError};
pub use operation::*;
pub use options::{
    DEFAULT_HOSTNAME, Entitlement, Ignored, MainContext, NamedContext, NoCache, PlanOptions, Scope,
};
pub use planner::{Planned, base_images, plan};
