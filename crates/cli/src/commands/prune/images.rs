//! `rbuild image prune`: images that nothing uses.

use std::collections::BTreeSet;
use std::process::ExitCode;

use rbuild_store::{Choice, ImagePrune, PruneOptions, StoredImage, UsageItem};

use super::chosen::Chosen;
use super::{SURE, confirmed, tell};
use crate::app::App;
use crate::commands::documents;

// What was typed after `rbuild image prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those with a name that no container uses
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only what fits: until=24h (when the image was made), label=NAME[=VALUE], label!=NAME[=VALUE]
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
}

/// Removes them.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let chosen = Chosen::parse(&args.filters, app.environment.now())?;
    let store = app.store()?;
    let (images, which) = if args.all {
        let those = "images without at least one container associated to them";
        (ImagePrune::Unused, those)
    } else {
        (ImagePrune::Dangling, "dangling images")
    };
    let warning = format!("WARNING! This will remove all {which}.");
    if !args.force && !confirmed(&format!("{warning}\n{SURE}"))? {
        return Ok(ExitCode::SUCCESS);
    }
    let fitting: BTreeSet<String> = store
        .images()?
        .into_iter()
        .filter(|image| is_chosen(app, &chosen, image))
        .map(|image| image.id.to_string())
        .collect();
    let fits = |item: &UsageItem| fitting.contains(&item.id);
    tell(&store.prune(&PruneOptions {
        images,
        only: Some(Choice(&fits)),
        ..PruneOptions::default()
    })?)?;
    Ok(ExitCode::SUCCESS)
}

/// Of an image that cannot be read nothing is known but when it came here.
fn is_chosen(app: &App, chosen: &Chosen, image: &StoredImage) -> bool {
    match documents::any_platform(app, image) {
        Ok(found) => chosen.fits(
            documents::created(&found),
            Some(&found.config.config.labels),
        ),
        Err(_) => chosen.fits(Some(image.stored), None),
    }
}
