//! `rbuild prune`: removes what nothing uses any more.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rbuild_container::live_process;
use rbuild_store::{CachePrune, ContainerState, ImagePrune, Prune, PruneOptions, Pruned, Store};

use super::build::bytes;
use super::documents;
use crate::app::App;
use crate::render::{self, bytes_decimal};

/// What was typed after `rbuild prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also named images that no container uses, all of the build cache, and cache mounts
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only what was last used before: until=24h, until=2026-11-21T12:00:00Z
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// Keep this much of the build cache, what was used last first
    #[arg(
        long,
        visible_alias = "max-used-space",
        alias = "reserved-space",
        value_name = "BYTES"
    )]
    keep_storage: Option<String>,
    /// Show only the total
    #[arg(short, long)]
    quiet: bool,
}

/// Removes, and tells what went and how much room that makes.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let options = options(app, args)?;
    if !args.force && !confirmed(args)? {
        return Ok(ExitCode::SUCCESS);
    }
    let store = app.store()?;
    note_ends(store, app.environment.now())?;
    let pruned = store.prune(&options)?;
    let mut text = if args.quiet {
        String::new()
    } else {
        report(&pruned)
    };
    let _ = writeln!(
        text,
        "Total reclaimed space: {}",
        bytes_decimal(pruned.bytes)
    );
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn options(app: &App, args: &Args) -> anyhow::Result<PruneOptions> {
    let mut unused_since = None;
    for filter in &args.filters {
        let Some(("until", value)) = filter.split_once('=') else {
            bail!("invalid filter {filter:?}: there is until=TIME");
        };
        unused_since = Some(until(value, app.environment.now())?);
    }
    Ok(PruneOptions {
        images: if args.all {
            ImagePrune::Unused
        } else {
            ImagePrune::Dangling
        },
        cache: if args.all || args.keep_storage.is_some() {
            CachePrune::LeastUsed
        } else {
            CachePrune::Unneeded
        },
        mounts: if args.all { Prune::Unused } else { Prune::Keep },
        containers: Prune::Unused,
        unused_since,
        keep_bytes: args.keep_storage.as_deref().map(bytes).transpose()?,
    })
}

/// A time, or how long ago: `2h30m`, `7d`.
fn until(text: &str, now: SystemTime) -> anyhow::Result<SystemTime> {
    if let Some(time) = documents::time(text) {
        return Ok(time);
    }
    let age = duration(text).with_context(|| {
        format!("invalid time {text:?}: it is an age such as 24h, or 2026-11-21T12:00:00Z")
    })?;
    now.checked_sub(age)
        .with_context(|| format!("invalid time {text:?}: it is too long ago"))
}

/// Go's durations, and days: `1h30m`, `90s`, `7d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let mut letters = rest[digits..].chars();
        let unit = match letters.next()? {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = letters.as_str();
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// Asks the user on the terminal.
#[allow(clippy::print_stderr)] // a question belongs to the terminal, not to the output
fn confirmed(args: &Args) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("prune asks before it removes, and there is no terminal to ask on: give -f");
    }
    let rest = if args.all {
        "all images that no container uses\n  - all build cache that nothing uses, and cache mounts"
    } else {
        "all images without a name\n  - build cache that nothing leads to any more"
    };
    eprint!(
        "WARNING! This will remove:\n  - all stopped containers\n  - {rest}\n\nAre you sure you want to continue? [y/N] "
    );
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Containers whose end nobody saw have ended all the same.
fn note_ends(store: &Store, now: SystemTime) -> anyhow::Result<()> {
    for container in store.containers()? {
        let runs = matches!(
            container.state,
            ContainerState::Running { .. } | ContainerState::Paused { .. }
        );
        if runs && live_process(&container).is_none() {
            let ended = ContainerState::Exited { code: 255, at: now };
            store.set_container_state(&container.id, &ended)?;
        }
    }
    Ok(())
}

/// What went, a paragraph a kind.
fn report(pruned: &Pruned) -> String {
    let mut text = String::new();
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}:\n{}\n", lines.join("\n"));
        }
    };
    section("Deleted Containers", pruned.containers.clone());
    let images = pruned.images.iter().flat_map(|removal| {
        let untagged = removal.untagged.iter();
        let untagged = untagged.map(|name| format!("untagged: {}", name.familiar()));
        untagged.chain(removal.deleted.iter().map(|id| format!("deleted: {id}")))
    });
    section("Deleted Images", images.collect());
    let keys = pruned.records.iter().map(ToString::to_string);
    section("Deleted build cache objects", keys.collect());
    section("Deleted cache mounts", pruned.mounts.clone());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_as_go_writes_them() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(duration("24h"), hours(24));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("7d"), hours(168));
        for wrong in ["", "h", "12", "1x", "99999999999999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_moment_serves_as_well_as_an_age() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        let hour_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(6_400);
        assert_eq!(until("1h", now).expect("an age"), hour_ago);
        assert_eq!(
            until("1970-01-01T01:46:40Z", now).expect("a time"),
            hour_ago
        );
        assert!(until("yesterday", now).is_err());
    }
}
