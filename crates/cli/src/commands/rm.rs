//! `rbuild rm`: containers that are no longer needed.

use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::{AnonymousVolumes, Condition, ContainerError};
use rbuild_store::{Container, Store};

use super::several::{each_printing, worded};
use crate::app::App;
use crate::refused::{Refusal, Refused, Table, flag};

// What was typed after `rbuild rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
    /// Kill those that run; those that are not there are fine
    #[arg(short, long)]
    force: bool,
    /// Also their anonymous volumes
    #[arg(short, long)]
    volumes: bool,
    #[command(flatten)]
    refused: Refused<OfRm>,
}

/// Options that are refused.
#[derive(Debug)]
struct OfRm;

impl Table for OfRm {
    const REFUSED: &'static [Refusal] = &[flag(
        "link",
        "containers are not linked: those of one network know each other by name",
    )
    .or('l')];
}

/// Removes containers; the failure of one does not keep the others.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let known = |name: &String| Ok::<bool, anyhow::Error>(store.container(name)?.is_some());
    let mut names = Vec::new();
    for name in &args.containers {
        if !args.force || known(name)? {
            names.push(name.clone());
        }
    }
    each_printing(store, &names, |name, container| {
        remove(store, container, args)?;
        Ok(format!("{name}\n"))
    })
}

fn remove(store: &Store, container: &Container, args: &Args) -> anyhow::Result<()> {
    let condition = Condition::of(container);
    if condition.is_active() {
        if !args.force {
            bail!(
                "cannot remove container {:?}: container is {}: stop the container before removing or force remove",
                format!("/{}", container.name),
                condition.word(),
            );
        }
        rbuild_container::destroy(store, container).map_err(worded)?;
    }
    let volumes = if args.volumes {
        AnonymousVolumes::Removed
    } else {
        AnonymousVolumes::Kept
    };
    match rbuild_container::remove(store, &container.id, volumes) {
        // With --rm it was removed as soon as it had ended.
        Err(ContainerError::Missing { .. }) => Ok(()),
        other => other.map_err(worded),
    }
}
