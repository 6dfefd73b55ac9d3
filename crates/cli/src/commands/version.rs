//! `rbuild version`.

use crate::render;

/// What was typed after `rbuild version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Prints the version.
pub(crate) fn run(_args: &Args) {
    let text = format!("rbuild {}\n", env!("CARGO_PKG_VERSION"));
    // There is nobody to tell when standard output is gone.
    let _ = render::out(&text);
}
