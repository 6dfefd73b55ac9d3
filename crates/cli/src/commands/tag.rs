//! `rbuild tag`: another name for an image.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_image::Reference;

use super::lookup;
use crate::app::App;

// What was typed after `rbuild tag`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image, by name or ID
    source: String,
    /// Its new name
    target: String,
}

/// Gives an image another name; an image that had it before loses it.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let target: Reference = args
        .target
        .parse()
        .with_context(|| format!("invalid name {:?}", args.target))?;
    if target.digest().is_some() {
        bail!(
            "refusing to create a tag with a digest reference: {:?}",
            args.target
        );
    }
    let store = app.store()?;
    let found = lookup::image(store, &args.source)?;
    store.set_tag(&target, &found.image.descriptor)?;
    Ok(ExitCode::SUCCESS)
}
