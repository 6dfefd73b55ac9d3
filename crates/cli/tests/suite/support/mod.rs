//! What the topics share.

mod base_images;
mod caller;
mod command;
mod lab;
mod layout;
mod machines;
mod outcome;
mod project;
mod screen;
mod ssh;
mod tracer;
mod tree;
mod web;

pub(crate) use base_images::{BaseImage, repository};
pub(crate) use caller::{Caller, am_root, note_skipped, skip};
pub(crate) use command::{Running, run};
pub(crate) use lab::{Lab, mark, processes_with};
pub(crate) use layout::Layout;
pub(crate) use machines::{Machine, Shared};
pub(crate) use outcome::{Outcome, State};
pub(crate) use project::Project;
pub(crate) use rbuild_testkit::require;
pub(crate) use screen::Screen;
pub(crate) use ssh::SshServer;
pub(crate) use tracer::{Traced, killed_at};
pub(crate) use tree::{Kind, Tree};
pub(crate) use web::WebServer;
