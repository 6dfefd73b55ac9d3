//! What may help when a file of the context is not found.

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
    if let Some(rule) = context.ignore().hidden_by(path)
        && context
            .path()
            .join(String::from_utf8_lossy(path).as_ref())
            .exists()
    {
        let pattern = String::from_utf8_lossy(rule.pattern);
        return Some(format!(
            "it is excluded by {}:{} ({pattern})",
            rule.file, rule.line
        ));
    }
    similar(context.path(), tree, path).map(|name| format!("did you mean {name}?"))
}

/// A path in the same directory whose name is nearly the same.
fn similar(directory: &std::path::Path, tree: &ContextTree, path: &[u8]) -> Option<String> {
    let wanted = String::from_utf8_lossy(path::file_name(path)).into_owned();
    let parent = path::parent(path);
    let listed = std::fs::read_dir(directory.join(String::from_utf8_lossy(parent).as_ref()));
    let names = listed
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let indexed = tree
        .index()
        .entries()
        .iter()
        .map(|entry| entry.path.as_slice());
    let indexed = indexed
        .filter(|candidate| path::parent(candidate) == parent)
        .map(|candidate| String::from_utf8_lossy(path::file_name(candidate)).into_owned());
    names
        .chain(indexed)
        .map(|name| {
            (
                strsim::osa_distance(&name.to_lowercase(), &wanted.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= MAX_DIFFERENCES && *distance < name.len())
        .min()
        .map(|(_, name)| String::from_utf8_lossy(&path::join(parent, name.as_bytes())).into_owned())
}
