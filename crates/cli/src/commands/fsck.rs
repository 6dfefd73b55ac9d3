//! `rbuild fsck`: reads the whole store again, and drops what is damaged.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::app::App;
use crate::render;

/// What was typed after `rbuild fsck`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drop what is damaged, and what needs it: steps run again, images are pulled or built again
    #[arg(long)]
    repair: bool,
}

/// Checks, and tells what it found. Fails where something is damaged and stays so.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let check = store.check(&|_| {})?;
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
    if check.damages.is_empty() {
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
            "not repaired, since it is in use or the database itself: {damage}"
        );
    }
    if left.is_empty() {
        text.push_str("Repaired.\n");
    }
    render::out(&text)?;
    Ok(ExitCode::from(u8::from(!left.is_empty())))
}
