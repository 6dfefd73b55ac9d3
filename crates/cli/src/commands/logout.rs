//! `rbuild logout`: forgets the password for a registry.

use std::process::ExitCode;

use rbuild_registry::CredentialFile;

use super::login;
use crate::app::App;
use crate::render;

// What was typed after `rbuild logout`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry, as localhost:5000, or the part of it that was logged in to [default: docker.io]
    server: Option<String>,
}

/// Logs out. To be logged out already is no failure.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let login = login::login_name(args.server.as_deref());
    let said = if login::file(app)?.remove(&login)? {
        "Removing login credentials for"
    } else {
        "Not logged in to"
    };
    render::out(&format!("{said} {login}\n"))?;
    for path in app.environment.credential_files().into_iter().skip(1) {
        // What other programs keep is theirs, but builds use it.
        if CredentialFile::new(&path).has(&login)? {
            render::note(&format!(
                "note: {} still has credentials for {login}, and they are used\n",
                path.display()
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
