//! Which entries of a tree a copy takes, and where below the destination they go.
//!
//! The same selection feeds the step's key (its digest) and the copy itself, so what was hashed is what is copied.
//!
//! ```text
//! COPY src/ a*.txt /dst/      Match { name: "src",  Directory: every entry below src, relative to it }
//!                             Match { name: "a1.txt", File }
//! ```

mod parents;

use std::borrow::Cow;
use std::collections::HashSet;

use rbuild_layer::{AttributeMask, ContentIndex, Counted, Entry, EntryKind};
use rbuild_plan::{CopyAction, Mode, Owner, Parents, Wildcard};
use rbuild_source::{IgnoreRules, Pattern};

use crate::path;

/// How many symbolic links a source path may lead through (as the kernel's limit).
const MAX_LINKS: u32 = 40;

/// What one source of a copy selects.
#[derive(Debug)]
pub(crate) struct Match<'a> {
    /// The last component as it was written or matched: the name under a destination directory.
    pub(crate) name: Vec<u8>,
    /// What it is.
    pub(crate) kind: MatchKind<'a>,
}

impl<'a> Match<'a> {
    /// The file that it is.
    fn file(&self) -> Option<&'a Entry> {
        match self.kind {
            MatchKind::File(entry) => Some(entry),
            MatchKind::Directory(_) => None,
        }
    }

    /// What is in the directory that it is.
    fn placed(&self) -> &[Placed<'a>] {
        match &self.kind {
            MatchKind::File(_) => &[],
            MatchKind::Directory(entries) => entries,
        }
    }
}

/// A selected file or the contents of a selected directory.
#[derive(Debug)]
pub(crate) enum MatchKind<'a> {
    /// Anything but a directory.
    File(&'a Entry),
    /// A directory: what is in it, paths relative to it, parents first.
    Directory(Vec<Placed<'a>>),
}

/// An entry and where it goes, relative to the destination directory.
#[derive(Debug, Clone)]
pub(crate) struct Placed<'a> {
    /// Path relative to the destination.
    pub(crate) relative: Cow<'a, [u8]>,
    /// The entry in its tree.
    pub(crate) entry: &'a Entry,
    /// Why it is placed.
    pub(crate) role: Role,
}

/// Why an entry is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It was asked for.
    Selected,
    /// A directory that something below it needs.
    Parent,
}

/// Why nothing could be selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SelectError {
    /// A literal path is not in the tree.
    Missing(Vec<u8>),
    /// A symbolic link leads nowhere or in circles.
    Link(Vec<u8>),
    /// The pattern cannot be read.
    Pattern(String),
}

/// What `copy` takes from `tree`, in a fixed order.
pub(crate) fn select<'a>(
    tree: &'a ContentIndex,
    copy: &CopyAction,
) -> Result<Vec<Match<'a>>, SelectError> {
    let excludes = excludes(copy)?;
    let found = match copy.parents {
        Parents::Dropped => {
            resolve_wildcards(tree, &path::clean(copy.source.as_bytes()), copy.wildcard)?
                .iter()
                .map(|matched| take(tree, matched))
                .collect::<Result<_, _>>()?
        }
        Parents::Kept => parents::take(tree, copy)?,
    };
    let mut matches = Vec::new();
    for mut found in found {
        if let Some(rules) = &excludes
            && exclude(&mut found, rules) == Excluded::Whole
        {
            continue;
        }
        matches.push(found);
    }
    Ok(matches)
}

fn excludes(copy: &CopyAction) -> Result<Option<IgnoreRules>, SelectError> {
    if copy.excludes.is_empty() {
        return Ok(None);
    }
    IgnoreRules::from_patterns(&copy.excludes)
        .map(Some)
        .map_err(|error| SelectError::Pattern(error.to_string()))
}

/// The paths that `source` stands for.
fn resolve_wildcards(
    tree: &ContentIndex,
    source: &[u8],
    wildcard: Wildcard,
) -> Result<Vec<Vec<u8>>, SelectError> {
    if wildcard == Wildcard::Literal {
        return Ok(vec![source.to_vec()]);
    }
    let pattern = Pattern::glob(source);
    let pattern = pattern.map_err(|error| SelectError::Pattern(error.to_string()))?;
    // What stands before the first component with a wildcard is followed as a path.
    let fixed = path::components(source)
        .take_while(|component| !component.iter().any(|byte| b"*?[\\".contains(byte)))
        .collect::<Vec<_>>()
        .join(&b'/');
    let Some(start) = follow_directory(tree, &fixed) else {
        return Ok(Vec::new());
    };
    let mut found: Vec<Vec<u8>> = Vec::new();
    for entry in below(tree, &start) {
        let as_written = path::join(&fixed, path::relative(&entry.path, &start));
        if found
            .last()
            .is_some_and(|last| path::is_below(&as_written, last))
        {
            continue; // a matched directory brings its contents
        }
        if pattern.matches(&as_written) {
            found.push(as_written);
        }
    }
    Ok(found)
}

/// The match for one path; a symbolic link at its end is followed inside the tree.
fn take<'a>(tree: &'a ContentIndex, matched: &[u8]) -> Result<Match<'a>, SelectError> {
    let name = path::file_name(matched).to_vec();
    let real = follow(tree, matched)?;
    let Some(entry) = tree.get(&real) else {
        return if real.is_empty() {
            Ok(Match {
                name,
                kind: MatchKind::Directory(contents(tree, b"")),
            })
        } else {
            Err(SelectError::Missing(matched.to_vec()))
        };
    };
    let kind = match entry.kind {
        EntryKind::Directory { .. } => MatchKind::Directory(contents(tree, &real)),
        _ => MatchKind::File(entry),
    };
    Ok(Match { name, kind })
}

