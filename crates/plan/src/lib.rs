//! Syntax tree + options + base configs → one graph of operations for the whole build; lints.
//!
//! Pure: base images are resolved through a trait that the caller implements, nothing is executed, no file is read.
#![forbid(unsafe_code)]

mod graph;
mod operation;

pub use graph::{CacheUse, HISTORY_COMMENT, ImageOutput, Plan, Vertex, VertexId};
pub use operation::*;
