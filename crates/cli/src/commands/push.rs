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

use super::image_documents::Documents;
use super::lookup;
use super::pull::{cancelled_by_the_user, defaulted, parse_name};
use crate::app::App;
use crate::render::{self, Board, Voice};

// What was typed after `rbuild push`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image, called as it is to be called there: [REGISTRY/]NAME[:TAG]; without a registry, at docker.io
    name: String,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
}

/// Pushes an image under its name.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let name = parse_name(&args.name)?;
    let Some(tag) = name.tag().filter(|_| name.digest().is_none()) else {
        bail!("cannot push a digest reference: name a tag");
    };
    let store = app.store()?;
    let Some(image) = store.image(&name)? else {
        let missing = lookup::missing(store, &args.name)?;
        return Err(missing).with_context(|| format!("nothing to push under the name {name}"));
    };
    let cancel = cancelled_by_the_user(app)?;
    let mut board = Board::new(if args.quiet {
        Voice::Silent
    } else {
        Voice::Stdout
    });
    if defaulted(&args.name) {
        board.say("Using default tag: latest");
    }
    let (registry, repository) = (name.registry(), name.repository());
    board.say(&format!(
        "The push refers to repository [{registry}/{repository}]"
    ));
    let documents = Documents::read(store, &image)?;
    let pushed = if documents.travels_as_it_is(&image.origin) {
        as_is::push(app, &documents, &image, &name, &mut board, &cancel)?
    } else {
        converted::push(app, &documents, &name, board, &cancel)?
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
    Ok(ExitCode::SUCCESS)
}
