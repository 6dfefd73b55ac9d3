//! The events of a build and their renderers: terminal, plain, JSON.
//!
//! Workers send [`Event`]s; a renderer draws them and decides nothing.
#![forbid(unsafe_code)]

mod event;

pub use event::{Event, EventKind, EventVertex, Outcome, StatusState, Stream};
