//! `--parents`: what is selected keeps its path from the pivot on.
//!
//! ```text
//! COPY --parents src/./lib/*.c /dst/     base: src    pattern: lib/*.c
//!                                        dst/lib/ (a parent)   dst/lib/a.c
//! COPY --parents src/lib/a.c /dst/       base: /      pattern: src/lib/a.c
//! ```
//!
//! The base may have wildcards as any source, the pattern those of `.dockerignore`. Without any the path has to be there.

use std::collections::HashSet;

use rbuild_layer::{ContentIndex, EntryKind};
use rbuild_plan::{CopyAction, Wildcard};
use rbuild_source::Pattern;

use super::{
    Match, MatchKind, Placed, Role, SelectError, below, contents, follow, resolve_wildcards,
};
use crate::path;

/// What stands between the base and the pattern.
const PIVOT: &[u8] = b"/./";

/// The matches of `copy`: one for each base.
pub(super) fn take<'a>(
    tree: &'a ContentIndex,
    copy: &CopyAction,
) -> Result<Vec<Match<'a>>, SelectError> {
    let source = copy.source.as_bytes();
    let pivot = source
        .windows(PIVOT.len())
        .position(|window| window == PIVOT);
    let (base, pattern) = match pivot {
        Some(at) => (path::clean(&source[..at]), path::clean(&source[at..])),
        None => (Vec::new(), path::clean(source)),
    };
    let bases = match copy.wildcard {
        Wildcard::Pattern if Pattern::has_wildcard(&base) => {
            resolve_wildcards(tree, &base, Wildcard::Pattern)?
        }
        _ => vec![base],
    };
    bases
        .iter()
        .map(|base| take_below(tree, base, &pattern))
        .collect()
}

fn take_below<'a>(
    tree: &'a ContentIndex,
    base: &[u8],
    pattern: &[u8],
) -> Result<Match<'a>, SelectError> {
    let matched = if Pattern::has_wildcard(pattern) {
        matching(tree, &follow(tree, base)?, pattern)?
    } else {
        vec![pattern.to_vec()]
    };
    let mut placed = Vec::new();
    let mut seen = HashSet::new();
    for inside in &matched {
        place_parents(tree, base, inside, &mut placed, &mut seen)?;
        place(tree, base, inside, &mut placed, &mut seen)?;
    }
    Ok(Match {
        name: path::file_name(base).to_vec(),
        kind: MatchKind::Directory(placed),
    })
}

/// The topmost paths below the directory `base` that `pattern` matches, relative to it.
fn matching(tree: &ContentIndex, base: &[u8], pattern: &[u8]) -> Result<Vec<Vec<u8>>, SelectError> {
    let pattern =
        Pattern::ignore(pattern).map_err(|error| SelectError::Pattern(error.to_string()))?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    for entry in below(tree, base) {
        let inside = path::relative(&entry.path, base);
        let brought = found
            .last()
            .is_some_and(|last| path::is_below(inside, last));
        if !brought && pattern.matches(inside) {
            found.push(inside.to_vec());
        }
    }
    Ok(found)
}

/// The directories that lead from `base` to `inside`.
fn place_parents<'a>(
    tree: &'a ContentIndex,
    base: &[u8],
    inside: &[u8],
    placed: &mut Vec<Placed<'a>>,
    seen: &mut HashSet<Vec<u8>>,
) -> Result<(), SelectError> {
    let depth = path::components(inside).count();
    let mut parent = Vec::new();
    for component in path::components(inside).take(depth.saturating_sub(1)) {
        parent = path::join(&parent, component);
        let whole = path::join(base, inside);
        let real = follow(tree, &path::join(base, &parent)).map_err(|error| match error {
            SelectError::Missing(_) => SelectError::Missing(whole.clone()),
            other => other,
        })?;
        let entry = tree.get(&real).ok_or(SelectError::Missing(whole))?;
        if seen.insert(parent.clone()) {
            placed.push(Placed {
                relative: parent.clone().into(),
                entry,
                role: Role::Parent,
            });
        }
    }
    Ok(())
}

/// What `inside` leads to, with all that is below it.
fn place<'a>(
    tree: &'a ContentIndex,
    base: &[u8],
    inside: &[u8],
    placed: &mut Vec<Placed<'a>>,
    seen: &mut HashSet<Vec<u8>>,
) -> Result<(), SelectError> {
    let whole = path::join(base, inside);
    let real = follow(tree, &whole)?;
    let entry = tree.get(&real);
    if entry.is_none() && !real.is_empty() {
        return Err(SelectError::Missing(whole));
    }
    if let Some(entry) = entry
        && !inside.is_empty()
        && seen.insert(inside.to_vec())
    {
        placed.push(Placed {
            relative: inside.to_vec().into(),
            entry,
            role: Role::Selected,
        });
    }
    let is_directory = entry.is_none_or(|entry| matches!(entry.kind, EntryKind::Directory { .. }));
    if is_directory {
        placed.extend(contents(tree, &real).into_iter().map(|below| Placed {
            relative: path::join(inside, &below.relative).into(),
            ..below
        }));
    }
    Ok(())
}
