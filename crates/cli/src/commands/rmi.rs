//! `rbuild rmi`: names of images, and images without one.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_container::{ContainerId, live_process};
use rbuild_image::Reference;
use rbuild_store::{Container, ImageOrigin, ImageRemoval, Store, StoredImage};

use super::lookup;
use crate::app::App;
use crate::failure::{all_of, chain};
use crate::refused::{Refusal, Refused, Table, option};
use crate::render;

// What was typed after `rbuild rmi`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or IDs
    #[arg(required = true)]
    images: Vec<String>,
    /// Also images that have several names or that containers use
    #[arg(short, long)]
    force: bool,
    /// Docker's, for what steps left: here that is cache, and never an image
    #[arg(long, hide = true)]
    no_prune: bool,
    #[command(flatten)]
    refused: Refused<OfRmi>,
}

/// Options that are refused.
#[derive(Debug)]
struct OfRmi;

impl Table for OfRmi {
    const REFUSED: &'static [Refusal] = &[option(
        "platform",
        "an image is removed for all its platforms",
    )];
}

/// Removes images; the failure of one does not keep the others.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let mut failures = Vec::new();
    for text in &args.images {
        match remove(store, text, args.force) {
            Ok((image, removal)) => render::out(&report(&image, &removal))?,
            Err(error) if args.force && error.downcast_ref::<lookup::NoSuchImage>().is_some() => {}
            Err(error) => failures.push(chain(error.as_ref())),
        }
    }
    all_of(&failures)?;
    Ok(ExitCode::SUCCESS)
}

/// What went, and the image as it was before.
fn remove(store: &Store, text: &str, force: bool) -> anyhow::Result<(StoredImage, ImageRemoval)> {
    let found = lookup::image(store, text)?;
    let users = store.containers_of_image(&found.image.digest)?;
    let removal = match &found.name {
        Some(name) => untag(store, text, &found.image, name, &users, force),
        None => delete(store, text, &found.image, &users, force),
    };
    Ok((found.image, removal?))
}

/// Takes a name away; with the last one the image goes, unless containers use it.
fn untag(
    store: &Store,
    text: &str,
    image: &StoredImage,
    name: &Reference,
    users: &[Container],
    force: bool,
) -> anyhow::Result<ImageRemoval> {
    // Names stand for digests, not the other way round.
    let name = image
        .names
        .iter()
        .find(|known| *known == name)
        .or_else(|| {
            image
                .names
                .iter()
                .find(|known| same_repository(known, name))
        })
        .unwrap_or(name);
    if let (1, Some(user), false) = (image.names.len(), users.first(), force) {
        bail!(
            "conflict: unable to remove repository reference {text:?} (must force) - container {} is using its referenced image {}",
            ContainerId::from_store(&user.id).short(),
            image.id.short()
        );
    }
    store
        .untag(name)?
        .with_context(|| format!("No such image: {text}"))
}

fn same_repository(one: &Reference, other: &Reference) -> bool {
    one.registry() == other.registry() && one.repository() == other.repository()
}

/// Removes an image that was named by its ID, with all its names.
fn delete(
    store: &Store,
    text: &str,
    image: &StoredImage,
    users: &[Container],
    force: bool,
) -> anyhow::Result<ImageRemoval> {
    let short = |container: &Container| ContainerId::from_store(&container.id).short().to_owned();
    if let Some(user) = users.iter().find(|user| live_process(user).is_some()) {
        bail!(
            "conflict: unable to delete {text} (cannot be forced) - image is being used by running container {}",
            short(user)
        );
    }
    if let (Some(user), false) = (users.first(), force) {
        bail!(
            "conflict: unable to delete {text} (must be forced) - image is being used by stopped container {}",
            short(user)
        );
    }
    let repositories: BTreeSet<_> = image
        .names
        .iter()
        .map(Reference::familiar_repository)
        .collect();
    if repositories.len() > 1 && !force {
        bail!(
            "conflict: unable to delete {text} (must be forced) - image is referenced in multiple repositories"
        );
    }
    store
        .remove_image(&image.digest)?
        .with_context(|| format!("No such image: {text}"))
}

/// docker's lines: with its last name a pulled image also loses the digest that its repository knows it by.
fn report(image: &StoredImage, removal: &ImageRemoval) -> String {
    let mut lines: Vec<String> = Vec::new();
    for name in &removal.untagged {
        lines.push(format!("Untagged: {}\n", name.familiar()));
    }
    if let (ImageOrigin::Registry(origin), false) = (&image.origin, removal.deleted.is_empty()) {
        let repository = origin.familiar_repository();
        let known = format!("Untagged: {repository}@{}\n", image.digest);
        if !lines.contains(&known) {
            lines.push(known);
        }
    }
    let deleted = removal.deleted.iter();
    lines.extend(deleted.map(|id| format!("Deleted: {id}\n")));
    lines.concat()
}
