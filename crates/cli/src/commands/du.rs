//! `rbuild du`: what takes how much disk, and what of it could go.
//!
//! ```text
//! rbuild du                      by kind, by project, and what would be free
//! rbuild du --verbose            every single thing
//! rbuild du --filter …           those that fit
//! rbuild du --format json        the same for programs, one object a line
//! ```

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use rbuild_store::{
    Action, CachePrune, ImagePrune, ProjectTotal, Prune, PruneOptions, Store, Usage, UsageItem,
    UsageKind, UsageTotal,
};
use serde_json::{Value, json};

use super::documents;
use super::filter::usage::{Filters, is_mutable, project_name, type_name};
use super::format::Format;
use super::history::shortened;
use crate::app::App;
use crate::render::{self, Table, ago, bytes_decimal};

/// Letters of a name that are shown.
pub(super) const NAME_LETTERS: usize = 60;
/// Digits of an ID that are shown.
const ID_DIGITS: usize = 12;

// What was typed after `rbuild du`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Every single thing
    #[arg(short, long)]
    verbose: bool,
    /// Only what fits: type=exec.cachemount, until=24h, description~=cargo, project=DIR, id=…, inuse, shared, private
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// json, or a template such as '{{.Type}} {{.Size}} {{.Description}}', for each thing
    #[arg(long, value_name = "FORMAT", conflicts_with = "verbose")]
    format: Option<String>,
}

/// Prints what takes disk.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let now = app.environment.now();
    let filters = Filters::parse(&args.filters, now)?;
    let store = app.store()?;
    let mut usage = store.usage()?;
    usage.items.retain(|item| filters.permit(item));
    let text = match format {
        Some(format) => {
            let rows: Vec<Value> = usage.items.iter().map(|item| row(item, now)).collect();
            format.render(&rows)?
        }
        None if !args.filters.is_empty() => details(&usage, now) + &sums(&usage.items),
        None if args.verbose => details(&usage, now) + &footer(store, &usage)?,
        None => summary(&usage, now) + &footer(store, &usage)?,
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn kind(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Image => "Images",
        UsageKind::Container => "Containers",
        UsageKind::BuildCache => "Build Cache",
        UsageKind::Base => "Base Images",
        UsageKind::CacheMount => "Cache Mounts",
        UsageKind::Git => "Git Clones",
        UsageKind::Http => "Downloads",
        UsageKind::Context => "Context Indexes",
        UsageKind::Blob => "Other Blobs",
    }
}

/// Kinds that are shown even where there is nothing of them.
fn always_shown(kind: UsageKind) -> bool {
    matches!(
        kind,
        UsageKind::Image | UsageKind::Container | UsageKind::BuildCache | UsageKind::CacheMount
    )
}

/// A thing in the words of `docker buildx du --format json`.
fn row(item: &UsageItem, now: SystemTime) -> Value {
    let time = |time: Option<SystemTime>| time.map(documents::rfc3339).unwrap_or_default();
    json!({
        "CreatedAt": time(item.created),
        "Description": item.name,
        "ID": item.id,
        "InUse": item.in_use,
        "LastUsedAt": time(item.last_used),
        "LastUsedSince": item.last_used.map(|used| ago(documents::age(now, used))).unwrap_or_default(),
        "Mutable": is_mutable(item),
        "Project": project_name(&item.scope),
        "Reclaimable": !item.in_use,
        "Shared": item.shared_bytes > 0,
        "SharedBytes": item.shared_bytes,
        "Size": bytes_decimal(item.bytes),
        "SizeBytes": item.bytes,
        "Type": type_name(item.kind),
    })
}

fn summary(usage: &Usage, now: SystemTime) -> String {
    let mut table = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for total in &usage.totals {
        if total.count == 0 && !always_shown(total.kind) {
            continue;
        }
        table.row([
            kind(total.kind).to_owned(),
            total.count.to_string(),
            total.active.to_string(),
            bytes_decimal(total.bytes),
            reclaimable(total),
        ]);
    }
    table.render() + &projects(&usage.projects, now)
}

/// `1.2GB (60%)`
fn reclaimable(total: &UsageTotal) -> String {
    share(total.reclaimable, total.bytes)
}

