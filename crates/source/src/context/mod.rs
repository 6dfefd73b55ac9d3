//! Contexts: what is needed of one ([`needed`]), the walk ([`walk`], [`scan`], [`name`]), digests ([`hash`],
//! [`stat_cache`]), and the tree that comes out ([`tree`]).

mod hash;
mod modes;
mod name;
mod needed;
mod scan;
mod stat_cache;
mod tree;
mod walk;

pub(crate) use hash::is_kept;
pub use modes::ContextModes;
pub(crate) use name::open_beneath;
pub use needed::Needed;
pub(crate) use rbuild_layer::compare_paths as component_order;
pub(crate) use tree::open_directory;
pub use tree::{ContextFile, ContextTree, Trust};
pub use walk::Context;
