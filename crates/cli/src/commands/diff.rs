//! `rbuild diff`: what a container changed of its image's files, or what differs between two images.

use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::How;
use rbuild_layer::{Change, ContentIndex};

use super::layers::extracted;
use super::several::{one, worded};
use super::{documents, lookup};
use crate::app::App;
use crate::render;

// What was typed after `rbuild diff`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rbuild diff CONTAINER\n       rbuild diff IMAGE IMAGE")]
pub(crate) struct Args {
    /// A container: what it changed of its image's files. Or, of two, an image: what became of its files in the other one
    #[arg(value_name = "CONTAINER|IMAGE")]
    first: String,
    /// The image that the first one is compared with
    #[arg(value_name = "IMAGE")]
    second: Option<String>,
}

// What was typed after `rbuild container diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct ContainerArgs {
    /// Name, ID, or beginning of an ID
    container: String,
}

/// Prints a line for each path: A added, C changed, D deleted.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    match &args.second {
        None => {
            refuse_image(app, &args.first)?;
            of_container(app, &args.first)
        }
        Some(second) => of_images(app, &args.first, second),
    }
}

/// Who names one image perhaps forgot the other.
fn refuse_image(app: &App, name: &str) -> anyhow::Result<()> {
    let store = app.store()?;
    let image = lookup::find(store, name).ok().flatten();
    if image.is_some() && store.container(name)?.is_none() {
        bail!("No such container: {name} (it is an image: name two, to see what differs)");
    }
    Ok(())
}

/// As [`run`], of containers alone.
pub(crate) fn run_container(app: &App, args: &ContainerArgs) -> anyhow::Result<ExitCode> {
    of_container(app, &args.container)
}

fn of_container(app: &App, name: &str) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let container = one(store, name)?;
    let mut text = String::new();
    for changed in rbuild_container::changes(store, &container).map_err(worded)? {
        let letter = match changed.how {
            How::Added => 'A',
            How::Changed => 'C',
            How::Deleted => 'D',
        };
        push_line(&mut text, letter, &changed.path);
    }
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What is to be seen in the one image, against what is to be seen in the other: how either came to be does not count, nor do times.
fn of_images(app: &App, first: &str, second: &str) -> anyhow::Result<ExitCode> {
    let (before, now) = (files(app, first)?, files(app, second)?);
    let mut text = String::new();
    for change in before.changes(&now) {
        let letter = match change {
            Change::Added(_) => 'A',
            Change::Changed { .. } => 'C',
            Change::Removed(_) => 'D',
        };
        push_line(&mut text, letter, &[b"/", change.path()].concat());
    }
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn files(app: &App, name: &str) -> anyhow::Result<ContentIndex> {
    let found = lookup::image(app.store()?, name)?;
    let image = documents::any_platform(app, &found.image)?;
    let layers = extracted(app, &image)?.layers;
    let indexes = layers.iter().map(|layer| layer.index());
    let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
    let bottom_first: Vec<&ContentIndex> = indexes.iter().map(AsRef::as_ref).collect();
    Ok(ContentIndex::merge(&bottom_first))
}

fn push_line(text: &mut String, letter: char, path: &[u8]) {
    text.push(letter);
    text.push(' ');
    text.push_str(&String::from_utf8_lossy(path));
    text.push('\n');
}
