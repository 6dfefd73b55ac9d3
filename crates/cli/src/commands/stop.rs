//! `rbuild stop` and `rbuild restart`: containers are asked to end.

use std::process::ExitCode;

use rbuild_container::signal_number;
use rbuild_store::Container;

use super::several::{each, one, worded};
use super::start;
use crate::app::App;

// What was typed after `rbuild stop` or `rbuild restart`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
    /// Signal that asks it to end
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Seconds before it is killed; -1 waits for ever
    #[arg(short = 't', long = "timeout", alias = "time", value_name = "SECONDS")]
    #[arg(allow_negative_numbers = true)]
    seconds: Option<i64>,
}

/// Ends containers; those that do not run are fine.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    each(app.store()?, &args.containers, |container| {
        stop(app, args, container)
    })
}

/// Ends containers and starts them again.
pub(crate) fn restart(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    each(app.store()?, &args.containers, |container| {
        stop(app, args, container)?;
        start::detached(app, &one(app.store()?, &container.id)?)
    })
}

fn stop(app: &App, args: &Args, container: &Container) -> anyhow::Result<()> {
    let signal = args.signal.as_deref().map(signal_number).transpose();
    let signal = signal.map_err(worded)?;
    rbuild_container::stop(app.store()?, container, signal, args.seconds).map_err(worded)
}
