//! `rbuild logout`: forgets the password for a registry.

use std::process::ExitCode;

use super::login;
use crate::app::App;
use crate::render;

/// What was typed after `rbuild logout`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry, as localhost:5000 [default: docker.io]
    server: Option<String>,
}

/// Logs out. To be logged out already is no failure.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let registry = login::registry_name(args.server.as_deref());
    let said = if login::file(app)?.remove(&registry)? {
        "Removing login credentials for"
    } else {
        "Not logged in to"
    };
    render::out(&format!("{said} {registry}\n"))?;
    Ok(ExitCode::SUCCESS)
}
