//! Differences between two preimages in the words of the Dockerfile.

use std::collections::BTreeMap;
use std::fmt;

use rbuild_layer::{Change, ContentIndex};
use rbuild_plan::is_secret_name;
use serde::{Deserialize, Serialize};

use crate::{Difference, Preimage, first_differences};

/// Values are shown up to so many characters.
const SHOWN_CHARACTERS: usize = 40;
/// So many files are named, the others counted.
const NAMED_FILES: usize = 20;

/// One thing that made a step miss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing like it ran before.
    First,
    /// It was not to look: `--no-cache`.
    NotAsked,
    /// It ran before with the same inputs, longer ago than `--cache-ttl` says.
    Expired {
        /// As it was written: `12h`.
        ttl: String,
    },
    /// It ran before with the same inputs, but what it made is gone.
    Removed,
    /// The base image is another.
    BaseImage {
        /// As `name@digest`.
        before: Option<String>,
        /// As `name@digest`.
        now: Option<String>,
    },
    /// A step before it gave other files.
    Above {
        /// What became different, if both layers are still there.
        files: Files,
    },
    /// Files that it copies are others.
    Copied {
        /// Which, by their names in the source.
        files: Files,
    },
    /// What a mount shows is another.
    Mounted {
        /// The mount's target.
        target: String,
    },
    /// A build argument or a variable.
    Variable {
        /// What sets it.
        by: Setting,
        /// Its name.
        name: String,
        /// Its value, if it was there; a value that looks like a secret is not told.
        before: Option<String>,
        /// Its value, if it is there.
        now: Option<String>,
    },
    /// The command itself.
    Command {
        /// Its words.
        before: String,
        /// Its words.
        now: String,
    },
    /// A flag or another property of the step.
    Property {
        /// What.
        name: String,
        /// Its value, if it had one.
        before: Option<String>,
        /// Its value, if it has one.
        now: Option<String>,
    },
}

/// What gives a variable its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// A build argument.
    Arg,
    /// The image's environment.
    Env,
}

/// Files that became different.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The first of them.
    pub named: Vec<FileChange>,
    /// How many more there are.
    pub more: usize,
}

/// A file that became different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its name.
    pub path: String,
    /// What became of it.
    pub change: Kind,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has other bytes or attributes.
    Changed,
}

impl Files {
    /// What differs from `before` to `now`, called as `name` says. A directory counts only if nothing in it does.
    pub fn between(
        before: &ContentIndex,
        now: &ContentIndex,
        name: impl Fn(&[u8]) -> String,
    ) -> Self {
        let changes = before.changes(now);
        let paths: Vec<&[u8]> = changes.iter().map(Change::path).collect();
        let holds_the_next = |position: usize| {
            paths.get(position + 1).is_some_and(|next| {
                next.strip_prefix(paths[position])
                    .is_some_and(|rest| rest.starts_with(b"/"))
            })
        };
        let told: Vec<&Change<'_>> = changes
            .iter()
            .enumerate()
            .filter(|(position, _)| !holds_the_next(*position))
            .map(|(_, change)| change)
            .collect();
        let named = told.iter().take(NAMED_FILES).map(|change| FileChange {
            path: name(change.path()),
            change: match change {
                Change::Added(_) => Kind::Added,
                Change::Removed(_) => Kind::Removed,
                Change::Changed { .. } => Kind::Changed,
            },
        });
        Self {
            named: named.collect(),
            more: told.len().saturating_sub(NAMED_FILES),
        }
    }

    fn len(&self) -> usize {
        self.named.len() + self.more
    }
}

