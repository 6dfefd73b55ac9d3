//! Which files of its contexts a plan reads: what its copies and mounts select, found without running a step.
//!
//! It is told whether a step is a hit or not: what is in the cache was made of these files, too.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rbuild_layer::{Entry, EntryKind};
use rbuild_plan::{
    ContextSource, CopyAction, FileAction, Input, MountKind, Operation, Plan, VertexId,
};
use rbuild_source::{Context, ContextTree, SourceError};

use crate::mounts::carry;
use crate::remote::needed;
use crate::select::{self, MatchKind};

/// A path of a context.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextPath {
    /// Which context.
    pub source: ContextSource,
    /// Relative to its root.
    pub path: Vec<u8>,
}

/// What a plan reads of its contexts, as it was at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextReads {
    entries: BTreeMap<ContextPath, Seen>,
    /// What the key of a step sees of each selection: its digest; none where what it names is not there.
    selections: Vec<Option<String>>,
}

/// What an entry was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    kind: EntryKind,
    mode: u32,
}

impl ContextReads {
    /// What `plan` reads of `contexts` now. `stat_cache` names the file that has the digests of a directory's files.
    pub fn look(
        plan: &Plan,
        contexts: &HashMap<ContextSource, Context>,
        stat_cache: &dyn Fn(&Path) -> PathBuf,
    ) -> Result<Self, SourceError> {
        let mut trees = HashMap::new();
        for (id, source) in context_vertices(plan) {
            if let Some(context) = contexts.get(source) {
                let cache = stat_cache(context.path());
                let tree = context.walk(&needed(plan, id), Some(&cache))?;
                trees.insert(id, (source, tree));
            }
        }
        let mut reads = Self {
            entries: BTreeMap::new(),
            selections: Vec::new(),
        };
        for id in plan.vertices() {
            let inputs = plan.inputs(id);
            for (Input(slot), action) in selections(&plan.vertex(id).operation) {
                if let Some((source, tree)) = trees.get(&inputs[slot as usize]) {
                    reads.add(source, tree, &action);
                }
            }
        }
        Ok(reads)
    }

    fn add(&mut self, source: &ContextSource, tree: &ContextTree, action: &CopyAction) {
        let index = tree.index();
        let Ok(matches) = select::select(index, action) else {
            self.selections.push(None);
            return;
        };
        let digest = select::digest(index, &matches, action);
        self.selections.push(Some(digest));
        let mut add = |entry: &Entry| {
            let place = ContextPath {
                source: source.clone(),
                path: entry.path.clone(),
            };
            let (kind, mode) = (entry.kind.clone(), entry.mode);
            self.entries.insert(place, Seen { kind, mode });
        };
        for found in &matches {
            match &found.kind {
                MatchKind::File(entry) => add(entry),
                MatchKind::Directory(entries) => entries.iter().for_each(|one| add(one.entry)),
            }
        }
    }

    /// The files and symbolic links, in order.
    pub fn files(&self) -> impl Iterator<Item = &ContextPath> {
        let files = self.entries.iter().filter(|(_, seen)| {
            matches!(
                seen.kind,
                EntryKind::File { .. } | EntryKind::Hardlink { .. } | EntryKind::Symlink { .. }
            )
        });
        files.map(|(place, _)| place)
    }

    /// What is not as it was `before`, times aside; nothing if a build would find all that it found then.
    pub fn changes_since(&self, before: &Self) -> Option<Vec<ContextPath>> {
        if self.selections == before.selections {
            return None;
        }
        let gone = before.entries.keys();
        let mut changed: Vec<_> = gone
            .filter(|place| !self.entries.contains_key(place))
            .cloned()
            .collect();
        let here = self.entries.iter();
        let new = here.filter(|(place, seen)| before.entries.get(place) != Some(seen));
        changed.extend(new.map(|(place, _)| place.clone()));
        changed.sort();
        Some(changed)
    }

    /// The directories that have to be watched for anything of this to change, in which context each is.
    pub fn directories(
        plan: &Plan,
        contexts: &HashMap<ContextSource, Context>,
    ) -> Result<Vec<ContextPath>, SourceError> {
        let mut directories = Vec::new();
        for (id, source) in context_vertices(plan) {
            let Some(context) = contexts.get(source) else {
                continue;
            };
            let visited = context.directories(&needed(plan, id))?;
            directories.extend(visited.into_iter().map(|path| ContextPath {
                source: source.clone(),
                path,
            }));
        }
        Ok(directories)
    }
}

fn context_vertices(plan: &Plan) -> impl Iterator<Item = (VertexId, &ContextSource)> {
    plan.vertices()
        .filter_map(|id| match &plan.vertex(id).operation {
            Operation::Context(source) => Some((id, source)),
            _ => None,
        })
}

/// What `operation` selects of its inputs, as its key has it.
fn selections(operation: &Operation) -> Vec<(Input, CopyAction)> {
    match operation {
        Operation::File(file) => {
            let copies = file.actions.iter().filter_map(|action| match action {
                FileAction::Copy(copy) => Some((copy.from, copy.clone())),
                _ => None,
            });
            copies.collect()
        }
        Operation::Exec(exec) => {
            let binds = exec.mounts.iter().filter_map(|mount| match &mount.kind {
                MountKind::Bind { from, source, .. } => Some((*from, carry(source))),
                _ => None,
            });
            binds.collect()
        }
        _ => Vec::new(),
    }
}
