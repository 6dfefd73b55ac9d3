//! `.dockerignore`: its text ([`file`]), one pattern ([`pattern`]), the list of them ([`rules`]).

pub(crate) mod file;
mod pattern;
mod rules;

pub use pattern::Pattern;
pub(crate) use rules::DirectoryMatch;
pub use rules::{HidingRule, IgnoreRules};
