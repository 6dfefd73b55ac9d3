//! `rbuild import`: an image of the files in a tar.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_container::Import;
use rbuild_image::Reference;
use rbuild_solve::Cancel;
use rbuild_source::{HttpRequest, unpacked};

use super::pull::{cancelled_by_the_user, platform};
use super::several::worded;
use crate::app::App;
use crate::failure::chain;
use crate::render;

// What was typed after `rbuild import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A tar, plain or packed with gzip, bzip2, xz or zstd: a file, the address of one, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    source: String,
    /// The image's name
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<Reference>,
    /// An instruction of a Dockerfile, such as USER app
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,
    /// What the image's history says of it
    #[arg(short, long)]
    message: Option<String>,
    /// What the image is for, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
}

/// Makes the image and prints its ID.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(name) = args.name.as_ref().filter(|name| name.digest().is_some()) {
        bail!("an image cannot be imported as {name}: its digest is not known before");
    }
    let platform = platform(app, args.platform.as_deref())?;
    let cancel = cancelled_by_the_user(app)?;
    let stream = opened(app, &args.source, &cancel)?;
    let tar = unpacked(stream).with_context(|| format!("failed to read {}", args.source))?;
    let message = match &args.message {
        Some(message) => message.clone(),
        None => format!("Imported from {}", args.source),
    };
    let store = app.store()?;
    let import = Import {
        platform: &platform,
        message: &message,
        changes: &args.changes,
        now: app.environment.now(),
    };
    let image = rbuild_container::import(store, tar, &import).map_err(worded)?;
    let id = image.enter(store, args.name.as_ref()).map_err(worded)?;
    render::out(&format!("{id}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn opened(app: &App, source: &str, cancel: &Cancel) -> anyhow::Result<Box<dyn Read + Send>> {
    if source == "-" {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            bail!("there is nothing to import: standard input is a terminal");
        }
        return Ok(Box::new(stdin));
    }
    if source.starts_with("http://") || source.starts_with("https://") {
        let request = HttpRequest {
            url: source,
            ..HttpRequest::default()
        };
        let going_on = |_, _| {
            if cancel.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let file = app.http()?.fetch(&request, &going_on);
        let file = file.map_err(|error| anyhow::anyhow!("failed to {}", chain(&error)))?;
        return Ok(Box::new(file.file().try_clone()?));
    }
    let file = File::open(source).with_context(|| format!("failed to open {source}"))?;
    Ok(Box::new(file))
}
