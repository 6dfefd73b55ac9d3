//! Lints that need the plan, and which of all lints count.

mod checks;
pub(crate) mod rules;
mod secrets;

pub(crate) use checks::Checks;
pub(crate) use secrets::is_secret_name;
