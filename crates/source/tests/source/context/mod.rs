//! What a build relies on when it walks a directory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

mod changes;
mod walks;

use std::fs;
use std::path::Path;
use std::time::Duration;

use rbuild_layer::Entry;
use rbuild_source::{Context, ContextTree, IgnoreRules, Needed};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn walk_with(root: &Path, rules: &str, needed: &Needed, cache: Option<&Path>) -> ContextTree {
    let rules = IgnoreRules::parse(rules.as_bytes(), ".dockerignore").unwrap();
    Context::open(root, rules)
        .unwrap()
        .walk(needed, cache)
        .unwrap()
}

fn walk(root: &Path) -> ContextTree {
    walk_with(root, "", &Needed::All, None)
}

fn paths(tree: &ContextTree) -> Vec<String> {
    tree.index()
        .entries()
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
        .collect()
}

fn needed(paths: &[&str]) -> Needed {
    Needed::Paths(paths.iter().map(|path| path.as_bytes().to_vec()).collect())
}

fn get<'a>(tree: &'a ContextTree, path: &str) -> &'a Entry {
    tree.index()
        .get(path.as_bytes())
        .unwrap_or_else(|| panic!("{path} is in {:?}", paths(tree)))
}

/// Longer than the clock's tick: what was written before is settled after.
fn settle() {
    std::thread::sleep(Duration::from_millis(45));
}
