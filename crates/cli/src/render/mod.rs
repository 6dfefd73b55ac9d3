//! What people read: source excerpts, tables, sizes and times.

mod board;
mod excerpt;
mod output;
mod table;
mod units;

pub(crate) use board::{Board, Mark, Voice};
pub(crate) use excerpt::{diagnostic_excerpt, excerpt, excerpt_of, position};
pub(crate) use output::{note, out};
pub(crate) use table::Table;
pub(crate) use units::{ago, bytes_binary, bytes_decimal, bytes_human};
