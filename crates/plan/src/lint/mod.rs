//! Lints that need the plan, and which of all lints count.

mod catalog;
mod checks;
pub(crate) mod rules;
mod secrets;

pub use catalog::{LINT_RULES, LintRule, lint_rule};
pub(crate) use checks::Checks;
pub(crate) use secrets::is_secret_name;
