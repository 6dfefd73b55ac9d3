//! `rbuild ps`: containers, and what they are doing now.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use rbuild_container::{
    Condition, ContainerId, Health, HealthStatus, NetworkMode, StoredConfig, command_line,
    config_as_it_is, health, network_record,
};
use rbuild_store::{Container, Store};
use serde_json::{Value, json};

use super::documents;
use super::format::Format;
use super::history::{cell, column, shortened};
use crate::app::App;
use crate::render::{self, Table, ago};

/// Letters of COMMAND that are shown.
const COMMAND_LETTERS: usize = 20;

// What was typed after `rbuild ps`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as they are typed")]
pub(crate) struct Args {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Only IDs
    #[arg(short, long)]
    quiet: bool,
    /// Complete IDs and commands
    #[arg(long)]
    no_trunc: bool,
    /// Only the newest, whatever its state
    #[arg(short, long)]
    latest: bool,
    /// Only the N newest, whatever their state
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// Only containers that fit: name=TEXT, id=PREFIX, status=STATUS, health=HEALTH, ancestor=IMAGE, label=KEY[=VALUE],
    /// network=NAME
    #[arg(short, long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// json, or a template such as '{{.ID}} {{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Lists containers.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let filters = args
        .filters
        .iter()
        .map(|text| Filter::parse(text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let by_state = filters.iter().any(|filter| filter.key == Key::Status);
    let newest = if args.latest { Some(1) } else { args.last };
    let everything = args.all || by_state || newest.is_some();
    let now = app.environment.now();
    let store = app.store()?;
    let containers = store.containers()?;
    let listed = containers.iter().map(|one| Listed::new(store, one));
    let listed = listed.collect::<anyhow::Result<Vec<_>>>()?;
    let rows: Vec<Value> = listed
        .into_iter()
        .filter(|one| everything || one.condition.is_active())
        .filter(|one| filters.iter().all(|filter| filter.fits(one)))
        .take(newest.unwrap_or(usize::MAX))
        .map(|one| one.row(store, args, now))
        .collect();
    let text = match format {
        _ if args.quiet => column(&rows, "ID"),
        Some(format) => format.render(&rows)?,
        None => table(&rows),
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A container of the list.
struct Listed<'a> {
    container: &'a Container,
    condition: Condition,
    config: Option<StoredConfig>,
    /// Of one that runs and is checked.
    health: Option<Health>,
}

impl<'a> Listed<'a> {
    fn new(store: &Store, container: &'a Container) -> anyhow::Result<Self> {
        let condition = Condition::of(container);
        let health = match condition {
            Condition::Running { .. } => health(store, container)?,
            _ => None,
        };
        Ok(Self {
            container,
            condition,
            config: config_as_it_is(store, container),
            health,
        })
    }

    fn row(&self, store: &Store, args: &Args, now: SystemTime) -> Value {
        let id = ContainerId::from_store(&self.container.id);
        let command = self.command();
        let shown = if args.no_trunc {
            command
        } else {
            shortened(&command, COMMAND_LETTERS)
        };
        let created = documents::age(now, self.container.created);
        let labels = self
            .config
            .as_ref()
            .map(|config| config.options.labels.join(","));
        json!({
            "Command": format!("{shown:?}"),
            "CreatedAt": documents::table_time(self.container.created),
            "ID": if args.no_trunc { id.as_str() } else { id.short() },
            "Image": self.container.image_name,
            "Labels": labels.unwrap_or_default(),
            "Names": self.container.name,
            "Networks": self.networks(),
            "Ports": self.ports(store),
            "RunningFor": ago(created),
            "State": self.condition.word(),
            "Status": self.status(now),
        })
    }

    fn command(&self) -> String {
        let line = self
            .config
            .as_ref()
            .and_then(|config| command_line(&config.options, &config.image).ok());
        quoted(&line.unwrap_or_default())
    }

    fn ports(&self, store: &Store) -> String {
        match &self.config {
            Some(config) if self.condition.is_active() => {
                super::port::column(config, network_record(store, self.container).as_ref())
            }
            _ => String::new(),
        }
    }

    /// The names of its networks.
    fn networks(&self) -> String {
        let Some(config) = &self.config else {
            return String::new();
        };
        let names = config.options.networks.iter();
        let names: Vec<&str> = names.map(|one| one.network.as_str()).collect();
        match &config.options.network {
            NetworkMode::Private => names.join(","),
            other => super::inspect::network_mode(other, &config.options),
        }
    }

    fn status(&self, now: SystemTime) -> String {
        let since = |time: SystemTime| ago(documents::age(now, time));
        let up = |time: SystemTime| format!("Up {}", since(time).trim_end_matches(" ago"));
        match &self.condition {
            Condition::Created => "Created".to_owned(),
            Condition::Running { since, .. } => match &self.health {
                None => up(*since),
                Some(health) if health.status == HealthStatus::Starting => {
                    format!("{} (health: starting)", up(*since))
                }
                Some(health) => format!("{} ({})", up(*since), health.status.word()),
            },
            Condition::Paused { since, .. } => format!("{} (Paused)", up(*since)),
            Condition::Restarting(end) => format!("Restarting ({}) {}", end.code, since(end.at)),
            Condition::Exited(end) => format!("Exited ({}) {}", end.code, since(end.at)),
            // Nobody knows when.
            Condition::Lost(end) => format!("Exited ({})", end.code),
        }
    }
}

/// A command line with quotes around the words that have blanks.
fn quoted(line: &[String]) -> String {
    let quoted = |word: &String| {
        if word.contains(' ') {
            format!("'{word}'")
        } else {
            word.clone()
        }
    };
    line.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// A `--filter`.
struct Filter {
    key: Key,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Name,
    Id,
    Status,
    Health,
    Ancestor,
    Label,
    Network,
}

impl Filter {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (key, value) = text
            .split_once('=')
            .with_context(|| format!("invalid filter {text:?}: it is KEY=VALUE"))?;
        let key = match key {
            "name" => Key::Name,
            "id" => Key::Id,
            "status" => Key::Status,
            "health" => Key::Health,
            "ancestor" => Key::Ancestor,
            "label" => Key::Label,
            "network" => Key::Network,
            _ => bail!(
                "invalid filter {text:?}: there are name, id, status, health, ancestor, label and network"
            ),
        };
        Ok(Self {
            key,
            value: value.to_owned(),
        })
    }

    fn fits(&self, one: &Listed<'_>) -> bool {
        match self.key {
            Key::Name => one.container.name.contains(&self.value),
            Key::Id => one.container.id.starts_with(&self.value),
            Key::Status => one.condition.word() == self.value,
            Key::Health => {
                let status = one.health.as_ref().map(|health| health.status.word());
                status.unwrap_or("none") == self.value
            }
            Key::Network => one.networks().split(',').any(|name| name == self.value),
            Key::Ancestor => same_image(&one.container.image_name, &self.value),
            Key::Label => one.config.as_ref().is_some_and(|config| {
                config.options.labels.iter().any(|label| {
                    let name = label.split('=').next().unwrap_or_default();
                    *label == self.value || name == self.value
                })
            }),
        }
    }
}

fn same_image(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<rbuild_image::Reference>().ok();
    one == other || (parse(one).is_some() && parse(one) == parse(other))
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new(&[
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]);
    for row in rows {
        let fields = [
            "ID",
            "Image",
            "Command",
            "RunningFor",
            "Status",
            "Ports",
            "Names",
        ];
        table.row(fields.map(|field| cell(row, field)));
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_blanks_are_shown_in_quotes() {
        let line = ["sh", "-c", "exit 3"].map(str::to_owned);
        assert_eq!(quoted(&line), "sh -c 'exit 3'");
    }

    #[test]
    fn images_are_the_same_whatever_form_their_names_have() {
        assert!(same_image("debian", "docker.io/library/debian:latest"));
        assert!(!same_image("debian", "debian:bookworm"));
        assert!(same_image("3f4ca61aafcd", "3f4ca61aafcd"));
    }
}
