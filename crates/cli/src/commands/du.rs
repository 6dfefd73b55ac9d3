//! `rbuild du`: what takes how much disk, and what of it could go.

use std::process::ExitCode;
use std::time::SystemTime;

use rbuild_store::{Usage, UsageItem, UsageKind, UsageTotal};
use serde_json::{Value, json};

use super::documents;
use super::format::Format;
use super::history::shortened;
use crate::app::App;
use crate::render::{self, Table, ago, bytes_decimal};

/// Letters of a name that are shown.
const NAME_LETTERS: usize = 50;
/// Digits of an ID that are shown.
const ID_DIGITS: usize = 12;

/// What was typed after `rbuild du`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Every single thing
    #[arg(short, long)]
    verbose: bool,
    /// json, or a template such as '{{.Type}} {{.Size}}'
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
    format: Option<String>,
}

/// Prints what takes disk.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let usage = app.store()?.usage()?;
    let text = match format {
        Some(format) => {
            let rows: Vec<Value> = usage.totals.iter().map(row).collect();
            format.render(&rows)?
        }
        None if args.verbose => details(&usage, app.environment.now()),
        None => summary(&usage.totals),
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn kind(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Image => "Images",
        UsageKind::Container => "Containers",
        UsageKind::BuildCache => "Build Cache",
        UsageKind::CacheMount => "Cache Mounts",
        UsageKind::Blob => "Other Blobs",
    }
}

fn row(total: &UsageTotal) -> Value {
    json!({
        "Active": total.active.to_string(),
        "Reclaimable": reclaimable(total),
        "Size": bytes_decimal(total.bytes),
        "TotalCount": total.count.to_string(),
        "Type": kind(total.kind),
    })
}

fn summary(totals: &[UsageTotal]) -> String {
    let mut table = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for total in totals {
        table.row([
            kind(total.kind).to_owned(),
            total.count.to_string(),
            total.active.to_string(),
            bytes_decimal(total.bytes),
            reclaimable(total),
        ]);
    }
    table.render()
}

/// `1.2GB (60%)`
fn reclaimable(total: &UsageTotal) -> String {
    let size = bytes_decimal(total.reclaimable);
    match (total.reclaimable * 100).checked_div(total.bytes) {
        Some(percent) => format!("{size} ({percent}%)"),
        None => size,
    }
}

/// A table for each kind that has anything.
fn details(usage: &Usage, now: SystemTime) -> String {
    let mut text = String::new();
    for total in usage.totals.iter().filter(|total| total.count > 0) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(kind(total.kind));
        text.push_str(" space usage:\n\n");
        let mut table = Table::new(&["ID", "NAME", "SIZE", "SHARED", "LAST USED", "IN USE"]);
        for item in usage.items.iter().filter(|item| item.kind == total.kind) {
            table.row(cells(item, now));
        }
        text.push_str(&table.render());
    }
    text
}

fn cells(item: &UsageItem, now: SystemTime) -> [String; 6] {
    let id = item.id.strip_prefix("sha256:").unwrap_or(&item.id);
    let used = item.last_used.map(|used| ago(documents::age(now, used)));
    let name = item.name.replace(['\n', '\t'], " ");
    [
        id.get(..ID_DIGITS).unwrap_or(id).to_owned(),
        shortened(&name, NAME_LETTERS),
        bytes_decimal(item.bytes),
        bytes_decimal(item.shared_bytes),
        used.unwrap_or_else(|| "N/A".to_owned()),
        if item.in_use { "yes" } else { "no" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_go_is_shown_with_its_share() {
        let total = |bytes, reclaimable| UsageTotal {
            kind: UsageKind::Image,
            count: 1,
            active: 0,
            bytes,
            reclaimable,
        };
        assert_eq!(reclaimable(&total(2000, 1000)), "1kB (50%)");
        assert_eq!(reclaimable(&total(0, 0)), "0B");
    }
}
