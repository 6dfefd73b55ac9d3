//! `rbuild verify`: builds twice, as differently as one machine can, and shows what came out differently.
//!
//! ```text
//!          store              context            files of it            steps                  threads
//! first    the one there is   where it is        as they are            as many as can run     one for each core
//! second   a new one, which   a copy elsewhere   written in another     one after the other    one
//!          goes afterwards                       order, and now
//! ```
//!
//! Every step runs both times, and what it runs on was extracted for it: the stores have no file in common. The second build
//! is lent the first one's base images as the bytes that their digests name. Both builds have the same `SOURCE_DATE_EPOCH`,
//! without which no two are the same.

mod compare;
mod contents;
mod copy;
mod layout;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use rbuild_store::RootAttributes;

use self::layout::Layout;
use super::build;
use crate::app::App;
use crate::failure::{INTERRUPTED, WithStatus};
use crate::maintenance::OWN_PROGRAM;
use crate::render;

/// The time that both builds take for now where nobody says which: the first second of 2000. Archives of some kinds know
/// none before 1980.
const DEFAULT_EPOCH: &str = "946684800";

/// The directory that all is done in.
const PLACE: RootAttributes = RootAttributes {
    mode: 0o700,
    uid: 0,
    gid: 0,
    mtime: None,
};

/// Builds twice and compares. What differs is a failure.
pub(crate) fn run(app: &App, args: &build::Args) -> anyhow::Result<ExitCode> {
    if args.context == "-" || args.file.as_deref() == Some("-") {
        bail!(
            "verify reads everything twice, and standard input can be read once: name a directory"
        );
    }
    // Work in flight of the store: it is gone when we are.
    let draft = app.store()?.draft(&PLACE)?;
    let words = words();
    let [first, second, context, store] =
        ["first", "second", "context", "store"].map(|name| draft.diff_path().join(name));
    let copied = build::local_context(args)?;
    if let Some(original) = &copied {
        copy::copy(original, &context, app.root())?;
    }
    let builds = [
        Run {
            store: None,
            layout: &first,
            context: None,
            threads: None,
        },
        Run {
            store: Some(&store),
            layout: &second,
            context: copied.as_ref().map(|_| context.as_path()),
            threads: Some(1),
        },
    ];
    for build in &builds {
        build.run(app, args, &words)?;
    }
    let [first, second] = [Layout::open(first)?, Layout::open(second)?];
    let differences = compare::compare(&first, &second)?;
    if differences.is_empty() {
        render::out(&format!("Reproducible: {}\n", first.digest()))?;
        return Ok(ExitCode::SUCCESS);
    }
    render::out(&differences)?;
    Err(WithStatus {
        status: 1,
        message: "the two builds differ".to_owned(),
    }
    .into())
}

/// One of the builds.
struct Run<'a> {
    /// The store that is its own.
    store: Option<&'a Path>,
    /// Where its result goes.
    layout: &'a Path,
    /// The copy of the context that it reads.
    context: Option<&'a Path>,
    /// How many threads and steps there are at once, if it does not choose.
    threads: Option<usize>,
}

impl Run<'_> {
    fn run(&self, app: &App, args: &build::Args, words: &[OsString]) -> anyhow::Result<()> {
        let mut command = Command::new(OWN_PROGRAM);
        command.arg0("rbuild");
        app.hand_on(&mut command, self.store.unwrap_or(app.root()));
        command.arg("build").args(words);
        if self.store.is_some() {
            command.arg("--verify-bases").arg(app.root());
        }
        command.arg("--verify-layout").arg(self.layout);
        if let Some(context) = self.context {
            command.arg("--verify-context").arg(context);
        }
        if let Some(threads) = self.threads {
            command.arg("--jobs").arg(threads.to_string());
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        let is_dated = app.environment.text("SOURCE_DATE_EPOCH").is_some()
            || args
                .build_args
                .iter()
                .any(|arg| arg.starts_with("SOURCE_DATE_EPOCH"));
        if !is_dated {
            command.env("SOURCE_DATE_EPOCH", DEFAULT_EPOCH);
        }
        let status = command.status().context("failed to start a build")?;
        match status.code() {
            Some(0) => Ok(()),
            // It said why.
            Some(code) if code == i32::from(INTERRUPTED) => Err(crate::failure::Interrupted.into()),
            _ => bail!("there is nothing to compare: a build failed"),
        }
    }
}

/// What was typed after the verb, without what every command has.
fn words() -> Vec<OsString> {
    let mut words = std::env::args_os()
        .skip_while(|word| word != "verify")
        .skip(1);
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        match ["--root", "--config"]
            .iter()
            .find(|option| text.starts_with(**option))
        {
            Some(option) if text == **option => drop(words.next()),
            Some(option) if text.as_bytes().get(option.len()) == Some(&b'=') => {}
            _ => kept.push(word),
        }
    }
    kept
}