/// How much of a match `--exclude` took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excluded {
    /// All of it.
    Whole,
    /// Some of it, or nothing.
    Part,
}

/// Takes out what `--exclude` names, and directories' contents with them; a directory with something in it that a
/// later pattern takes back (`!`) stays.
fn exclude(found: &mut Match<'_>, rules: &IgnoreRules) -> Excluded {
    match &mut found.kind {
        MatchKind::File(_) if rules.ignores(&found.name) => Excluded::Whole,
        MatchKind::File(_) => Excluded::Part,
        MatchKind::Directory(entries) => {
            let mut parents = HashSet::new();
            // Parents stand before their children.
            let mut kept: Vec<Option<Role>> = entries
                .iter()
                .rev()
                .map(|placed| {
                    let role = if !rules.ignores(&placed.relative) {
                        Some(placed.role)
                    } else if parents.contains(placed.relative.as_ref()) {
                        Some(Role::Parent)
                    } else {
                        None
                    };
                    if role.is_some() {
                        parents.insert(path::parent(&placed.relative).to_vec());
                    }
                    role
                })
                .collect();
            entries.retain_mut(|placed| {
                let role = kept.pop().expect("one answer for each entry");
                placed.role = role.unwrap_or(placed.role);
                role.is_some()
            });
            Excluded::Part
        }
    }
}

pub(crate) fn contents<'a>(tree: &'a ContentIndex, directory: &[u8]) -> Vec<Placed<'a>> {
    below(tree, directory)
        .map(|entry| Placed {
            relative: Cow::Borrowed(path::relative(&entry.path, directory)),
            entry,
            role: Role::Selected,
        })
        .collect()
}

/// Every entry strictly below `directory`.
fn below<'a>(tree: &'a ContentIndex, directory: &[u8]) -> impl Iterator<Item = &'a Entry> {
    let entries = if directory.is_empty() {
        tree.entries()
    } else {
        tree.subtree(directory)
    };
    let own = directory.len();
    entries.iter().filter(move |entry| entry.path.len() > own)
}

/// `path` with every symbolic link in it followed inside the tree.
fn follow(tree: &ContentIndex, path: &[u8]) -> Result<Vec<u8>, SelectError> {
    let mut links = 0;
    let mut pending: Vec<Vec<u8>> = path::components(path).map(<[u8]>::to_vec).rev().collect();
    let mut real: Vec<u8> = Vec::new();
    while let Some(component) = pending.pop() {
        match component.as_slice() {
            b"." | b"" => continue,
            b".." => {
                real = path::parent(&real).to_vec();
                continue;
            }
            _ => {}
        }
        let next = path::join(&real, &component);
        match tree.get(&next).map(|entry| &entry.kind) {
            Some(EntryKind::Symlink { target }) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(SelectError::Link(path.to_vec()));
                }
                if target.starts_with(b"/") {
                    real.clear();
                }
                pending.extend(path::components(target).map(<[u8]>::to_vec).rev());
            }
            Some(_) => real = next,
            None => return Err(SelectError::Missing(path.to_vec())),
        }
    }
    Ok(real)
}

/// [`follow`] for a directory; `None` if it is not there.
fn follow_directory(tree: &ContentIndex, path: &[u8]) -> Option<Vec<u8>> {
    follow(tree, path).ok()
}

/// The digest of what was selected: attributes that the copy overrides do not count.
pub(crate) fn digest(tree: &ContentIndex, matches: &[Match<'_>], copy: &CopyAction) -> String {
    let mask = AttributeMask {
        owner: match copy.owner {
            Owner::Source => Counted::Yes,
            Owner::Ids { .. } | Owner::Named(_) => Counted::No,
        },
        mode: match copy.mode {
            Mode::Octal(_) => Counted::No,
            Mode::Source | Mode::Symbolic(_) => Counted::Yes,
        },
    };
    let mut hasher = blake3::Hasher::new();
    for found in matches {
        let (kind, count) = match &found.kind {
            MatchKind::File(_) => (b'f', 1),
            MatchKind::Directory(entries) => (b'd', entries.len() as u64),
        };
        hasher.update(&[kind]);
        hasher.update(&count.to_le_bytes());
    }
    let parents = matches.iter().flat_map(Match::placed);
    for parent in parents.filter(|placed| placed.role == Role::Parent) {
        hasher.update(&(parent.relative.len() as u64).to_le_bytes());
        hasher.update(&parent.relative);
        // One that is there already gets the source's mode, whatever `--chmod` says.
        if mask.mode == Counted::No {
            hasher.update(&parent.entry.mode.to_le_bytes());
        }
    }
    // All matches at once: names that share a file share it across matches too.
    let entries = matches.iter().flat_map(|found| {
        let placed = found.placed().iter();
        let placed = placed.map(|one| (one.relative.as_ref(), one.entry));
        let file = found.file().map(|entry| (found.name.as_slice(), entry));
        file.into_iter().chain(placed)
    });
    hasher.update(&tree.tree_digest(entries, mask));
    hasher.finalize().to_hex().to_string()
}

/// The entry that `path` leads to, symbolic links followed; the root has none.
pub(crate) fn find<'a>(tree: &'a ContentIndex, path: &[u8]) -> Option<&'a Entry> {
    tree.get(&follow(tree, path).ok()?)
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
