//! What git says of a context on this machine: a hint that nobody has verified.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use rbuild_plan::without_credentials;

use crate::app::Environment;
use crate::commands::build::args::boolean;

/// `BUILDX_GIT_INFO=false`: nothing is asked.
const SWITCH: &str = "BUILDX_GIT_INFO";

/// `source` and `revision` of the checkout that `directory` is in; empty where there is none, or no git.
pub(super) fn of(environment: Environment, directory: &Path) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    let switch = environment.text(SWITCH);
    if switch.is_some_and(|text| boolean(&text) == Ok(false)) {
        return told;
    }
    let Some(revision) = git(directory, &["rev-parse", "HEAD"]) else {
        return told;
    };
    told.insert("revision".to_owned(), revision);
    if let Some(url) = git(directory, &["config", "--get", "remote.origin.url"]) {
        told.insert("source".to_owned(), without_credentials(&url));
    }
    told
}

/// The first line that git writes, if it succeeds.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next().unwrap_or_default().trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
