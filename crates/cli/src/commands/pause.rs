//! `rbuild pause` and `rbuild unpause`: containers stand still.

use std::process::ExitCode;

use super::several::{each, worded};
use crate::app::App;

// What was typed after `rbuild pause` or `rbuild unpause`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Stops all processes of each where they are.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    each(store, &args.containers, |container| {
        rbuild_container::pause(store, container).map_err(worded)
    })
}

/// Lets them go on.
pub(crate) fn unpause(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    each(store, &args.containers, |container| {
        rbuild_container::resume(store, container).map_err(worded)
    })
}
