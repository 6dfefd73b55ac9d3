//! `rbuild rename`: another name for a container.

use std::process::ExitCode;

use super::several::{one, worded};
use crate::app::App;

// What was typed after `rbuild rename`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
    /// Its new name
    name: String,
}

/// Renames it.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let container = one(store, &args.container)?;
    rbuild_container::rename(store, &container, &args.name).map_err(worded)?;
    Ok(ExitCode::SUCCESS)
}
