//! `rbuild diff`: what a container changed of its image's files.

use std::process::ExitCode;

use rbuild_container::How;

use super::several::{one, worded};
use crate::app::App;
use crate::render;

/// What was typed after `rbuild diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
}

/// Prints a line for each path: A added, C changed, D deleted.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let container = one(store, &args.container)?;
    let mut text = String::new();
    for changed in rbuild_container::changes(store, &container).map_err(worded)? {
        let letter = match changed.how {
            How::Added => 'A',
            How::Changed => 'C',
            How::Deleted => 'D',
        };
        text.push(letter);
        text.push(' ');
        text.push_str(&String::from_utf8_lossy(&changed.path));
        text.push('\n');
    }
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}
