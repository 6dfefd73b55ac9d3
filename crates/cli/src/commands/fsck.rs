//! `rbuild fsck`: reads the whole store again, and drops what is damaged.

use std::cell::Cell;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rbuild_store::{Check, Checking};

use crate::app::App;
use crate::render;

/// How often the line on a terminal is drawn anew.
const REDRAW: Duration = Duration::from_millis(100);

// What was typed after `rbuild fsck`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drop what is damaged, and what needs it: steps run again, images are pulled or built again
    #[arg(long)]
    repair: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Checks, and tells what it found. Fails where something is damaged and stays so.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let progress = Progress::new(match (args.quiet, app.environment.stderr_is_terminal()) {
        (true, _) => Shown::Not,
        (false, true) => Shown::InPlace,
        (false, false) => Shown::Lines,
    });
    let check = store.check(&|checking| progress.told(checking));
    progress.end();
    let check = check?;
    let mut text = findings(&check);
    if check.damages.is_empty() && (check.leftovers == 0 || !args.repair) {
        render::out(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.repair {
        text.push_str("Nothing was changed; --repair drops what is damaged and what needs it.\n");
        render::out(&text)?;
        return Ok(ExitCode::FAILURE);
    }
    let left = store.repair(&check)?;
    for damage in &left {
        let _ = writeln!(
            text,
            "not repaired, since it is in use, a container or the database itself: {damage}"
        );
    }
    if left.is_empty() {
        text.push_str("Repaired.\n");
    }
    render::out(&text)?;
    Ok(ExitCode::from(u8::from(!left.is_empty())))
}

fn findings(check: &Check) -> String {
    let mut text = String::new();
    for damage in &check.damages {
        let _ = writeln!(text, "{damage}");
    }
    let _ = writeln!(
        text,
        "{} layers, {} blobs, {} cache records and {} images checked: {}",
        check.layers,
        check.blobs,
        check.records,
        check.images,
        match check.damages.len() {
            0 => "no damage".to_owned(),
            1 => "1 damage".to_owned(),
            several => format!("{several} damages"),
        }
    );
    if check.leftovers > 0 {
        let _ = writeln!(
            text,
            "{} leftovers of commands that were killed; the next build removes them, or --repair",
            check.leftovers
        );
    }
    text
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Not,
    /// One line, drawn again and again.
    InPlace,
    /// A line for each kind of thing.
    Lines,
}

/// What is being looked at, on standard error.
struct Progress {
    shown: Shown,
    what: Cell<&'static str>,
    drawn: Cell<Option<Instant>>,
}

#[expect(
    clippy::print_stderr,
    reason = "progress belongs to the terminal, not to the output"
)]
impl Progress {
    fn new(shown: Shown) -> Self {
        Self {
            shown,
            what: Cell::new(""),
            drawn: Cell::new(None),
        }
    }

    fn told(&self, checking: Checking) {
        let another = self.what.replace(checking.what) != checking.what;
        match self.shown {
            Shown::Lines if another => eprintln!("checking {}", counted(checking)),
            Shown::Not | Shown::Lines => {}
            Shown::InPlace => {
                let recent = |drawn: Instant| drawn.elapsed() < REDRAW;
                if another || !self.drawn.get().is_some_and(recent) {
                    eprint!("\r\x1b[Kchecking {}", counted(checking));
                    self.drawn.set(Some(Instant::now()));
                }
            }
        }
    }

    fn end(&self) {
        if self.shown == Shown::InPlace {
            eprint!("\r\x1b[K");
        }
    }
}

/// `layers (12 of 340)`
fn counted(checking: Checking) -> String {
    match checking {
        Checking { what, of: 1, .. } => what.to_owned(),
        Checking { what, done: 0, of } => format!("{of} {what}"),
        Checking { what, done, of } => format!("{what} ({} of {of})", done + 1),
    }
}
