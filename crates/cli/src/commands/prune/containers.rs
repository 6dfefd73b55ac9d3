//! `rbuild container prune`: containers that do not run.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use rbuild_container::{ContainerId, StoredConfig};
use rbuild_store::{Choice, Container, Prune, PruneOptions, UsageItem};

use super::chosen::Chosen;
use super::{SURE, confirmed, note_ends, tell};
use crate::app::App;
use crate::commands::documents;

// What was typed after `rbuild container prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only what fits: until=24h, label=NAME[=VALUE], label!=NAME[=VALUE]
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
}

/// Removes them.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let now = app.environment.now();
    let chosen = Chosen::parse(&args.filters, now)?;
    let store = app.store()?;
    let warning = "WARNING! This will remove all stopped containers.";
    if !args.force && !confirmed(&format!("{warning}\n{SURE}"))? {
        return Ok(ExitCode::SUCCESS);
    }
    note_ends(store, now)?;
    let mut fitting: Vec<Container> = store.containers()?;
    fitting.retain(|one| chosen.fits(Some(one.created), labels(one).as_ref()));
    let fitting: BTreeSet<String> = fitting.into_iter().map(|one| one.id).collect();
    let fits = |item: &UsageItem| fitting.contains(&item.id);
    tell(&store.prune(&PruneOptions {
        containers: Prune::Unused,
        only: Some(Choice(&fits)),
        ..PruneOptions::default()
    })?)?;
    Ok(ExitCode::SUCCESS)
}

/// `None` if another version of this program wrote them.
fn labels(container: &Container) -> Option<BTreeMap<String, String>> {
    let id = ContainerId::from_store(&container.id);
    let config = StoredConfig::from_json(&id, &container.config);
    config.as_ref().ok().map(documents::labels)
}
