//! Lints that need the plan, and which of all lints count.

mod catalog;
mod checks;
mod ignored;
pub(crate) mod rules;
mod secrets;

pub use catalog::{LINT_RULES, LintRule, lint_rule};
pub(crate) use checks::Checks;
pub use checks::syntax_warnings;
pub(crate) use ignored::hidden_source;
pub use secrets::is_secret_name;
