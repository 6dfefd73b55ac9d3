//! `rbuild create`: a container that does not run yet.

use std::process::ExitCode;

use super::run::{Asked, ContainerArgs, failure, with_status};
use crate::app::App;
use crate::render;

// What was typed after `rbuild create`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rbuild create [OPTIONS] IMAGE [COMMAND] [ARG]...")]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    #[command(flatten)]
    container: ContainerArgs,
}

/// Makes a container and prints its ID.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    with_status(create(app, &args.container))
}

fn create(app: &App, args: &ContainerArgs) -> anyhow::Result<ExitCode> {
    args.check()?;
    let asked = Asked::new(app, args)?;
    let image = asked.image.as_image(args.image());
    let made = rbuild_container::create(app.store()?, image, &asked.options, asked.seed);
    let container = made.map_err(|error| failure(&error))?;
    render::out(&format!("{}\n", container.id))?;
    Ok(ExitCode::SUCCESS)
}
