//! Which steps have the same inputs as one before: those must not run again.
//!
//! A step is told by what its instruction says (the model's own reading of the Dockerfile), by the contents of the
//! files that it starts from, and by those that it selects. Where the model's own selection would be more than a few
//! lines (links on the way, exceptions to what is ignored), it takes all the files there are: then it asks for less.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rbuild_layer::{ContentIndex, EntryKind};
use rbuild_plan::{
    ContextSource, CopyAction, FileAction, Input, Mode, MountKind, Operation, Owner, Parents, Plan,
    VertexId,
};

use crate::harness::Result;
use crate::machine::{Built, Machine};
use crate::render::Rendered;
use crate::world::{Node, Tree, World};

/// The inputs of every step of a build.
pub(crate) struct Inputs<'a> {
    pub(crate) world: &'a World,
    pub(crate) rendered: &'a Rendered,
    pub(crate) plan: &'a Plan,
    /// A clean build.
    pub(crate) clean: &'a Built,
    pub(crate) machine: &'a Machine,
}

/// A name in a tree as a step sees it.
struct Seen {
    is_link: bool,
    what: String,
    mode: String,
    owner: String,
}

type View = BTreeMap<String, Seen>;

const IGNORE_FILE: &str = ".dockerignore";

/// Stands in the view of a context with exceptions to what is ignored: which files are there, the model leaves open.
const EXCEPTIONS: &str = ".dockerignore with exceptions";

impl Inputs<'_> {
    /// What `vertex` works on; nothing for what is no step.
    pub(crate) fn of(&self, vertex: VertexId) -> Result<Option<String>> {
        let operation = &self.plan.vertex(vertex).operation;
        let inputs = self.plan.inputs(vertex);
        let mut text = match self.plan.vertex(vertex).origin {
            Some(span) => self.rendered.steps.get(&span.start).cloned(),
            None => None,
        }
        .unwrap_or_else(|| format!("{operation:?}"));
        match operation {
            Operation::File(file) => {
                if let Some(Input(slot)) = file.base {
                    self.push_base(&mut text, inputs[slot as usize]);
                }
                for action in &file.actions {
                    if let FileAction::Copy(copy) = action {
                        text.push_str(&self.selected(inputs[copy.from.0 as usize], copy)?);
                    }
                }
            }
            Operation::Exec(exec) => {
                self.push_base(&mut text, inputs[0]);
                for mount in &exec.mounts {
                    if let MountKind::Bind { from, source, .. } = &mount.kind {
                        let _ = write!(text, "\nmounted {source}:");
                        text.push_str(&self.mounted(inputs[from.0 as usize], source)?);
                    }
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(text))
    }

    fn push_base(&self, text: &mut String, base: VertexId) {
        text.push_str("\non:\n");
        for layer in &self.clean.stacks[&base] {
            let contents = self.clean.layers.get(layer).cloned();
            text.push_str(&contents.unwrap_or_else(|| layer.to_string()));
            text.push_str("\n--\n");
        }
    }

    fn selected(&self, from: VertexId, copy: &CopyAction) -> Result<String> {
        let view = self.view(from)?;
        let masked = |seen: &Seen| {
            let mode = match copy.mode {
                Mode::Octal(_) => "",
                _ => &seen.mode,
            };
            let owner = match copy.owner {
                Owner::Source => &seen.owner,
                _ => "",
            };
            format!("{mode} {owner} {}", seen.what)
        };
        let is_plain = copy.parents == Parents::Dropped
            && copy.excludes.is_empty()
            && !view.contains_key(EXCEPTIONS);
        let source: Vec<&str> = copy
            .source
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let found = is_plain.then(|| take(&view, &source)).flatten();
        let mut text = String::from("\nfiles:\n");
        match found {
            Some(found) => {
                for (name, path) in found {
                    let attributes = path.map(|path| masked(&view[path])).unwrap_or_default();
                    let _ = writeln!(text, "{name} {attributes}");
                }
            }
            None => {
                for (path, seen) in &view {
                    let _ = writeln!(text, "{path} {}", masked(seen));
                }
            }
        }
        Ok(text)
    }

    fn mounted(&self, from: VertexId, source: &str) -> Result<String> {
        let view = self.view(from)?;
        let mut text = String::new();
        let top = source.trim_matches('/').trim_start_matches("./");
        let top = if top == "." { "" } else { top };
        let below = format!("{top}/");
        let is_context = matches!(self.plan.vertex(from).operation, Operation::Context(_));
        let is_open =
            view.contains_key(EXCEPTIONS) || view.get(top).is_some_and(|seen| seen.is_link);
        for (path, seen) in &view {
            // A context's directory itself is made for the mount.
            let own = path == top && !(is_context && seen.what == "directory");
            if top.is_empty() || own || path.starts_with(&below) || is_open {
                let _ = writeln!(text, "{path} {} {} {}", seen.mode, seen.owner, seen.what);
            }
        }
        Ok(text)
    }

    fn view(&self, vertex: VertexId) -> Result<View> {
        match &self.plan.vertex(vertex).operation {
            Operation::Context(ContextSource::Main) => {
                Ok(context(&self.world.files, &self.world.ignore))
            }
            Operation::Context(_) => Ok(context(&self.world.extra, &[])),
            _ => self.layers(vertex),
        }
    }

    fn layers(&self, vertex: VertexId) -> Result<View> {
        let mut indexes = Vec::new();
        for id in &self.clean.stacks[&vertex] {
            let layer = self
                .machine
                .store
                .layer(id)?
                .ok_or("a layer is not there")?;
            indexes.push(layer.index()?);
        }
        let merged = ContentIndex::merge(&indexes.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        let entries = merged.entries().iter().map(|entry| {
            let seen = Seen {
                is_link: matches!(entry.kind, EntryKind::Symlink { .. }),
                what: format!("{:?} {:?}", entry.kind, entry.xattrs),
                mode: format!("{:o}", entry.mode),
                owner: format!("{}:{}", entry.uid, entry.gid),
            };
            (String::from_utf8_lossy(&entry.path).into_owned(), seen)
        });
        Ok(entries.collect())
    }
}

/// What the builder sees of a context: every file is root's.
fn context(tree: &Tree, ignore: &[&str]) -> View {
    let hides = !ignore.iter().any(|line| line.starts_with('!'));
    let seen = tree
        .iter()
        .filter(|(path, _)| !(hides && is_ignored(path, ignore)));
    let mut view: View = seen
        .map(|(path, node)| {
            let file = match node {
                Node::Hardlink(target) => tree.get(target).unwrap_or(node),
                node => node,
            };
            let (what, mode) = match file {
                Node::Directory { mode } => ("directory".to_owned(), *mode),
                Node::File(file) => {
                    let first = match node {
                        Node::Hardlink(target) => target,
                        _ => path,
                    };
                    let names = tree
                        .values()
                        .filter(|node| **node == Node::Hardlink(first.clone()));
                    // Alone, a file is the same under any name.
                    let names = if names.count() > 0 { first } else { "" };
                    (
                        format!("file {:?} {:?} {names}", file.text, file.xattr),
                        file.mode,
                    )
                }
                Node::Symlink(target) => (format!("to {target}"), 0),
                Node::Hardlink(_) => ("nothing".to_owned(), 0),
            };
            let seen = Seen {
                is_link: matches!(node, Node::Symlink(_)),
                what,
                mode: format!("{mode:o}"),
                owner: String::new(),
            };
            (path.clone(), seen)
        })
        .collect();
    // A file of the context like others: no pattern matches it.
    let seen = Seen {
        is_link: false,
        what: format!("{ignore:?}"),
        mode: String::new(),
        owner: String::new(),
    };
    view.insert(
        if hides { IGNORE_FILE } else { EXCEPTIONS }.to_owned(),
        seen,
    );
    view
}

fn is_ignored(path: &str, ignore: &[&str]) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    ignore.iter().any(|line| {
        let pattern: Vec<&str> = line.split('/').collect();
        (1..=parts.len()).any(|length| matches(&pattern, &parts[..length]))
    })
}

fn matches(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=parts.len()).any(|skip| matches(rest, &parts[skip..])),
        (Some((glob, rest)), Some((part, parts))) => {
            matches_part(glob.as_bytes(), part.as_bytes()) && matches(rest, parts)
        }
        _ => false,
    }
}

