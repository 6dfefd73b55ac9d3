//! `rbuild version`.

use std::process::ExitCode;

use serde_json::json;

use super::format::Format;
use crate::render;

// What was typed after `rbuild version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a template such as '{{.Version}}'
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,
}

/// Prints the version. Who asks for docker's client or server gets the same: there is one program.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut version = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": std::env::consts::OS,
        "Arch": std::env::consts::ARCH,
    });
    let both = [version.clone(), version.clone()];
    for (name, side) in ["Client", "Server"].into_iter().zip(both) {
        version[name] = side;
    }
    render::out(&match &args.format {
        Some(format) => format.render(&[version])?,
        None => format!("rbuild {}\n", env!("CARGO_PKG_VERSION")),
    })?;
    Ok(ExitCode::SUCCESS)
}
