//! `rbuild prune`: removes what nothing uses any more.
//!
//! ```text
//! rbuild prune                            stopped containers, images without a name, cache that no image needs
//! rbuild prune -a                         all that nothing uses
//! rbuild prune --max-used-space 20g       of the cache, what is worth least, until it fits
//! rbuild prune --filter type=…            just that
//! rbuild prune --automatic                what a build does by itself afterwards
//! rbuild prune --dry-run …                nothing, but say what would go
//! ```

mod chosen;
pub(crate) mod containers;
pub(crate) mod images;

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use rbuild_container::{Condition, ContainerId, StoredConfig, bring_up};
use rbuild_store::{
    Action, CachePrune, Choice, ContainerState, Disk, End, ImagePrune, Limits, Prune, PruneOptions,
    Pruned, Store, UsageItem,
};

pub(super) use self::chosen::Chosen;
use super::du::{NAME_LETTERS, short_id};
use super::filter::usage::{Filters, type_name};
use super::history::shortened;
use super::several::worded;
use super::volume;
use crate::app::App;
use crate::cache_config::Space;
use crate::render::{self, bytes_decimal, bytes_human};

// What was typed after `rbuild prune`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches as they were typed")]
pub(crate) struct Args {
    /// Also named images that no container uses, all of the build cache, cache mounts, clones and downloads
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only what fits: until=24h, type=exec.cachemount, description~=cargo, project=DIR, id=…, inuse, shared, private
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// Of the cache, keep so much (20GB, or 20% of the disk): what is worth least goes first
    #[arg(long, value_name = "SPACE")]
    max_used_space: Option<String>,
    /// So much of the cache always stays
    #[arg(long, visible_alias = "keep-storage", value_name = "SPACE")]
    reserved_space: Option<String>,
    /// Until so much of the disk is free
    #[arg(long, value_name = "SPACE")]
    min_free_space: Option<String>,
    /// Only what the configured limits ask for, as after each build
    #[arg(long, conflicts_with_all = ["all", "filters", "max_used_space", "reserved_space", "min_free_space"])]
    automatic: bool,
    /// Remove nothing, show what would go
    #[arg(long)]
    dry_run: bool,
    /// Show only the total
    #[arg(short, long)]
    quiet: bool,
}

/// What of the store is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All of it but volumes.
    Everything,
    /// All of it, with volumes that nobody gave a name.
    WithVolumes,
    /// What builds left, but no images and no containers.
    BuildCache,
}

// What was typed after `rbuild system prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct SystemArgs {
    #[command(flatten)]
    args: Args,
    /// Also anonymous volumes that no container has
    #[arg(long, conflicts_with = "automatic")]
    volumes: bool,
}

/// Removes, and tells what went and how much room that makes.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    prune(app, args, Extent::Everything)
}

/// `rbuild system prune`: the same, and volumes where they are asked for.
pub(crate) fn run_system(app: &App, args: &SystemArgs) -> anyhow::Result<ExitCode> {
    if !args.volumes {
        return run(app, &args.args);
    }
    if !args.args.filters.is_empty() {
        bail!(
            "--filter is not supported with --volumes: remove volumes by themselves (rbuild volume prune)"
        );
    }
    prune(app, &args.args, Extent::WithVolumes)
}

/// `rbuild builder prune`: the same of what builds left alone.
pub(crate) fn run_cache(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    prune(app, args, Extent::BuildCache)
}

fn prune(app: &App, args: &Args, extent: Extent) -> anyhow::Result<ExitCode> {
    let filters = Filters::parse(&args.filters, app.environment.now())?;
    let store = app.store()?;
    let limits = limits(args, store.disk()?)?;
    let action = if args.dry_run {
        Action::Rehearse
    } else {
        Action::Remove
    };
    let pruned = if args.automatic {
        match app.cache_limits()? {
            Some(limits) => store.collect_garbage(limits, action)?,
            None => bail!("nothing is collected by itself: the configuration says gc = false"),
        }
    } else {
        if action == Action::Remove
            && !args.force
            && !confirmed(&question(
                &scope(args, &filters, limits, extent),
                args,
                extent,
            ))?
        {
            return Ok(ExitCode::SUCCESS);
        }
        note_ends(store, app.environment.now())?;
        let fits = |item: &UsageItem| filters.permit(item);
        store.prune(&PruneOptions {
            only: Some(Choice(&fits)),
            action,
            ..scope(args, &filters, limits, extent)
        })?
    };
    let (volumes, of_volumes) = match extent {
        Extent::WithVolumes => volume::remove_unused(store, volume::is_anonymous, action)?,
        Extent::Everything | Extent::BuildCache => Default::default(),
    };
    let mut text = if args.quiet {
        String::new()
    } else {
        report(&pruned, action) + &volumes
    };
    let _ = writeln!(
        text,
        "Total {}: {}",
        if args.dry_run {
            "reclaimable space"
        } else {
            "reclaimed space"
        },
        bytes_human(pruned.bytes + of_volumes)
    );
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn limits(args: &Args, disk: Disk) -> anyhow::Result<Limits> {
    let space = |text: &Option<String>| -> anyhow::Result<Option<u64>> {
        let space = text.as_deref().map(Space::parse).transpose()?;
        Ok(space.map(|space| space.on(disk)))
    };
    Ok(Limits {
        max_used: space(&args.max_used_space)?,
        reserved: space(&args.reserved_space)?,
        min_free: space(&args.min_free_space)?,
    })
}

/// What is meant. A limit is one for all of the cache, and who names a thing means it.
fn scope(args: &Args, filters: &Filters, limits: Limits, extent: Extent) -> PruneOptions<'static> {
    let all = args.all || limits != Limits::default() || filters.chooses();
    let unused = if all { Prune::Unused } else { Prune::Keep };
    let (images, containers) = match (extent, args.all) {
        (Extent::BuildCache, _) => (ImagePrune::Keep, Prune::Keep),
        (Extent::Everything | Extent::WithVolumes, true) => (ImagePrune::Unused, Prune::Unused),
        (Extent::Everything | Extent::WithVolumes, false) => (ImagePrune::Dangling, Prune::Unused),
    };
    PruneOptions {
        images,
        cache: if all {
            CachePrune::All
        } else {
            CachePrune::Unneeded
        },
        bases: Prune::Unused,
        mounts: unused,
        fetched: unused,
        blobs: unused,
        containers,
        limits,
        ..PruneOptions::default()
    }
}