fn share(part: u64, whole: u64) -> String {
    let size = bytes_decimal(part);
    match (part * 100).checked_div(whole) {
        Some(percent) => format!("{size} ({percent}%)"),
        None => size,
    }
}

fn projects(projects: &[ProjectTotal], now: SystemTime) -> String {
    if projects.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        "PROJECT",
        "STEPS",
        "SIZE",
        "SHARED",
        "RECLAIMABLE",
        "LAST ACCESSED",
    ]);
    for project in projects {
        table.row([
            project_name(&project.scope),
            project.count.to_string(),
            bytes_decimal(project.bytes),
            bytes_decimal(project.shared),
            share(project.bytes - project.shared, project.bytes),
            ago(documents::age(now, project.last_used)),
        ]);
    }
    format!("\n{}", table.render())
}

/// What a prune would free, and all there is.
fn footer(store: &Store, usage: &Usage) -> anyhow::Result<String> {
    let unneeded = PruneOptions {
        images: ImagePrune::Dangling,
        cache: CachePrune::Unneeded,
        bases: Prune::Unused,
        containers: Prune::Unused,
        action: Action::Rehearse,
        ..PruneOptions::default()
    };
    let unused = PruneOptions {
        images: ImagePrune::Unused,
        cache: CachePrune::All,
        mounts: Prune::Unused,
        fetched: Prune::Unused,
        blobs: Prune::Unused,
        ..unneeded
    };
    let total = usage.totals.iter().map(|total| total.bytes).sum();
    let most = store.prune(&unused)?.bytes;
    let some = store.prune(&unneeded)?.bytes;
    Ok(format!(
        "\nReclaimable:   {} by `rbuild prune -a`, {} by `rbuild prune`\nTotal:         {}\n",
        share(most, total),
        bytes_decimal(some),
        bytes_decimal(total)
    ))
}

/// The sums of what was asked for, in the words of `docker buildx du`.
fn sums(items: &[UsageItem]) -> String {
    let total: u64 = items.iter().map(|item| item.bytes).sum();
    let shared: u64 = items.iter().map(|item| item.shared_bytes).sum();
    let idle = items.iter().filter(|item| !item.in_use);
    let mut text = String::new();
    if shared > 0 {
        let _ = writeln!(text, "Shared:        {}", bytes_decimal(shared));
        let _ = writeln!(text, "Private:       {}", bytes_decimal(total - shared));
    }
    let reclaimable = idle.map(|item| item.bytes - item.shared_bytes).sum();
    let _ = writeln!(text, "Reclaimable:   {}", bytes_decimal(reclaimable));
    let _ = writeln!(text, "Total:         {}", bytes_decimal(total));
    match items {
        [] => text,
        _ => format!("\n{text}"),
    }
}

/// A table for each kind that has anything.
fn details(usage: &Usage, now: SystemTime) -> String {
    let mut text = String::new();
    for total in &usage.totals {
        let mut items = usage
            .items
            .iter()
            .filter(|item| item.kind == total.kind)
            .peekable();
        if items.peek().is_none() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{} ({}):\n", kind(total.kind), type_name(total.kind));
        let mut table = Table::new(&[
            "ID",
            "RECLAIMABLE",
            "SIZE",
            "SHARED",
            "LAST ACCESSED",
            "DESCRIPTION",
        ]);
        for item in items {
            table.row(cells(item, now));
        }
        text.push_str(&table.render());
    }
    text
}

/// An ID as tables show it.
pub(super) fn short_id(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..ID_DIGITS).unwrap_or(id)
}

fn cells(item: &UsageItem, now: SystemTime) -> [String; 6] {
    let used = item.last_used.map(|used| ago(documents::age(now, used)));
    let name = item.name.replace(['\n', '\t'], " ");
    [
        short_id(&item.id).to_owned(),
        (!item.in_use).to_string(),
        bytes_decimal(item.bytes),
        bytes_decimal(item.shared_bytes),
        used.unwrap_or_else(|| "N/A".to_owned()),
        shortened(&name, NAME_LETTERS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_go_is_shown_with_its_share() {
        assert_eq!(share(1000, 2000), "1kB (50%)");
        assert_eq!(share(0, 0), "0B");
    }
}
