//! `rbuild pull`: an image from a registry.

use std::process::ExitCode;

use anyhow::Context as _;
use rbuild_image::{Platform, Reference};
use rbuild_solve::Cancel;

use super::fetch;
use crate::app::App;
use crate::interrupt;
use crate::refused::{ContentTrust, Refusal, Refused, Table, flag};
use crate::render::{self, Board, Voice};

// What was typed after `rbuild pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image: [REGISTRY/]NAME[:TAG|@DIGEST]; without a registry, docker.io's
    name: String,
    /// The platform to fetch, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    content_trust: ContentTrust,
    #[command(flatten)]
    refused: Refused<OfPull>,
}

/// Options that are refused.
#[derive(Debug)]
struct OfPull;

impl Table for OfPull {
    const REFUSED: &'static [Refusal] = &[flag(
        "all-tags",
        "name the tags that you mean, each with a pull of its own",
    )
    .or('a')];
}

/// Pulls an image.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let reference = parse_name(&args.name)?;
    let platform = platform(app, args.platform.as_deref())?;
    let cancel = cancelled_by_the_user(app)?;
    let mut board = Board::new(if args.quiet {
        Voice::Silent
    } else {
        Voice::Stdout
    });
    if defaulted(&args.name) {
        board.say("Using default tag: latest");
    }
    fetch::pull(app, &reference, &platform, &mut board, &cancel)?;
    render::out(&format!("{reference}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The name of an image in a registry.
pub(super) fn parse_name(name: &str) -> anyhow::Result<Reference> {
    name.parse()
        .with_context(|| format!("invalid reference {name:?}"))
}

/// Whether a name has neither tag nor digest.
pub(super) fn defaulted(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    !last.contains([':', '@'])
}

/// `--platform`, else this machine's.
pub(super) fn platform(app: &App, given: Option<&str>) -> anyhow::Result<Platform> {
    match given {
        None | Some("local") => Ok(app.platform()),
        Some(text) => text
            .parse()
            .with_context(|| format!("invalid platform {text:?}")),
    }
}

/// Ends transfers when the user interrupts.
pub(super) fn cancelled_by_the_user(app: &App) -> anyhow::Result<Cancel> {
    let cancel = Cancel::new();
    interrupt::on_interrupt({
        let (cancel, registry) = (cancel.clone(), app.registry().clone());
        move || {
            cancel.cancel();
            registry.cancel();
        }
    })?;
    Ok(cancel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        assert!(defaulted("debian"));
        assert!(defaulted("localhost:5000/app"));
        assert!(!defaulted("localhost:5000/app:1"));
        assert!(!defaulted("app@sha256:00"));
    }
}
