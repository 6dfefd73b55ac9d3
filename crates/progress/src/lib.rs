//! The events of a build and their renderers: terminal, plain, JSON.
//!
//! Workers send [`EventKind`]s through a [`Reporter`], which stamps them with the time; one thread of
//! the [`Renderer`] owns the picture of the build and draws it. Renderers decide nothing: they never
//! touch the build, and a writer that fails only ends the drawing.
//!
//! ```text
//! worker ─┐ send(kind)
//! worker ─┼──────────▶ channel ──▶ Model (what is known) ──▶ plain │ terminal │ JSON lines │ nothing
//! worker ─┘                                     └──────────▶ Summary, from finish()
//! ```
//!
//! This crate does not look at the environment or the terminal: whether there is one, how large it is
//! and what time it is come in with [`RenderOptions`].
//!
//! ```
//! use rbuild_progress::{EventKind, EventVertex, Outcome, RenderOptions, Renderer};
//!
//! let (reporter, renderer) = Renderer::start(RenderOptions::default(), Box::new(std::io::sink()));
//! let vertex = EventVertex(1);
//! reporter.send(EventKind::Planned { vertex, name: "[1/1] RUN true".to_owned(), inputs: Vec::new() });
//! reporter.send(EventKind::Done { vertex, outcome: Outcome::Cached });
//! let summary = renderer.finish();
//! assert_eq!((summary.steps, summary.cached), (1, 1));
//! ```
#![forbid(unsafe_code)]

mod event;
mod folds;
mod frame;
mod lines;
mod mode;
mod model;
mod plain;
mod rawjson;
mod redact;
mod renderer;
mod reporter;
#[cfg(test)]
mod script;
mod summary;
mod terminal;
mod units;

pub use event::{Event, EventKind, EventVertex, Outcome, StatusState, Stream, WarningAbout};
pub use folds::LogViewer;
pub use mode::{Mode, ModeError};
pub use redact::redacted;
pub use renderer::{Colors, RenderOptions, Renderer, TerminalSize};
pub use reporter::{Heard, Listener, Reporter};
pub use summary::{FailedVertex, Summary};
