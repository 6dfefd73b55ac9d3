//! What may help when the source of a copy is not found.

use std::collections::BTreeSet;

use rbuild_layer::ContentIndex;
use rbuild_plan::ContextSource;
use rbuild_source::ContextTree;

use crate::build::Build;
use crate::path;

/// Names that differ in more places than this are not what was meant.
const MAX_DIFFERENCES: usize = 2;

/// Why `path` is not in `tree`: hidden by a rule of `.dockerignore`, or written a little differently.
pub(crate) fn why_missing(
    build: &Build,
    source: &ContextSource,
    tree: &ContextTree,
    path: &[u8],
) -> Option<String> {
    let context = build.contexts.get(source)?;
    let directory = context.path();
    let on_disk = |path: &[u8]| directory.join(String::from_utf8_lossy(path).as_ref());
    if let Some(rule) = context.ignore().hidden_by(path)
        && on_disk(path).exists()
    {
        let pattern = String::from_utf8_lossy(rule.pattern);
        return Some(format!(
            "it is excluded by {}:{} ({pattern})",
            rule.file, rule.line
        ));
    }
    // Only what the build needs is indexed; what people may have meant is more.
    let names = |parent: &[u8]| {
        let listed = std::fs::read_dir(on_disk(parent)).into_iter().flatten();
        let names = listed
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        names.chain(names_in(tree.index(), parent)).collect()
    };
    nearest_path(&names, path)
}

/// Which path of `index` may have been meant by `path`.
pub(crate) fn similar(index: &ContentIndex, path: &[u8]) -> Option<String> {
    nearest_path(&|parent| names_in(index, parent).collect(), path)
}

/// The names in a directory.
fn names_in(index: &ContentIndex, parent: &[u8]) -> impl Iterator<Item = String> {
    let entries = index.entries().iter();
    entries
        .filter(move |entry| path::parent(&entry.path) == parent)
        .map(|entry| String::from_utf8_lossy(path::file_name(&entry.path)).into_owned())
}

/// `path` with its first component that is not there replaced by the one that is most like it.
fn nearest_path(names: &dyn Fn(&[u8]) -> BTreeSet<String>, path: &[u8]) -> Option<String> {
    let mut known: Vec<u8> = Vec::new();
    let mut rest = path::components(path);
    while let Some(component) = rest.next() {
        let wanted = String::from_utf8_lossy(component).into_owned();
        let there = names(&known);
        if there.contains(&wanted) {
            known = path::join(&known, component);
            continue;
        }
        let name = nearest(&there, &wanted)?;
        let meant = rest.fold(path::join(&known, name.as_bytes()), |so_far, component| {
            path::join(&so_far, component)
        });
        return Some(format!("did you mean {}?", String::from_utf8_lossy(&meant)));
    }
    None
}

fn nearest(names: &BTreeSet<String>, wanted: &str) -> Option<String> {
    let wanted = wanted.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::osa_distance(&name.to_lowercase(), &wanted), name))
        .filter(|(distance, name)| *distance <= MAX_DIFFERENCES && *distance < name.len())
        .min()
        .map(|(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_in_any_component_is_pointed_out() {
        let names = |parent: &[u8]| match parent {
            b"" => BTreeSet::from(["src".to_owned(), "README.md".to_owned()]),
            b"src" => BTreeSet::from(["main.rs".to_owned()]),
            _ => BTreeSet::new(),
        };
        let nearest = |path: &str| nearest_path(&names, path.as_bytes());
        assert_eq!(
            nearest("scr/main.rs").as_deref(),
            Some("did you mean src/main.rs?")
        );
        assert_eq!(
            nearest("src/mian.rs").as_deref(),
            Some("did you mean src/main.rs?")
        );
        assert_eq!(
            nearest("readme.md").as_deref(),
            Some("did you mean README.md?")
        );
        assert_eq!(nearest("src/other"), None);
        assert_eq!(nearest("x"), None);
    }
}
