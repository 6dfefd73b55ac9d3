//! The house against its drawing: `docs/architecture.md` says which room may use which, `docs/dependencies.md` what every
//! dependency is for, and only `sys` has `unsafe`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn rooms_use_only_what_the_table_allows() {
    let rooms = table();
    let mut wrong = Vec::new();
    for package in packages() {
        let Some(room) = rooms.get(&folder(&package)) else {
            continue;
        };
        for (used, kind) in internal_dependencies(&package) {
            if !room.permits(&used, &kind) {
                wrong.push(format!("{} ({kind}): {used}", folder(&package)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "not in the table of docs/architecture.md: {wrong:#?}"
    );
}

#[test]
fn the_table_and_the_folders_are_the_same() {
    let found: BTreeSet<String> = packages().iter().map(folder).collect();
    let told: BTreeSet<String> = table().into_keys().collect();
    assert_eq!(
        found, told,
        "crates/ (left) and the table of docs/architecture.md (right)"
    );
}

#[test]
fn unsafe_code_is_in_sys_alone() {
    let mut wrong = Vec::new();
    for package in packages() {
        let room = folder(&package);
        if room == "sys" {
            continue;
        }
        for root in library_and_binaries(&package) {
            if !read(&root).contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{} does not forbid it", root.display()));
            }
        }
        for file in rust_files(&workspace().join("crates").join(&room)) {
            if read(&file).lines().any(has_unsafe) {
                wrong.push(format!("{} has it", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "unsafe code belongs in crates/sys: {wrong:#?}"
    );
}

#[test]
fn every_dependency_is_explained_and_used() {
    let declared = workspace_dependencies();
    let explained = first_columns(&read(&workspace().join("docs/dependencies.md")));
    assert_eq!(
        declared, explained,
        "[workspace.dependencies] (left) and docs/dependencies.md (right)"
    );
    let used: BTreeSet<String> = packages()
        .iter()
        .flat_map(|package| dependencies(package).into_iter().map(|(name, _)| name))
        .collect();
    let unused: Vec<&String> = declared.difference(&used).collect();
    assert!(unused.is_empty(), "no crate uses {unused:?}");
}

/// A row of the table.
struct Room {
    uses: Allowed,
    in_tests: BTreeSet<String>,
}

/// What a room may use.
enum Allowed {
    /// Every room.
    All,
    /// These.
    Rooms(BTreeSet<String>),
}

impl Room {
    fn permits(&self, used: &str, kind: &str) -> bool {
        let always = match &self.uses {
            Allowed::All => used != "testkit",
            Allowed::Rooms(rooms) => rooms.contains(used),
        };
        always || (kind == "dev" && (used == "testkit" || self.in_tests.contains(used)))
    }
}

/// The rows below "## Rooms".
fn table() -> BTreeMap<String, Room> {
    let text = read(&workspace().join("docs/architecture.md"));
    let (_, after) = text
        .split_once("\n## Rooms\n")
        .expect("the chapter on rooms");
    let chapter = after.split("\n## ").next().unwrap_or(after);
    let rows = chapter
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(room);
    let rooms: BTreeMap<_, _> = rows.collect();
    assert!(rooms.len() > 10, "the table was not found");
    rooms
}

/// `| floor | name | one job | may use | its tests also |`
fn room(row: &str) -> (String, Room) {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [_, name, job, uses, tests] = cells[..] else {
        panic!("a row has five cells: {row}");
    };
    assert!(!job.is_empty(), "{name} has no job");
    let uses = if uses == "all" {
        Allowed::All
    } else {
        Allowed::Rooms(quoted(uses))
    };
    let in_tests = quoted(tests);
    (name.trim_matches('`').to_owned(), Room { uses, in_tests })
}

/// The words in backticks.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The names in the first column of the document's tables.
fn first_columns(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The external lines of `[workspace.dependencies]`.
fn workspace_dependencies() -> BTreeSet<String> {
    let manifest = read(&workspace().join("Cargo.toml"));
    let (_, after) = manifest
        .split_once("\n[workspace.dependencies]\n")
        .expect("the workspace has dependencies");
    after
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.starts_with("rbuild-") && !name.starts_with('#'))
        .collect()
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    list(&metadata["packages"]).to_vec()
}

/// A package's folder below `crates/`.
fn folder(package: &Value) -> String {
    let manifest = Path::new(text(&package["manifest_path"]));
    manifest
        .parent()
        .and_then(Path::file_name)
        .expect("a manifest lies in a folder")
        .to_string_lossy()
        .into_owned()
}

/// Names and kinds (`normal`, `dev`, `build`) of all that a package depends on.
fn dependencies(package: &Value) -> Vec<(String, String)> {
    list(&package["dependencies"])
        .iter()
        .map(|one| {
            let kind = one["kind"].as_str().unwrap_or("normal");
            (text(&one["name"]).to_owned(), kind.to_owned())
        })
        .collect()
}

fn internal_dependencies(package: &Value) -> Vec<(String, String)> {
    dependencies(package)
        .into_iter()
        .filter_map(|(name, kind)| Some((name.strip_prefix("rbuild-")?.to_owned(), kind)))
        .collect()
}

fn library_and_binaries(package: &Value) -> Vec<PathBuf> {
    list(&package["targets"])
        .iter()
        .filter(|target| {
            list(&target["kind"])
                .iter()
                .any(|kind| matches!(kind.as_str(), Some("lib" | "bin")))
        })
        .map(|target| PathBuf::from(text(&target["src_path"])))
        .collect()
}

/// All Rust files of a crate: sources, tests, benches, examples.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a crate's folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Whether the keyword is used in this line, comments aside.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or(line);
    [" {", " fn ", " impl ", " extern ", " trait "]
        .iter()
        .any(|follows| code.contains(&["unsafe", follows].concat()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("cargo writes a list here")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo writes a string here")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
