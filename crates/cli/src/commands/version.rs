//! `rbuild version`.

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

/// Prints the version.
pub(crate) fn run(args: &Args) {
    let version = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": std::env::consts::OS,
        "Arch": std::env::consts::ARCH,
    });
    let plain = format!("rbuild {}\n", env!("CARGO_PKG_VERSION"));
    let text = match &args.format {
        Some(format) => format.render(&[version]).unwrap_or(plain),
        None => plain,
    };
    // There is nobody to tell when standard output is gone.
    let _ = render::out(&text);
}