fn matches_part(glob: &[u8], part: &[u8]) -> bool {
    match (glob.split_first(), part.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=part.len()).any(|skip| matches_part(rest, &part[skip..])),
        (Some((b'?', rest)), Some((_, part))) => matches_part(rest, part),
        (Some((one, rest)), Some((other, part))) => one == other && matches_part(rest, part),
        _ => false,
    }
}

/// What `source` selects: the names below the destination and the paths, and a line for each directory that is matched
/// itself, whose own attributes do not count. Nothing where links are on the way.
fn take<'v>(view: &'v View, source: &[&str]) -> Option<Vec<(String, Option<&'v str>)>> {
    let mut found = Vec::new();
    for (path, seen) in view {
        let parts: Vec<&str> = path.split('/').collect();
        let is_on_the_way = (1..=source.len()).any(|length| matches(&source[..length], &parts));
        if is_on_the_way && seen.is_link {
            return None;
        }
        if parts.len() < source.len() || !matches(source, &parts[..source.len()]) {
            continue;
        }
        let (top, below) = parts.split_at(source.len());
        if !below.is_empty() {
            found.push((format!("/{}", below.join("/")), Some(path.as_str())));
        } else if seen.what == "directory" || seen.what.starts_with("Directory") {
            found.push(("a directory".to_owned(), None));
        } else {
            found.push((top.last().copied().unwrap_or("").to_owned(), Some(path)));
        }
    }
    Some(found)
}