fn question(scope: &PruneOptions<'_>, args: &Args, extent: Extent) -> String {
    let mut lines = Vec::new();
    if scope.containers == Prune::Unused {
        lines.push("all stopped containers");
    }
    if extent == Extent::WithVolumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    match scope.images {
        ImagePrune::Keep => {}
        ImagePrune::Dangling => lines.push("all images without a name"),
        ImagePrune::Unused => lines.push("all images that no container uses"),
    }
    lines.push(match scope.cache {
        CachePrune::All if scope.limits != Limits::default() => {
            "of the build cache, cache mounts, clones and downloads, what is beyond the limits"
        }
        CachePrune::All => "all build cache, cache mounts, clones and downloads that nothing uses",
        _ => "build cache that no image needs",
    });
    if !args.filters.is_empty() {
        lines.push("but of all that only what the filters permit");
    }
    format!(
        "WARNING! This will remove:\n  - {}\n\n{SURE}",
        lines.join("\n  - ")
    )
}

/// How each question ends.
pub(super) const SURE: &str = "Are you sure you want to continue? [y/N] ";

/// Asks the user on the terminal.
#[expect(
    clippy::print_stderr,
    reason = "a question belongs to the terminal, not to the output"
)]
pub(super) fn confirmed(question: &str) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!(
            "prune asks before it removes, and there is no terminal to ask on: give -f, or --dry-run"
        );
    }
    eprint!("{question}");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Containers whose end nobody saw have ended all the same.
fn note_ends(store: &Store, now: SystemTime) -> anyhow::Result<()> {
    for container in store.containers()? {
        if let Condition::Lost(end) = Condition::of(&container) {
            let end = End { at: now, ..end };
            store.set_container_state(&container.id, &ContainerState::Exited { end })?;
        }
        let id = ContainerId::from_store(&container.id);
        // An older one's volumes are kept; a newer one's are none of its own files.
        if StoredConfig::from_json(&id, &container.config).is_ok() {
            bring_up(store, &container).map_err(worded)?;
        }
    }
    Ok(())
}

/// What went, and how much room that makes, as docker tells it.
fn tell(pruned: &Pruned) -> anyhow::Result<()> {
    let freed = bytes_human(pruned.bytes);
    let went = report(pruned, Action::Remove);
    Ok(render::out(&format!(
        "{went}Total reclaimed space: {freed}\n"
    ))?)
}

/// What went, a paragraph a kind.
fn report(pruned: &Pruned, action: Action) -> String {
    let mut text = String::new();
    let done = match action {
        Action::Remove => "Deleted",
        Action::Rehearse => "Would delete",
    };
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(text, "{done} {title}:\n{}\n", lines.join("\n"));
        }
    };
    section("Containers", pruned.containers.clone());
    let images = pruned.images.iter().flat_map(|removal| {
        let untagged = removal.untagged.iter();
        let untagged = untagged.map(|name| format!("untagged: {}", name.familiar()));
        untagged.chain(removal.deleted.iter().map(|id| format!("deleted: {id}")))
    });
    section("Images", images.collect());
    let lines = |items: &[UsageItem]| items.iter().map(line).collect();
    section("build cache objects", lines(&pruned.records));
    section("base images", lines(&pruned.bases));
    section("cache mounts", lines(&pruned.mounts));
    section("sources", lines(&pruned.fetched));
    section("blobs", lines(&pruned.blobs));
    text
}

/// `533c3a5cb197: RUN make (8.39MB)`
fn line(item: &UsageItem) -> String {
    let (id, size) = (short_id(&item.id), bytes_decimal(item.bytes));
    let name = match item.name.replace(['\n', '\t'], " ") {
        name if name.is_empty() => type_name(item.kind).to_owned(),
        name => shortened(&name, NAME_LETTERS),
    };
    format!("{id}: {name} ({size})")
}
