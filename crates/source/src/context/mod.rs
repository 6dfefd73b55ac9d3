//! Contexts: what is needed of one ([`needed`]), the walk ([`walk`], [`scan`]), digests ([`hash`],
//! [`stat_cache`]), and the tree that comes out ([`tree`]).

mod hash;
mod needed;
mod scan;
mod stat_cache;
mod tree;
mod walk;

pub use needed::Needed;
pub(crate) use rbuild_layer::compare_paths as component_order;
pub(crate) use scan::open_beneath;
pub(crate) use tree::open_directory;
pub use tree::{ContextFile, ContextTree, Trust};
pub use walk::Context;
