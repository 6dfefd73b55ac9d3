//! What people read: source excerpts, tables, sizes and times.

mod excerpt;
mod output;
mod table;
mod units;

pub(crate) use excerpt::{diagnostic_excerpt, excerpt, position};
pub(crate) use output::out;
pub(crate) use table::Table;
pub(crate) use units::{ago, bytes_decimal};
