//! `rbuild imagetools`: images in registries, without pulling them.

mod create;
mod index;
mod inspect;
mod source;
mod statements;

use std::process::ExitCode;

pub(super) use self::index::{Document, index_of};
pub(super) use self::source::{Found, Source};
use crate::app::App;

// What was typed after `rbuild imagetools`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
enum Command {
    /// Put images together to one for several platforms, or copy one
    Create(create::Args),
    /// Show what a name stands for in its registry
    Inspect(inspect::Args),
}

/// Does what was asked.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Create(args) => create::run(app, args),
        Command::Inspect(args) => inspect::run(app, args),
    }
}
