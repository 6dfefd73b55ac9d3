//! `rbuild push`: an image to its registry.
//!
//! ```text
//! pulled, or all layers compressed   its own manifest and blobs, so that its digest stays what it is
//! built here                         layers are compressed on the way, by rbuild-export
//! ```

mod as_is;
mod attestations;
mod converted;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_image::Reference;
use rbuild_solve::Cancel;

use super::image_documents::Documents;
use super::lookup;
use super::pull::{cancelled_by_the_user, defaulted, parse_name, platform};
use crate::app::App;
use crate::refused::ContentTrust;
use crate::render::{self, Board, Voice};

// What was typed after `rbuild push`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image, called as it is to be called there: [REGISTRY/]NAME[:TAG]; without a registry, at docker.io
    name: String,
    /// All tags of the repository that are here
    #[arg(short, long)]
    all_tags: bool,
    /// Only the image for this platform, where it is for several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    content_trust: ContentTrust,
}

/// Pushes an image under its name, with all that the registry does not have.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let name = parse_name(&args.name)?;
    let names = if args.all_tags {
        all_tags(app, &name, &args.name)?
    } else {
        vec![name]
    };
    let cancel = cancelled_by_the_user(app)?;
    for name in &names {
        push(app, args, name, &cancel)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names here that are of the same repository.
fn all_tags(app: &App, name: &Reference, typed: &str) -> anyhow::Result<Vec<Reference>> {
    if !defaulted(typed) {
        bail!("tag can't be used with --all-tags/-a");
    }
    let images = app.store()?.images()?;
    let names = images.into_iter().flat_map(|image| image.names);
    let mut names: Vec<Reference> = names
        .filter(|one| one.tag().is_some())
        .filter(|one| (one.registry(), one.repository()) == (name.registry(), name.repository()))
        .collect();
    if names.is_empty() {
        bail!("An image does not exist locally with the tag: {typed}");
    }
    names.sort();
    Ok(names)
}

fn push(app: &App, args: &Args, name: &Reference, cancel: &Cancel) -> anyhow::Result<()> {
    let Some(tag) = name.tag().filter(|_| name.digest().is_none()) else {
        bail!("cannot push a digest reference: name a tag");
    };
    let store = app.store()?;
    let Some(image) = store.image(name)? else {
        let missing = lookup::missing(store, &args.name)?;
        return Err(missing).with_context(|| format!("nothing to push under the name {name}"));
    };
    let mut board = Board::new(if args.quiet {
        Voice::Silent
    } else {
        Voice::Stdout
    });
    if defaulted(&args.name) && !args.all_tags {
        board.say("Using default tag: latest");
    }
    let (registry, repository) = (name.registry(), name.repository());
    board.say(&format!(
        "The push refers to repository [{registry}/{repository}]"
    ));
    let mut documents = Documents::read(store, &image)?;
    if let Some(text) = &args.platform {
        let platform = platform(app, Some(text))?;
        if !documents.choose(store, &platform)? {
            bail!("image {} is not here for {platform}", args.name);
        }
    }
    let pushed = if documents.travels_as_it_is(&image.origin) {
        as_is::push(app, &documents, &image, name, &mut board, cancel)?
    } else {
        converted::push(app, &documents, name, board, cancel)?
    };
    if args.quiet {
        render::out(&format!("{name}\n"))?;
    } else {
        let size = pushed.size();
        render::out(&format!(
            "{tag}: digest: {} size: {size}\n",
            pushed.digest()
        ))?;
    }
    Ok(())
}
