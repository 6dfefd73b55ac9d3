//! `rbuild port`: what is published of a container.

use std::process::ExitCode;

use super::several::one;
use crate::app::App;

/// What was typed after `rbuild port`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
    /// Only this port, as 80/tcp
    port: Option<String>,
}

/// Prints nothing: containers are on the host's network, where their ports can be reached as they are.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let container = one(app.store()?, &args.container)?;
    if let Some(port) = &args.port {
        anyhow::bail!(
            "no public port {port} published for {}: containers are on the host's network",
            container.name
        );
    }
    Ok(ExitCode::SUCCESS)
}