/// Why `now` is not `before`, the likeliest cause first; `arguments` are the variables that are ARGs. What files differ is for
/// the caller to fill in.
pub(crate) fn reasons(before: &Preimage, now: &Preimage, arguments: &[String]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for difference in first_differences(before, now) {
        let reason = reason(difference, before, now, arguments);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    // What a person did comes before what followed from it.
    reasons.sort_by_key(|reason| matches!(reason, Reason::Above { .. }));
    reasons
}

fn reason(difference: Difference, old: &Preimage, new: &Preimage, arguments: &[String]) -> Reason {
    let (label, before, now) = match difference {
        Difference::Added(element) => (element.label, None, Some(element.value)),
        Difference::Removed(element) => (element.label, Some(element.value), None),
        Difference::Changed { label, before, now } => (label, Some(before), Some(now)),
    };
    let (before, now) = (before.as_deref().map(text), now.as_deref().map(text));
    if let Some(name) = label.strip_prefix("env ") {
        let hide = |value: Option<String>| value.map(|value| shown(name, value));
        let is_argument = arguments.iter().any(|argument| argument == name);
        return Reason::Variable {
            by: if is_argument {
                Setting::Arg
            } else {
                Setting::Env
            },
            name: name.to_owned(),
            before: hide(before),
            now: hide(now),
        };
    }
    if label.starts_with("arg ") {
        return Reason::Command {
            before: command(old),
            now: command(new),
        };
    }
    if let Some(target) = label
        .strip_prefix("mount ")
        .and_then(|rest| rest.strip_suffix(" content"))
    {
        let target = target.to_owned();
        return Reason::Mounted { target };
    }
    match label.as_str() {
        "base" => Reason::Above {
            files: Files::default(),
        },
        "source" => Reason::Copied {
            files: Files::default(),
        },
        _ => Reason::Property {
            name: label,
            before: before.map(shorten),
            now: now.map(shorten),
        },
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(name: &str, value: String) -> String {
    if is_secret_name(name) {
        "(hidden)".to_owned()
    } else {
        shorten(value)
    }
}

fn shorten(value: String) -> String {
    let line = value.lines().next().unwrap_or_default();
    if line.len() == value.len() && line.chars().count() <= SHOWN_CHARACTERS {
        return value;
    }
    let start: String = line.chars().take(SHOWN_CHARACTERS).collect();
    format!("{start}…")
}

/// The words of a command, without the shell that it is given to.
fn command(preimage: &Preimage) -> String {
    let words: BTreeMap<usize, String> = preimage
        .elements()
        .iter()
        .filter_map(|element| {
            let position = element.label.strip_prefix("arg ")?.parse().ok()?;
            Some((position, text(&element.value)))
        })
        .collect();
    let words: Vec<String> = words.into_values().collect();
    match words.as_slice() {
        [shell, flag, script] if shell.ends_with("sh") && flag == "-c" => shorten(script.clone()),
        _ => shorten(words.join(" ")),
    }
}

impl Reason {
    /// In words, with a line for each file.
    pub fn in_full(&self) -> Vec<String> {
        let (Self::Above { files } | Self::Copied { files }) = self else {
            return vec![self.to_string()];
        };
        if files.len() == 0 {
            return vec![self.to_string()];
        }
        let place = match self {
            Self::Above { .. } => "step above: ",
            _ => "",
        };
        let named = files
            .named
            .iter()
            .map(|file| format!("{place}{} {}", file.path, file.change.verb()));
        let more = (files.more > 0).then(|| format!("{place}{} more files", files.more));
        named.chain(more).collect()
    }
}

impl Kind {
    fn verb(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("no such step ran before"),
            Self::NotAsked => f.write_str("the cache was not to be used"),
            Self::Expired { ttl } => write!(f, "older than --cache-ttl {ttl}"),
            Self::Removed => f.write_str("its earlier result was removed from the cache"),
            Self::BaseImage { before, now } => base_image(f, before.as_deref(), now.as_deref()),
            Self::Above { files } if files.len() == 0 => f.write_str("a step above changed"),
            Self::Above { files } => write!(f, "step above: {files}"),
            Self::Copied { files } if files.len() == 0 => f.write_str("the copied files changed"),
            Self::Copied { files } => write!(f, "{files}"),
            Self::Mounted { target } => write!(f, "what is mounted at {target} changed"),
            Self::Variable {
                by,
                name,
                before,
                now,
            } => {
                let name = match by {
                    Setting::Arg => format!("ARG {name}"),
                    Setting::Env => format!("ENV {name}"),
                };
                change(f, &name, before.as_deref(), now.as_deref())
            }
            Self::Property { name, before, now } => {
                change(f, name, before.as_deref(), now.as_deref())
            }
            Self::Command { before, now } => write!(f, "command: {before} → {now}"),
        }
    }
}

fn change(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    before: Option<&str>,
    now: Option<&str>,
) -> fmt::Result {
    match (before, now) {
        (Some(before), Some(now)) if before == now => write!(f, "{name} changed"),
        (Some(before), Some(now)) => write!(f, "{name}: {before} → {now}"),
        (None, Some(now)) => write!(f, "{name} is new: {now}"),
        (Some(before), None) => write!(f, "{name} is gone (was {before})"),
        (None, None) => write!(f, "{name} changed"),
    }
}

fn base_image(f: &mut fmt::Formatter<'_>, before: Option<&str>, now: Option<&str>) -> fmt::Result {
    let split = |image: &'_ str| match image.split_once('@') {
        Some((name, digest)) => (name.to_owned(), digest.to_owned()),
        None => (image.to_owned(), String::new()),
    };
    match (before.map(split), now.map(split)) {
        (Some((old, _)), Some((new, digest))) if old == new => {
            write!(f, "base image {new} moved to {digest}")
        }
        (Some((old, _)), Some((new, _))) => write!(f, "base image: {old} → {new}"),
        (_, Some((new, digest))) => write!(f, "base image is now {new} ({digest})"),
        (_, None) => f.write_str("the base image changed"),
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.named.first() else {
            return f.write_str("files changed");
        };
        write!(f, "{} {}", first.path, first.change.verb())?;
        match self.len() - 1 {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;
