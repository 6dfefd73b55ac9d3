//! `rbuild attach`: the streams of a container that runs.

use std::process::ExitCode;

use rbuild_container::{Attachment, Bond, DetachKeys, Proxy, Typing};

use super::run::{ended, own_streams};
use super::several::{one, worded};
use crate::app::App;

// What was typed after `rbuild attach`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
    /// Keys that leave the container without ending it
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: String,
    /// Do not let it read standard input
    #[arg(long)]
    no_stdin: bool,
    /// Whether signals go to the container
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true")]
    #[arg(action = clap::ArgAction::Set)]
    sig_proxy: bool,
}

/// Shows the container until it ends, and ends as it ended.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let keys = DetachKeys::parse(&args.detach_keys).map_err(worded)?;
    let store = app.store()?;
    let container = one(store, &args.container)?;
    let attachment = Attachment {
        streams: own_streams(),
        input: if args.no_stdin {
            Typing::Kept
        } else {
            Typing::Passed
        },
        signals: if args.sig_proxy {
            Proxy::Passed
        } else {
            Proxy::Kept
        },
        keys: &keys,
        tie: Bond::Loose,
    };
    ended(rbuild_container::attach(store, &container, attachment))
}
