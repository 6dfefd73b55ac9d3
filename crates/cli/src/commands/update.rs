//! `rbuild update`: other limits for containers that were made already.

use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::{Limits, RestartPolicy, Update, update};

use super::run::LimitArgs;
use super::several::{each, worded};
use crate::app::App;
use crate::refused::{Refusal, Refused, Table, option};

// What was typed after `rbuild update`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// When it is started again after its end: no, always, unless-stopped, on-failure[:N]
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    #[command(flatten)]
    refused: Refused<OfUpdate>,
}

const LIMITS: &str = "this limit is not supported";

/// Options that are refused.
#[derive(Debug)]
struct OfUpdate;

impl Table for OfUpdate {
    const REFUSED: &'static [Refusal] = &[
        option("blkio-weight", LIMITS),
        option("cpu-rt-period", LIMITS),
        option("cpu-rt-runtime", LIMITS),
        option("kernel-memory", LIMITS),
    ];
}

/// Changes them, at once where they run.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let restart = args
        .restart
        .as_deref()
        .map(RestartPolicy::parse)
        .transpose();
    let change = Update {
        limits: args.limits.read()?,
        restart: restart.map_err(worded)?,
    };
    if change.limits == Limits::default() && change.restart.is_none() {
        bail!("you must provide one or more flags when using this command");
    }
    let store = app.store()?;
    each(store, &args.containers, |container| {
        update(store, container, &change).map_err(worded)
    })
}
