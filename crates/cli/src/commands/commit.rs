//! `rbuild commit`: an image of what a container changed.

use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::{Commit, Condition, ContainerError};
use rbuild_image::Reference;
use rbuild_store::Container;

use super::documents;
use super::pull::parse_name;
use super::several::{one, worded};
use crate::app::App;
use crate::render;

// What was typed after `rbuild commit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
    /// The image's name
    name: Option<String>,
    /// Who made it
    #[arg(short, long, default_value = "", hide_default_value = true)]
    author: String,
    /// What was done
    #[arg(short, long, default_value = "", hide_default_value = true)]
    message: String,
    /// An instruction of a Dockerfile, such as USER app
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,
    /// Whether the container stands still meanwhile
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true")]
    #[arg(action = clap::ArgAction::Set)]
    pause: bool,
}

/// Makes the image and prints its ID.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let container = one(store, &args.container)?;
    let name = args.name.as_deref().map(parse_name).transpose()?;
    let frozen = args.pause && freeze(app, &container);
    let made = make(app, args, &container, name.as_ref());
    if frozen {
        match rbuild_container::resume(store, &container) {
            // Somebody else was faster.
            Ok(()) | Err(ContainerError::NotPaused { .. }) => {}
            Err(error) => return Err(worded(error)),
        }
    }
    render::out(&format!("{}\n", made?))?;
    Ok(ExitCode::SUCCESS)
}

/// Where a container cannot be frozen, its files are taken as they are.
fn freeze(app: &App, container: &Container) -> bool {
    let runs = matches!(Condition::of(container), Condition::Running { .. });
    runs && app
        .store()
        .is_ok_and(|store| rbuild_container::pause(store, container).is_ok())
}

fn make(
    app: &App,
    args: &Args,
    container: &Container,
    name: Option<&Reference>,
) -> anyhow::Result<rbuild_image::Digest> {
    let store = app.store()?;
    let image = match &container.image {
        Some(digest) => store.image_by_digest(digest)?,
        None => None,
    };
    let Some(image) = image else {
        bail!(
            "the image of container {} is not here any more: pull {} first",
            container.name,
            container.image_name
        );
    };
    let base = documents::any_platform(app, &image)?;
    let commit = Commit {
        base: &base.config,
        layers: &base.layers,
        author: &args.author,
        message: &args.message,
        changes: &args.changes,
        now: app.environment.now(),
    };
    let image = rbuild_container::commit(store, container, &commit).map_err(worded)?;
    image.enter(store, name).map_err(worded)
}
