//! `rbuild wait`: until containers have ended.

use std::process::ExitCode;

use super::several::{each_printing, worded};
use crate::app::App;

// What was typed after `rbuild wait`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Prints the exit status of each.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    each_printing(store, &args.containers, |_, container| {
        let code = rbuild_container::wait(store, container).map_err(worded)?;
        Ok(format!("{code}\n"))
    })
}
