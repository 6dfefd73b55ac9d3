//! `rbuild cache`: what the cache knows.

mod mounts;
mod why;

use std::process::ExitCode;

use crate::app::App;

// What was typed after `rbuild cache`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
enum Command {
    /// Say why the steps of a Dockerfile ran when they last ran
    Why(why::Args),
    /// List, remove, pack and unpack cache mounts
    Mounts(mounts::Args),
}

/// Does what was asked.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Why(args) => why::run(app, args),
        Command::Mounts(args) => mounts::run(app, args),
    }
}

pub(crate) use why::explained;
