//! `rbuild start`: containers that were made, or have ended, run.

use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::{
    Attachment, Bond, Condition, DetachKeys, Proxy, Typing, layer_directories, start_attached,
    start_detached,
};
use rbuild_store::Container;

use super::run::{ended, failure, own_streams};
use super::several::{each, one, worded};
use crate::app::App;
use crate::refused::{Refusal, Refused, Table, option};

// What was typed after `rbuild start`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
    /// Show what it writes, pass signals on, and end as it ends
    #[arg(short, long)]
    attach: bool,
    /// Let it read standard input too
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave the container without ending it
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: String,
    #[command(flatten)]
    refused: Refused<OfStart>,
}

const CHECKPOINTS: &str = "processes are not frozen to disk and woken up again";

/// Options that are refused.
#[derive(Debug)]
struct OfStart;

impl Table for OfStart {
    const REFUSED: &'static [Refusal] = &[
        option("checkpoint", CHECKPOINTS),
        option("checkpoint-dir", CHECKPOINTS),
    ];
}

/// Starts containers; those that run already are fine.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    if args.attach || args.interactive {
        let [name] = args.containers.as_slice() else {
            bail!("you cannot start and attach multiple containers at once");
        };
        return attached(app, args, &one(store, name)?);
    }
    each(store, &args.containers, |container| {
        detached(app, container)
    })
}

/// Starts a container and leaves it to itself.
pub(super) fn detached(app: &App, container: &Container) -> anyhow::Result<()> {
    if Condition::of(container).is_active() {
        return Ok(());
    }
    let store = app.store()?;
    let layers = layer_directories(store, container).map_err(worded)?;
    start_detached(store, container, &layers, &app.environment.host_files()).map_err(worded)
}

fn attached(app: &App, args: &Args, container: &Container) -> anyhow::Result<ExitCode> {
    let keys = DetachKeys::parse(&args.detach_keys).map_err(worded)?;
    let store = app.store()?;
    let layers = layer_directories(store, container).map_err(|error| failure(&error))?;
    let attachment = Attachment {
        streams: own_streams(),
        input: if args.interactive {
            Typing::Passed
        } else {
            Typing::Kept
        },
        signals: Proxy::Passed,
        keys: &keys,
        tie: Bond::Loose,
    };
    let host = app.environment.host_files();
    ended(start_attached(store, container, &layers, &host, attachment))
}
