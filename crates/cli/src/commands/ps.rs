//! `rbuild ps`: containers, and what they are doing now.

mod filter;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use rbuild_container::{
    Condition, ContainerId, Health, HealthStatus, NetworkMode, StoredConfig, command_line,
    config_as_it_is, health, network_record,
};
use rbuild_store::{Container, Store, tree_bytes};
use serde_json::{Value, json};

use self::filter::{Choice, same_port};
use super::documents;
use super::format::Format;
use super::history::{cell, column, shortened};
use crate::app::App;
use crate::render::{self, Table, ago, bytes_decimal};

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
    /// How much disk each takes: its own files, and all that it sees
    #[arg(short, long)]
    size: bool,
    /// Only containers that fit: name=PATTERN, id=PATTERN, status=STATUS, exited=CODE, health=HEALTH, ancestor=IMAGE,
    /// label=KEY[=VALUE], network=NAME, volume=NAME|PATH, publish=PORT, expose=PORT, before=CONTAINER, since=CONTAINER
    #[arg(short, long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// json, or a template such as '{{.ID}} {{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Lists containers.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let newest = if args.latest { Some(1) } else { args.last };
    let letters = if args.no_trunc {
        Letters::All
    } else {
        Letters::Short
    };
    let now = app.environment.now();
    let store = app.store()?;
    let containers = store.containers()?;
    let choice = Choice::new(&args.filters, store)?;
    let everything = args.all || choice.asks_for_states() || newest.is_some();
    let sized = args.size
        || args
            .format
            .as_deref()
            .is_some_and(|text| text.contains(".Size"));
    let listed = containers.iter().map(|one| Listed::new(store, one));
    let listed = listed.collect::<anyhow::Result<Vec<_>>>()?;
    let rows: Vec<Value> = listed
        .into_iter()
        .filter(|one| everything || one.condition.is_active())
        .filter(|one| choice.fits(one))
        .take(newest.unwrap_or(usize::MAX))
        .map(|one| {
            let mut row = one.row(store, letters, now);
            if sized {
                row["Size"] = json!(size(store, one.container)?);
            }
            Ok(row)
        })
        .collect::<anyhow::Result<_>>()?;
    let text = match format {
        _ if args.quiet => column(&rows, "ID"),
        Some(format) => format.render(&rows)?,
        None => table(&rows, args),
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `8.19kB (virtual 4.5MB)`: what the container changed, and that with the image below it.
pub(super) fn size(store: &Store, container: &Container) -> anyhow::Result<String> {
    let (own, all) = sizes(store, container)?;
    Ok(format!(
        "{} (virtual {})",
        bytes_decimal(own),
        bytes_decimal(all)
    ))
}

/// Bytes of what a container changed, and of all that it sees.
pub(super) fn sizes(store: &Store, container: &Container) -> anyhow::Result<(u64, u64)> {
    let own = tree_bytes(&store.container_path(&container.id).join("diff"))?;
    let mut all = own;
    for id in &container.layers {
        all += store.layer(id)?.map_or(0, |layer| layer.bytes());
    }
    Ok((own, all))
}

/// How much of IDs and commands is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letters {
    Short,
    All,
}

/// What the list says of one container.
pub(super) fn row_of(app: &App, store: &Store, container: &Container) -> anyhow::Result<Value> {
    let listed = Listed::new(store, container)?;
    Ok(listed.row(store, Letters::Short, app.environment.now()))
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

    fn row(&self, store: &Store, letters: Letters, now: SystemTime) -> Value {
        let id = ContainerId::from_store(&self.container.id);
        let command = self.command();
        let whole = letters == Letters::All;
        let shown = if whole {
            command
        } else {
            shortened(&command, COMMAND_LETTERS)
        };
        let created = documents::age(now, self.container.created);
        let labels = self.labels().into_iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        json!({
            "Command": format!("{shown:?}"),
            "CreatedAt": documents::table_time(self.container.created),
            "ID": if whole { id.as_str() } else { id.short() },
            "Image": self.container.image_name,
            "Labels": labels.join(","),
            "LocalVolumes": self.local_volumes().to_string(),
            "Names": self.container.name,
            "Networks": self.networks(),
            "Ports": self.ports(store),
            "RunningFor": ago(created),
            "State": self.condition.word(),
            "Status": self.status(now),
        })
    }

    /// Its labels, those of its image too.
    fn labels(&self) -> BTreeMap<String, String> {
        self.config
            .as_ref()
            .map(documents::labels)
            .unwrap_or_default()
    }

    /// Whether a volume, or something at a path, is mounted.
    fn mounts(&self, what: &str) -> bool {
        let volumes = self
            .config
            .iter()
            .flat_map(|config| &config.options.volumes);
        volumes.into_iter().any(|volume| {
            let paths = [Some(&volume.target), volume.source.as_ref()];
            let mut paths = paths.into_iter().flatten();
            volume.name.as_deref() == Some(what) || paths.any(|path| path.as_os_str() == what)
        })
    }

    /// How many volumes it has, named or not.
    fn local_volumes(&self) -> usize {
        let volumes = self
            .config
            .iter()
            .flat_map(|config| &config.options.volumes);
        volumes.filter(|volume| volume.source.is_none()).count()
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

    /// Whether a port, as 80 or 53/udp, is published.
    fn publishes(&self, port: &str) -> bool {
        let published = self.config.iter().flat_map(|config| &config.options.ports);
        published
            .map(|one| one.port)
            .any(|one| same_port(&one.to_string(), port))
    }

    /// Whether a port is exposed, by the image or its options, or published.
    fn exposes(&self, port: &str) -> bool {
        let exposed = self.config.iter().flat_map(rbuild_container::exposed_ports);
        exposed
            .into_iter()
            .any(|one| same_port(&one.to_string(), port))
            || self.publishes(port)
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

fn table(rows: &[Value], args: &Args) -> String {
    let mut columns = vec![
        ("CONTAINER ID", "ID"),
        ("IMAGE", "Image"),
        ("COMMAND", "Command"),
        ("CREATED", "RunningFor"),
        ("STATUS", "Status"),
        ("PORTS", "Ports"),
        ("NAMES", "Names"),
    ];
    if args.size {
        columns.push(("SIZE", "Size"));
    }
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut table = Table::new(&heads);
    for row in rows {
        table.row(columns.iter().map(|(_, field)| cell(row, field)));
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
}
