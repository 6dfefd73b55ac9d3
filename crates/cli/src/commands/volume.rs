//! `rbuild volume`: directories that outlive containers.

use std::collections::BTreeMap;
use std::process::ExitCode;

use rbuild_container::{
    ANONYMOUS_LABEL, ContainerError, NamedVolume, create_volume, remove_volume, volume,
    volume_users, volumes,
};
use rbuild_store::{Action, Store, tree_bytes};
use serde_json::{Value, json};

use super::documents;
use super::filter::Filters;
use super::format::Format;
use super::history::{cell, column};
use super::inspect::indented;
use super::prune::{SURE, confirmed};
use super::several::worded;
use crate::app::App;
use crate::failure::{all_of, chain};
use crate::refused::{Refusal, Refused, Table, flag, option};
use crate::render::{self, bytes_human};

// What was typed after `rbuild volume`.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
enum Verb {
    /// Make a volume; one that is there is fine
    Create {
        /// Its name; a made-up one if none is given
        name: Option<String>,
        /// Label: NAME[=VALUE]
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// local
        #[arg(short, long, value_name = "DRIVER", default_value = "local")]
        #[arg(value_parser = ["local"], hide_possible_values = true)]
        driver: String,
        #[command(flatten)]
        refused: Refused<OfCreate>,
    },
    /// List volumes
    #[command(alias = "list")]
    Ls {
        /// Only names
        #[arg(short, long)]
        quiet: bool,
        /// Only volumes that fit: name=PATTERN, driver=local, label=NAME[=VALUE], dangling=true|false
        #[arg(short, long = "filter", value_name = "FILTER")]
        filters: Vec<String>,
        /// json, or a template such as '{{.Name}}'
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        #[command(flatten)]
        refused: Refused<OfLs>,
    },
    /// Remove volumes that no container has
    #[command(alias = "remove")]
    Rm {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
        /// Those that are not there are fine
        #[arg(short, long)]
        force: bool,
    },
    /// Show everything about volumes, as JSON
    Inspect {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
        /// json, or a template
        #[arg(short, long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Remove volumes that no container has and that nobody gave a name
    Prune {
        /// Do not ask
        #[arg(short, long)]
        force: bool,
        /// Also those that were given a name
        #[arg(short, long)]
        all: bool,
        /// Only what fits: label=NAME[=VALUE], label!=NAME[=VALUE]
        #[arg(long = "filter", value_name = "FILTER")]
        filters: Vec<String>,
    },
}

const SWARM: &str = "volumes are directories of this machine";

/// Options of `create` that are refused.
#[derive(Debug)]
struct OfCreate;

impl Table for OfCreate {
    const REFUSED: &'static [Refusal] = &[
        option("availability", SWARM),
        option("group", SWARM),
        option("limit-bytes", SWARM),
        option("opt", "what a volume is made of cannot be chosen: mount it on the host, and give its path to -v").or('o'),
        option("required-bytes", SWARM),
        option("scope", SWARM),
        option("secret", SWARM),
        option("sharing", SWARM),
        option("topology-preferred", SWARM),
        option("topology-required", SWARM),
        option("type", SWARM),
    ];
}

/// Options of `ls` that are refused.
#[derive(Debug)]
struct OfLs;

impl Table for OfLs {
    const REFUSED: &'static [Refusal] = &[flag("cluster", SWARM)];
}

