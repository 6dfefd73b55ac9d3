//! `rbuild stats`: what containers use.

use std::process::ExitCode;
use std::time::Duration;

use rbuild_container::{Condition, ContainerId, Traffic, Usage, network_traffic};
use rbuild_store::{Container, Store};
use serde_json::{Value, json};

use super::format::Format;
use super::history::cell;
use super::several::one;
use crate::app::App;
use crate::render::{self, Table, bytes_binary, bytes_decimal};

/// How long processor time is measured.
const PERIOD: Duration = Duration::from_secs(1);
/// The first place of the terminal, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

// What was typed after `rbuild stats`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs; all that run if none is given
    containers: Vec<String>,
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Once
    #[arg(long)]
    no_stream: bool,
    /// Complete IDs
    #[arg(long)]
    no_trunc: bool,
    /// json, or a template such as '{{.Name}} {{.MemUsage}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Shows them, once or until it is interrupted.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let store = app.store()?;
    loop {
        let chosen = chosen(store, args)?;
        let usage = |container| rbuild_container::usage(store, container);
        let before: Vec<_> = chosen.iter().map(usage).collect();
        std::thread::sleep(PERIOD);
        let rows: Vec<Value> = chosen
            .iter()
            .zip(before)
            .map(|(container, before)| row(container, args, before, usage(container)))
            .collect();
        let text = match &format {
            Some(format) => format.render(&rows)?,
            None => table(&rows),
        };
        if args.no_stream {
            render::out(&text)?;
            return Ok(ExitCode::SUCCESS);
        }
        render::out(&format!("{CLEAR}{text}"))?;
    }
}

fn chosen(store: &Store, args: &Args) -> anyhow::Result<Vec<Container>> {
    if !args.containers.is_empty() {
        return args
            .containers
            .iter()
            .map(|name| one(store, name))
            .collect();
    }
    let mut all = store.containers()?;
    all.retain(|container| args.all || Condition::of(container).is_active());
    Ok(all)
}

fn row(container: &Container, args: &Args, before: Option<Usage>, now: Option<Usage>) -> Value {
    let id = ContainerId::from_store(&container.id);
    let unknown = || "--".to_owned();
    let cpu = before.zip(now).map(|(before, now)| {
        let used = now.cpu.saturating_sub(before.cpu);
        format!("{:.2}%", used.as_secs_f64() / PERIOD.as_secs_f64() * 100.0)
    });
    let limit = now.map(|now| now.memory_limit.unwrap_or_else(machine_memory));
    let memory = now
        .zip(limit)
        .map(|(now, limit)| format!("{} / {}", bytes_binary(now.memory), bytes_binary(limit)));
    let share = now
        .zip(limit)
        .map(|(now, limit)| format!("{:.2}%", now.memory as f64 / limit.max(1) as f64 * 100.0));
    json!({
        "ID": if args.no_trunc { id.as_str() } else { id.short() },
        "Container": if args.no_trunc { id.as_str() } else { id.short() },
        "Name": container.name,
        "CPUPerc": cpu.unwrap_or_else(unknown),
        "MemUsage": memory.unwrap_or_else(|| "-- / --".to_owned()),
        "MemPerc": share.unwrap_or_else(unknown),
        "NetIO": traffic(network_traffic(container).unwrap_or_default()),
        "BlockIO": now.map_or_else(|| "-- / --".to_owned(), |now| traffic(now.disks)),
        "PIDs": now.map_or_else(unknown, |now| now.processes.to_string()),
    })
}

/// What came and what went, as docker writes it: nothing for what nobody counted.
fn traffic(bytes: Traffic) -> String {
    let [received, sent] = [bytes.received, bytes.sent].map(bytes_decimal);
    format!("{received} / {sent}")
}

/// All of the machine's, as /proc/meminfo tells it.
pub(super) fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = text.lines().find_map(|line| {
        let rest = line.strip_prefix("MemTotal:")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    kibibytes.unwrap_or_default() * 1024
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new(&[
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ]);
    for row in rows {
        let fields = [
            "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs",
        ];
        table.row(fields.map(|field| cell(row, field)));
    }
    table.render()
}
