//! RUN: flags, then a command, perhaps with heredocs.

use super::command;
use crate::flags::{Flags, Known, Takes};
use crate::mount::mount_from;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Diagnostic, Run, Word, quote, suggest};

const FLAGS: Known = &[
    ("mount", Takes::Values),
    ("network", Takes::Value),
    ("security", Takes::Value),
    ("device", Takes::Values),
];

/// Parses RUN.
pub(super) fn parse(statement: &mut Statement<'_, '_>, sink: &mut Sink) -> Option<Run> {
    let mut flags = Flags::parse(statement, FLAGS, sink);
    let mounts = flags.values("mount");
    for mount in &mounts {
        if let Err(error) = mount_from(&mount.value) {
            let diagnostic = Diagnostic::error("invalid-mount", error.to_string(), mount.span);
            sink.push(
                error
                    .help()
                    .map_or(diagnostic.clone(), |help| diagnostic.with_help(help)),
            );
        }
    }
    let network = flags.value_or_empty("network");
    check(
        network.as_ref(),
        |mode| format!("invalid network mode {mode}"),
        &["default", "none", "host"],
        sink,
    );
    let security = flags.value_or_empty("security");
    check(
        security.as_ref(),
        |mode| format!("security {mode} is not valid"),
        &["sandbox", "insecure"],
        sink,
    );
    let devices = flags.values("device");
    let command = command::command(statement, sink)?;
    let heredocs = std::mem::take(&mut statement.heredocs);
    Some(Run {
        command,
        heredocs,
        mounts,
        network,
        security,
        devices,
    })
}

fn check(
    word: Option<&Word>,
    refusal: impl Fn(&str) -> String,
    modes: &'static [&'static str],
    sink: &mut Sink,
) {
    let Some(word) = word.filter(|word| !modes.contains(&word.value.as_str())) else {
        return;
    };
    let message = refusal(&quote(&word.value));
    let diagnostic = Diagnostic::error("invalid-mode", message, word.span);
    sink.push(match suggest(&word.value, modes.iter().copied()) {
        Some(meant) => diagnostic
            .with_help(format!("did you mean {meant}?"))
            .with_patch(meant),
        None => diagnostic.with_help(format!("it is one of {}", modes.join(", "))),
    });
}
