//! `--watch`: builds, and builds again whenever something changes that the build reads.
//!
//! ```text
//! what is there ─→ build ─→ is it still so? ── no ──→ build
//!                              └ yes ─→ wait for anything to happen in the directories ─→ look again
//! ```
//!
//! What an event says does not matter, only that there was one: whether anything changed is found out with the digests that steps'
//! keys are made of. What changes while a build runs is seen after it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rbuild_plan::Plan;
use rbuild_progress::Mode;
use rbuild_solve::Cancel;
use rbuild_source::{DirectoryWatch, Grown, Woken};
use rustix::event::{EventfdFlags, eventfd};

use super::args::Args;
use super::local_files::{LocalFiles, Looked, Written};
use super::request::Request;
use super::run_once;
use crate::app::App;
use crate::{failure, render};

/// So long it has to be quiet before a build begins: editors and checkouts do several things at once.
const QUIET: Duration = Duration::from_millis(60);
/// Even if it is never quiet, a build begins after so many times [`QUIET`].
const MAX_WAITS: usize = 30;
/// What cannot be looked at now may be there again after so long.
const RETRY: Duration = Duration::from_millis(500);
/// Changed files that are named.
const MAX_NAMED: usize = 1;

/// What a build saw before its first step ran.
pub(super) struct Seen {
    pub(super) plan: Plan,
    pub(super) reads: Looked,
}

/// What a build is made of, at one time.
struct State {
    /// The texts of the Dockerfile and the ignore files.
    instructions: Vec<(PathBuf, Option<Vec<u8>>)>,
    reads: Option<Looked>,
}

struct Watcher<'a> {
    app: &'a App,
    cancel: &'a Cancel,
    stopped: OwnedFd,
    watch: DirectoryWatch,
}

/// Builds until the user interrupts.
pub(super) fn run(
    app: &App,
    args: &Args,
    first: Request,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    if !LocalFiles::of(&first)?.are_complete() {
        bail!(
            "--watch: the build context has to be a directory, and the Dockerfile a file, for them to be watched"
        );
    }
    if first.outputs.write_stdout() {
        bail!(
            "--watch: an archive cannot be written to standard output again and again: give dest=FILE"
        );
    }
    let stopped = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let bell = stopped.try_clone()?;
    let _bell = cancel.on_cancel(move || {
        // It can only fail when it rings already.
        let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
    });
    let mut watcher = Watcher {
        app,
        cancel,
        stopped,
        watch: DirectoryWatch::new()?,
    };
    let mut request = first;
    loop {
        let Some(changed) = watcher.build_and_wait(&request)? else {
            return Ok(ExitCode::SUCCESS);
        };
        if request.progress != Mode::Quiet {
            render::note(&format!("\n{}: building again\n", in_words(&changed)))?;
        }
        // Secrets and policies are files, too.
        match Request::new(app, args) {
            Ok(next) => request = next,
            Err(error) => drop(failure::report(&error)),
        }
    }
}

impl Watcher<'_> {
    /// Builds, and tells what changed then; none if the user has enough.
    fn build_and_wait(&mut self, request: &Request) -> anyhow::Result<Option<Vec<PathBuf>>> {
        let files = LocalFiles::of(request)?;
        let instructions = read_all(files.instructions());
        // A build that fails cancels what else it has under way.
        let own = Cancel::new();
        let same = own.clone();
        let _linked = self.cancel.on_cancel(move || same.cancel());
        let mut seen = None;
        match run_once(self.app, request, &own, &mut seen) {
            Ok(_) => {}
            Err(error) if self.cancel.is_cancelled() => return Err(error),
            Err(error) => drop(failure::report(&error)),
        }
        let (plan, reads) = seen.map(|seen: Seen| (seen.plan, seen.reads)).unzip();
        let before = State {
            instructions,
            reads,
        };
        if request.progress != Mode::Quiet {
            render::note("\nwaiting for changes (Ctrl-C ends)\n")?;
        }
        let mut written = Written::by(request)?;
        loop {
            self.cover(&files, plan.as_ref(), request)?;
            let now = State::now(&files, plan.as_ref(), request, self.app)?;
            if let Some(changed) = now.changes_since(&before, &files, &mut written) {
                return Ok(Some(changed));
            }
            let missing = matches!(now.reads, Some(Err(_)));
            if self.wait(missing.then_some(RETRY))? == Woken::Other {
                return Ok(None);
            }
        }
    }

    /// Watches every directory that counts; a new one may have had others in it before it was watched.
    fn cover(
        &mut self,
        files: &LocalFiles,
        plan: Option<&Plan>,
        request: &Request,
    ) -> anyhow::Result<()> {
        loop {
            let directories = files.directories(plan, request);
            if self.watch.set(directories)? == Grown::No {
                return Ok(());
            }
        }
    }

    /// Until something happened and it is quiet again.
    fn wait(&mut self, retry: Option<Duration>) -> anyhow::Result<Woken> {
        let mut woken = self.watch.wait(self.stopped.as_fd(), retry)?;
        for _ in 0..MAX_WAITS {
            if woken != Woken::Change {
                break;
            }
            woken = self.watch.wait(self.stopped.as_fd(), Some(QUIET))?;
        }
        Ok(woken)
    }
}

impl State {
    fn now(
        files: &LocalFiles,
        plan: Option<&Plan>,
        request: &Request,
        app: &App,
    ) -> anyhow::Result<Self> {
        let store = app.store().context("failed to watch")?;
        Ok(Self {
            instructions: read_all(files.instructions()),
            reads: plan.map(|plan| files.look(plan, request, store)),
        })
    }

    /// What is not as it was `before`, if it matters to a build.
    fn changes_since(
        &self,
        before: &Self,
        files: &LocalFiles,
        written: &mut Written,
    ) -> Option<Vec<PathBuf>> {
        let both = self.instructions.iter().zip(&before.instructions);
        let mut changed: Vec<PathBuf> = both
            .filter(|(now, before)| now != before)
            .map(|((path, _), _)| path.clone())
            .collect();
        let mut is_other = !changed.is_empty();
        match (&self.reads, &before.reads) {
            (Some(Ok(now)), Some(Ok(before))) => {
                if let Some(places) = now.changes_since(before) {
                    let paths: Vec<_> = places.iter().filter_map(|one| files.path(one)).collect();
                    let named = !paths.is_empty();
                    changed.extend(paths.into_iter().filter(|path| !written.has(path)));
                    is_other |= !changed.is_empty() || !named;
                }
            }
            (Some(Err(now)), Some(Err(before))) => is_other |= now != before,
            (None, None) => {}
            _ => is_other = true,
        }
        is_other.then_some(changed)
    }
}

fn read_all(paths: Vec<PathBuf>) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let read = |path: PathBuf| {
        let text = std::fs::read(&path).ok();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// `src/main.rs changed (and 2 more)`
fn in_words(changed: &[PathBuf]) -> String {
    let Some(first) = changed.first() else {
        return "the build context changed".to_owned();
    };
    let first = first.display();
    match changed.len() - MAX_NAMED {
        0 => format!("{first} changed"),
        more => format!("{first} changed (and {more} more)"),
    }
}
