//! `rbuild manifest`: lists of manifests, put together here and pushed when they are complete, as `docker manifest` does.
//!
//! ```text
//! create ─→ list in the store ─ annotate, create --amend ─→ push ─→ index in the registry
//! ```

mod annotate;
mod create;
mod inspect;
mod push;

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_image::{Manifest, Reference};
use rbuild_store::{ListedManifest, ManifestList, Store};

use super::imagetools::{Document, index_of};
use super::pull::parse_name;
use crate::app::App;
use crate::render;

// What was typed after `rbuild manifest`.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
enum Verb {
    /// Begin a list of images that are in registries, or add to one
    Create(create::Args),
    /// Say for which platform an image of a list is
    Annotate(annotate::Args),
    /// Show a list, or what a name stands for in its registry
    Inspect(inspect::Args),
    /// Push a list to its registry: one image for several platforms
    Push(push::Args),
    /// Name the lists that are kept here
    #[command(alias = "list")]
    Ls,
    /// Forget lists; what was pushed stays
    Rm {
        /// Names of lists
        #[arg(required = true, value_name = "LIST")]
        lists: Vec<String>,
    },
}

/// Does it.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Create(args) => create::run(app, args)?,
        Verb::Annotate(args) => annotate::run(app, args)?,
        Verb::Inspect(args) => inspect::run(app, args)?,
        Verb::Push(args) => push::run(app, args)?,
        Verb::Ls => list(app.store()?)?,
        Verb::Rm { lists } => remove(app.store()?, lists)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store) -> anyhow::Result<()> {
    let mut text = String::new();
    for list in store.manifest_lists()? {
        let _ = writeln!(text, "{}", list.name.familiar()); // writing to a string cannot fail
    }
    render::out(&text)?;
    Ok(())
}

/// Forgets those that are there, whatever is wrong with others.
fn remove(store: &Store, lists: &[String]) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for name in lists {
        if !store.remove_manifest_list(&parse_name(name)?)? {
            missing.push(name.as_str());
        }
    }
    if !missing.is_empty() {
        bail!("no such manifest list: {}", missing.join(", "));
    }
    Ok(())
}

/// The list that is called `name`.
fn known(store: &Store, name: &Reference) -> anyhow::Result<ManifestList> {
    store.manifest_list(name)?.with_context(|| {
        format!(
            "no such manifest list: {} (rbuild manifest create {0} IMAGE… makes one)",
            name.familiar()
        )
    })
}

/// The entry of `list` that `name` stands for.
fn entry_of<'a>(
    list: &'a mut ManifestList,
    name: &Reference,
) -> anyhow::Result<&'a mut ListedManifest> {
    let called = list.name.familiar();
    let mut entries = list.entries.iter_mut();
    let entry = entries.find(|entry| entry.reference == *name);
    entry.with_context(|| {
        format!(
            "manifest for image {} does not exist in {called}",
            name.familiar()
        )
    })
}

/// The index that a list is.
fn index(list: &ManifestList) -> Document {
    let entries = list.entries.iter().map(|one| one.descriptor.clone());
    let entries: Vec<_> = entries.collect();
    index_of(&entries)
}

/// Whether a document is a list of manifests.
fn is_index(manifest: &Manifest) -> bool {
    matches!(manifest, Manifest::Index(_))
}

/// Lets the registries of `names` be who they say, where that was asked for.
fn trust<'a>(app: &App, insecure: bool, names: impl IntoIterator<Item = &'a Reference>) {
    if insecure {
        for name in names {
            app.registry().trust(name.registry());
        }
    }
}
