//! Dockerfile text → syntax tree with a span on every word; expansion; every syntax diagnostic.
//!
//! Pure: no file is read, nothing is resolved or planned (that is `rbuild-plan`).
#![forbid(unsafe_code)]

mod ast;
mod diagnostic;
mod span;

pub use ast::*;
pub use diagnostic::{Diagnostic, Severity};
pub use span::{Position, Source, Span, Spanned, Word};
