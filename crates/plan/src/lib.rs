//! Syntax tree + options + base configs → one graph of operations for the whole build; lints.
//!
//! ```text
//! Dockerfile ─┐                              ┌─ Plan: vertices (Image, Context, Git, Http, Exec, File, Merge)
//! PlanOptions ┼─ plan ── asks ──▶ Images     ├─ ImageOutput for each platform: root vertex + config + history
//!             │           (the caller's)     └─ warnings that count after `# check=`
//!             └─ base_images: what it will ask for, to be resolved ahead and in parallel
//! ```
//!
//! Pure: base images are resolved through [`Images`], which the caller implements; nothing is executed, no file is
//! read, nothing is keyed or cached. Only what the target needs is planned, and equal operations on equal inputs
//! are one vertex, whatever stage or platform asks.
//!
//! ```
//! use std::sync::Arc;
//! use rbuild_dockerfile::{Source, parse};
//! use rbuild_image::Platform;
//! use rbuild_plan::{Images, PlanOptions, ResolveError, ResolvedImage, plan, to_dot};
//!
//! struct Offline;
//! impl Images for Offline {
//!     fn resolve(&self, name: &str, _: &Platform) -> Result<Arc<ResolvedImage>, ResolveError> {
//!         Err(ResolveError::new(format!("{name}: no registry here")))
//!     }
//! }
//!
//! let source = Source::new("Dockerfile", "FROM scratch\nCOPY app /\nCMD [\"/app\"]\n");
//! let dockerfile = parse(&source).dockerfile.expect("a good file");
//! let planned = plan(&source, &dockerfile, &PlanOptions::default(), &Offline).expect("scratch is no image");
//! assert!(to_dot(&planned.plan).contains("COPY app /"));
//! assert_eq!(planned.plan.outputs[0].config.config.cmd.as_deref(), Some(["/app".to_owned()].as_slice()));
//! ```
#![forbid(unsafe_code)]

mod address;
mod bases;
mod build;
mod config;
mod contexts;
mod devices;
mod dispatch;
mod display;
mod draft;
mod draw;
mod environment;
mod epoch;
mod fold;
mod git_url;
mod given;
mod globals;
mod go;
mod graph;
mod images;
mod lineage;
mod lint;
mod mounts;
mod near;
mod operation;
mod options;
mod outline;
mod paths;
mod planner;
mod platform_args;
mod policy;
mod reach;
mod report;
mod rescue;
mod scans;
mod stage;
mod targets;
mod words;

pub use address::without_credentials;
pub use devices::{Devices, KnownDevice, Permission};
pub use draw::{operation_to_json, to_dot, to_json};
pub use environment::Environment;
pub use epoch::{EpochSource, SOURCE_DATE_EPOCH};
pub use git_url::{GitUrl, GitUrlError, parse_git_context, parse_git_url};
pub use graph::{CacheUse, HISTORY_COMMENT, ImageOutput, Needed, Plan, Vertex, VertexId};
pub use images::{BaseImage, Images, PlanError, ResolveError};
pub use lint::{LINT_RULES, LintRule, is_secret_name, lint_rule, syntax_warnings};
pub use operation::*;
pub use options::{
    CONTEXT_FILE, DEFAULT_HOSTNAME, Entitlement, IgnoreEffect, IgnorePattern, Ignored, ImageForm,
    MainContext, NamedContext, NoCache, PlanOptions, Scope, StepUsers,
};
pub use outline::{Outline, OutlineArg, OutlineNeed};
pub use planner::{Planned, UnusedBuildArg, base_images, epoch_source, plan};
pub use policy::{PolicyError, PolicySource, SourcePolicies};
pub use scans::{ImageScan, SCAN_DESTINATION, Scan, ScannedTree};
pub use targets::{Target, targets};
