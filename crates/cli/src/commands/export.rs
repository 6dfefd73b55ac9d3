//! `rbuild export`: all files of a container as a tar.

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::several::{one, worded};
use crate::app::App;

// What was typed after `rbuild export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the archive.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let container = one(store, &args.container)?;
    let stdout = std::io::stdout();
    match &args.output {
        Some(path) => {
            let file = File::create(path);
            let file = file.with_context(|| format!("failed to create {}", path.display()))?;
            rbuild_container::export(store, &container, file).map_err(worded)?;
        }
        None if stdout.is_terminal() => {
            bail!("cowardly refusing to save to a terminal: use -o FILE, or redirect");
        }
        None => rbuild_container::export(store, &container, stdout.lock()).map_err(worded)?,
    }
    Ok(ExitCode::SUCCESS)
}
