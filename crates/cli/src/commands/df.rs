//! `rbuild system df`: what takes how much disk, in docker's four lines. `rbuild du` tells apart what is one line here.

mod verbose;

use std::process::ExitCode;

use rbuild_container::{volume_users, volumes};
use rbuild_store::{Store, UsageKind, UsageTotal, tree_bytes};
use serde_json::{Value, json};

use super::format::Format;
use super::history::cell;
use super::several::worded;
use crate::app::App;
use crate::render::{self, Table, bytes_human};

// What was typed after `rbuild system df`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Each image, container, volume and piece of the build cache
    #[arg(short, long, conflicts_with = "format")]
    verbose: bool,
    /// json, or a template such as '{{.Type}} {{.Size}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints the four lines.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    if args.verbose {
        render::out(&verbose::tables(app)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let rows = rows(app.store()?)?;
    let text = match format {
        Some(format) => format.render(&rows)?,
        None => table(&rows),
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// One line's numbers.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    count: usize,
    active: usize,
    bytes: u64,
    reclaimable: u64,
}

impl Sum {
    fn add(mut self, total: &UsageTotal) -> Self {
        self.count += total.count;
        self.active += total.active;
        self.bytes += total.bytes;
        self.reclaimable += total.reclaimable;
        self
    }

    /// Docker's form of the last column: without a share where there is nothing to have a share of.
    fn row(self, kind: &str) -> Value {
        let size = bytes_human(self.reclaimable);
        let reclaimable = match (self.reclaimable * 100).checked_div(self.bytes) {
            Some(percent) => format!("{size} ({percent}%)"),
            None => size,
        };
        json!({
            "Active": self.active.to_string(),
            "Reclaimable": reclaimable,
            "Size": bytes_human(self.bytes),
            "TotalCount": self.count.to_string(),
            "Type": kind,
        })
    }
}

fn rows(store: &Store) -> anyhow::Result<Vec<Value>> {
    let usage = store.usage()?;
    let sum = |fits: &dyn Fn(UsageKind) -> bool| {
        let fitting = usage.totals.iter().filter(|total| fits(total.kind));
        fitting.fold(Sum::default(), Sum::add)
    };
    let is_cache = |kind| !matches!(kind, UsageKind::Image | UsageKind::Container);
    Ok(vec![
        sum(&|kind| kind == UsageKind::Image).row("Images"),
        sum(&|kind| kind == UsageKind::Container).row("Containers"),
        of_volumes(store)?.row("Local Volumes"),
        sum(&is_cache).row("Build Cache"),
    ])
}

fn of_volumes(store: &Store) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    for volume in volumes(store).map_err(worded)? {
        let bytes = tree_bytes(&volume.data)?;
        sum.count += 1;
        sum.bytes += bytes;
        if volume_users(store, &volume.name)
            .map_err(worded)?
            .is_empty()
        {
            sum.reclaimable += bytes;
        } else {
            sum.active += 1;
        }
    }
    Ok(sum)
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for row in rows {
        let fields = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
        table.row(fields.map(|field| cell(row, field)));
    }
    table.render()
}
