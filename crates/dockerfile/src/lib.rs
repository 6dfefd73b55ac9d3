//! Dockerfile text → syntax tree with a span on every word; expansion; every syntax diagnostic.
//!
//! ```text
//! Source ──parse──▶ Parsed { dockerfile, diagnostics }      the tree: nothing expanded, nothing resolved
//!                       │
//!                       ├─ lint          the rules that the tree alone decides
//!                       ├─ expand…       `$name`, `${name:-word}`, quotes: with the variables of the moment
//!                       └─ parse_mount   `RUN --mount=` options, expanded value by value
//! ```
//!
//! Pure: no file is read, nothing is resolved or planned (that is `rbuild-plan`), nothing is printed. The input is
//! taken to be hostile: time and memory are linear in its size, and nothing recurses without a bound.
//!
//! ```
//! use rbuild_dockerfile::{InstructionKind, Source, parse};
//!
//! let source = Source::new("Dockerfile", "FROM alpine AS base\nRUN echo hi\n");
//! let parsed = parse(&source);
//! assert!(parsed.diagnostics.is_empty());
//! let dockerfile = parsed.dockerfile.expect("no diagnostic, so a tree");
//! assert_eq!(dockerfile.stages[0].from.base.value, "alpine");
//! assert!(matches!(dockerfile.stages[0].instructions[0].kind, InstructionKind::Run(_)));
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::doc_markdown, reason = "BuildKit is a name")]

mod ast;
mod diagnostic;
mod directives;
mod duration;
mod expand;
mod flags;
mod heredoc;
mod instructions;
mod json;
mod keyword;
mod lines;
mod lint;
mod logical;
mod mount;
mod parser;
mod quote;
mod sink;
mod span;
mod statement;
mod suggest;
mod words;

pub use ast::*;
pub use diagnostic::{Diagnostic, Pass, Severity};
pub use directives::detect_syntax;
pub use duration::{DurationError, parse_duration};
pub use expand::{
    ExpandError, Expanded, ExpandedWords, Variables, expand, expand_raw, expand_shown, expand_words,
};
pub use lint::lint;
pub use mount::{
    BindMount, CacheMount, CsvError, MountAccess, MountError, MountOptions, MountRequirement,
    MountSharing, SecretMount, SshMount, TmpfsMount, mount_from, parse_mount,
};
pub use parser::{Parsed, parse, parse_onbuild};
pub use quote::quote;
pub use span::{LineIndex, Position, Source, Span, Spanned, Word};
pub use suggest::suggest;
