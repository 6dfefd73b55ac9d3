//! `rbuild create`: a container that does not run yet.

use std::process::ExitCode;

use super::run::{Asked, ContainerArgs, failure, with_status};
use crate::app::App;
use crate::refused::{Refusal, Refused, Table, option};
use crate::render;

// What was typed after `rbuild create`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rbuild create [OPTIONS] IMAGE [COMMAND] [ARG]...")]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    #[command(flatten)]
    container: ContainerArgs,
    #[command(flatten)]
    refused: Refused<OfCreate>,
}

/// Options that are refused.
#[derive(Debug)]
struct OfCreate;

impl Table for OfCreate {
    const REFUSED: &'static [Refusal] = &[option(
        "attach",
        "streams are connected when the container is started: rbuild start -a",
    )
    .or('a')];
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