/// Does it.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Create { name, labels, .. } => create(app, name.as_deref(), labels)?,
        Verb::Ls {
            quiet,
            filters,
            format,
            ..
        } => list(app, *quiet, filters, format.as_deref())?,
        Verb::Rm { names, force } => remove(app, names, *force)?,
        Verb::Inspect { names, format } => inspect(app, names, format.as_deref())?,
        Verb::Prune {
            force,
            all,
            filters,
        } => prune(app, *force, *all, filters)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn create(app: &App, name: Option<&str>, labels: &[String]) -> anyhow::Result<()> {
    let given = labels
        .iter()
        .map(|label| label.split_once('=').unwrap_or((label, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut labels: BTreeMap<_, _> = given.collect();
    let name = if let Some(name) = name {
        name.to_owned()
    } else {
        labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
        super::run::random_name()?
    };
    let made = create_volume(app.store()?, &name, labels, app.environment.now());
    render::out(&format!("{}\n", made.map_err(worded)?.name))?;
    Ok(())
}

fn list(app: &App, quiet: bool, filters: &[String], format: Option<&str>) -> anyhow::Result<()> {
    let format = format.map(Format::parse).transpose()?;
    let filters = Filters::parse(filters, &["name", "driver", "label", "label!", "dangling"])?;
    let dangling = filters.truth("dangling")?;
    let store = app.store()?;
    let mut fitting = Vec::new();
    for one in volumes(store).map_err(worded)? {
        let unused = || volume_users(store, &one.name).map(|users| users.is_empty());
        if filters.matches("name", &one.name)
            && filters.any("driver", |value| value == "local")
            && filters.labels_fit(&one.labels)
            && (dangling.is_none() || dangling == Some(unused().map_err(worded)?))
        {
            fitting.push(one);
        }
    }
    let rows: Vec<Value> = fitting
        .iter()
        .map(|one| {
            let labels = one
                .labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"));
            json!({
                "Driver": "local",
                "Labels": labels.collect::<Vec<_>>().join(","),
                "Mountpoint": one.data,
                "Name": one.name,
                "Scope": "local",
            })
        })
        .collect();
    let text = match format {
        _ if quiet => column(&rows, "Name"),
        Some(format) => format.render(&rows)?,
        None => {
            let mut table = render::Table::new(&["DRIVER", "VOLUME NAME"]);
            for row in &rows {
                table.row([cell(row, "Driver"), cell(row, "Name")]);
            }
            table.render()
        }
    };
    render::out(&text)?;
    Ok(())
}

fn remove(app: &App, names: &[String], force: bool) -> anyhow::Result<()> {
    let store = app.store()?;
    let mut failures = Vec::new();
    for name in names {
        if force && volume(store, name).map_err(worded)?.is_none() {
            continue;
        }
        match remove_volume(store, name) {
            Ok(()) => render::out(&format!("{name}\n"))?,
            Err(ContainerError::MissingVolume { name }) => failures.push(missing(&name)),
            Err(error) => failures.push(format!("failed to {}", chain(&error))),
        }
    }
    all_of(&failures)
}

fn missing(name: &str) -> String {
    format!("no such volume: {name}")
}

fn inspect(app: &App, names: &[String], format: Option<&str>) -> anyhow::Result<()> {
    let format = format.map(Format::parse).transpose()?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match volume(app.store()?, name).map_err(worded)? {
            Some(one) => found.push(described(&one)),
            None => failures.push(missing(name)),
        }
    }
    render::out(&match format {
        Some(format) => format.render(&found)?,
        None => format!("{}\n", indented(&Value::Array(found))?),
    })?;
    all_of(&failures)
}

/// What there is to tell of a volume; `None` if there is none of this name.
pub(super) fn find(app: &App, name: &str) -> anyhow::Result<Option<Value>> {
    let found = volume(app.store()?, name).map_err(worded)?;
    Ok(found.as_ref().map(described))
}

fn described(volume: &NamedVolume) -> Value {
    json!({
        "CreatedAt": documents::rfc3339(volume.created),
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": volume.data,
        "Name": volume.name,
        "Options": null,
        "Scope": "local",
    })
}

/// Whether nobody gave it a name.
pub(super) fn is_anonymous(volume: &NamedVolume) -> bool {
    volume.labels.contains_key(ANONYMOUS_LABEL)
}

/// Removes those that are meant and no container has. What went, as a paragraph, and its bytes.
pub(super) fn remove_unused(
    store: &Store,
    meant: impl Fn(&NamedVolume) -> bool,
    action: Action,
) -> anyhow::Result<(String, u64)> {
    let (mut names, mut freed) = (String::new(), 0);
    for one in volumes(store).map_err(worded)? {
        if !meant(&one) || !volume_users(store, &one.name).map_err(worded)?.is_empty() {
            continue;
        }
        freed += tree_bytes(&one.data)?;
        if action == Action::Remove {
            remove_volume(store, &one.name).map_err(worded)?;
        }
        names.push_str(&one.name);
        names.push('\n');
    }
    let done = match action {
        _ if names.is_empty() => return Ok((names, freed)),
        Action::Remove => "Deleted",
        Action::Rehearse => "Would delete",
    };
    Ok((format!("{done} Volumes:\n{names}\n"), freed))
}

fn prune(app: &App, force: bool, all: bool, filters: &[String]) -> anyhow::Result<()> {
    let filters = Filters::parse(filters, &["label", "label!", "all"])?;
    let all = all || filters.truth("all")? == Some(true);
    let which = if all {
        "all local volumes not used by at least one container"
    } else {
        "anonymous local volumes not used by at least one container"
    };
    let warning = format!("WARNING! This will remove {which}.");
    if !force && !confirmed(&format!("{warning}\n{SURE}"))? {
        return Ok(());
    }
    let meant = |one: &NamedVolume| (all || is_anonymous(one)) && filters.labels_fit(&one.labels);
    let (text, freed) = remove_unused(app.store()?, meant, Action::Remove)?;
    let freed = bytes_human(freed);
    render::out(&format!("{text}Total reclaimed space: {freed}\n"))?;
    Ok(())
}
