//! `rbuild kill`: a signal for containers.

use std::process::ExitCode;

use rbuild_container::signal_number;

use super::several::{each, worded};
use crate::app::App;

// What was typed after `rbuild kill`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
    /// Which signal
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
}

/// Sends the signal to each.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let signal = signal_number(&args.signal).map_err(worded)?;
    let store = app.store()?;
    each(store, &args.containers, |container| {
        rbuild_container::kill(store, container, signal).map_err(worded)
    })
}
