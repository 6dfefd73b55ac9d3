//! A directory as a build context: scan, hash what the stat cache does not know, put the tree together.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_layer::{ContentIndex, Entry, EntryKind};
use rustix::fs::{Mode, OFlags};

use crate::context::hash::hash_all;
use crate::context::modes::ContextModes;
use crate::context::needed::{Needed, NeededPaths};
use crate::context::scan::{Child, Found, Scan};
use crate::context::stat_cache::{self, Stamp, StatCache, StatCacheWriter, Unvisited};
use crate::context::tree::{ContextTree, Quiet};
use crate::{IgnoreRules, SourceError};

/// Links that lead to links among the sources are followed this far, as the kernel does it.
const MAX_LINK_ROUNDS: usize = 40;

/// A local directory as a build context.
///
/// ```
/// use rbuild_source::{Context, IgnoreRules, Needed};
///
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("main.c"), "int main() {}")?;
/// std::fs::write(directory.path().join("main.o"), "")?;
///
/// let rules = IgnoreRules::parse(b"*.o", ".dockerignore")?;
/// let tree = Context::open(directory.path(), rules)?.walk(&Needed::All, None)?;
/// assert!(tree.index().get(b"main.c").is_some());
/// assert!(tree.index().get(b"main.o").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Context {
    root: OwnedFd,
    path: PathBuf,
    ignore: IgnoreRules,
    modes: ContextModes,
    owners: Owners,
}

/// Whom the entries of a context belong to.
#[derive(Debug)]
enum Owners {
    /// Root, whoever has the files here.
    Root,
    /// Those that this index names; root, where it names none.
    Indexed(ContentIndex),
}

impl Context {
    /// The directory at `directory`, of which `ignore` hides parts.
    pub fn open(directory: &Path, ignore: IgnoreRules) -> Result<Self, SourceError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| {
            SourceError::OpenContext {
                path: directory.to_owned(),
                source: error.into(),
            }
        })?;
        Ok(Self {
            root,
            path: directory.to_owned(),
            ignore,
            modes: ContextModes::Exact,
            owners: Owners::Root,
        })
    }

    /// With the modes that `modes` says.
    #[must_use]
    pub fn with_modes(self, modes: ContextModes) -> Self {
        Self { modes, ..self }
    }

    /// The same directory, whose entries belong to whom `index` says: it was unpacked from an archive that tells owners.
    #[must_use]
    pub fn owned_as(self, index: ContentIndex) -> Self {
        Self {
            owners: Owners::Indexed(index),
            ..self
        }
    }

    /// Where it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What hides parts of it.
    pub fn ignore(&self) -> &IgnoreRules {
        &self.ignore
    }

    /// The tree as it is now: what is needed and not ignored, every file with its digest.
    ///
    /// With a `stat_cache` (a file of this function's own; it may not exist yet), files that have not changed since
    /// they were last hashed are not read. The cache is rewritten if it learned something; that this fails
    /// is no error, since it only costs time.
    ///
    /// Files that vanish in the course of the walk are not in the tree. One that keeps changing while it
    /// is read, or that is needed and cannot be read, is an error.
    pub fn walk(
        &self,
        needed: &Needed,
        stat_cache: Option<&Path>,
    ) -> Result<ContextTree, SourceError> {
        let quiet = Quiet::now();
        let cache = stat_cache.map(StatCache::load).unwrap_or_default();
        let mut found = self.scan_through_links(needed, &cache)?;
        let learned = hash_unknown(self.root.as_fd(), &mut found)?;
        if let Some(path) = stat_cache
            && learned == Learned::Something
        {
            let unvisited = match needed {
                Needed::All => Unvisited::Aged,
                Needed::Paths(_) => Unvisited::Kept,
            };
            let bytes = next_cache(&found, &cache, unvisited, &quiet);
            // A cache that cannot be written costs time, never correctness.
            let _ = stat_cache::save(path, &bytes);
        }
        let root = self
            .root
            .try_clone()
            .map_err(|source| SourceError::OpenContext {
                path: self.path.clone(),
                source,
            })?;
        let (mut entries, stamps) = assemble(found);
        for entry in &mut entries {
            entry.mode = self.modes.of(entry);
        }
        self.owners.apply(&mut entries);
        Ok(ContextTree::stamped(
            root,
            ContentIndex::from_entries(entries),
            stamps,
            quiet,
        ))
    }

    /// The directories that [`Self::walk`] looks into, the root (an empty path) among them: a new file in one of them may be one
    /// that is needed.
    pub fn directories(&self, needed: &Needed) -> Result<Vec<Vec<u8>>, SourceError> {
        let cache = StatCache::default();
        let found = self.scan_through_links(needed, &cache)?;
        let visited = in_order(&found).into_iter();
        Ok(visited.map(|(path, _)| path.to_vec()).collect())
    }

    /// Scans, until no link among what is needed leads to anything new.
    fn scan_through_links<'a>(
        &self,
        needed: &Needed,
        cache: &'a StatCache,
    ) -> Result<Found<'a>, SourceError> {
        let mut paths = NeededPaths::new(needed);
        let mut found = self.scan(&paths, cache)?;
        for _ in 0..MAX_LINK_ROUNDS {
            if !paths.follow(&found.links) {
                break;
            }
            found = self.scan(&paths, cache)?;
        }
        Ok(found)
    }

    fn scan<'a>(
        &self,
        needed: &NeededPaths,
        cache: &'a StatCache,
    ) -> Result<Found<'a>, SourceError> {
        Scan::new(self.root.as_fd(), &self.ignore, needed, cache).run()
    }
}

impl Owners {
    fn apply(&self, entries: &mut [Entry]) {
        let Self::Indexed(index) = self else { return };
        for entry in entries {
            if let Some(known) = index.get(&entry.path) {
                (entry.uid, entry.gid) = (known.uid, known.gid);
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Learned {
    Nothing,
    Something,
}

/// Gives the unknown files their digests, and takes out those that have vanished.
fn hash_unknown(
    root: std::os::fd::BorrowedFd<'_>,
    found: &mut Found<'_>,
) -> Result<Learned, SourceError> {
    let mut files: Vec<_> = found
        .directories
        .iter_mut()
        .flat_map(|directory| &mut directory.children)
        .filter_map(|child| match child {
            Child::Unknown { entry, stamp } => Some((entry, stamp)),
            _ => None,
        })
        .collect();
    if files.is_empty() {
        return Ok(Learned::Nothing);
    }
    let mut present = hash_all(root, &mut files)?.into_iter();
    for directory in &mut found.directories {
        directory.children.retain(|child| {
            !matches!(child, Child::Unknown { .. }) || present.next().unwrap_or(false)
        });
    }
    Ok(Learned::Something)
}

fn next_cache(found: &Found<'_>, old: &StatCache, unvisited: Unvisited, quiet: &Quiet) -> Vec<u8> {
    let mut writer = StatCacheWriter::new(old, unvisited);
    for (path, children) in in_order(found) {
        writer.directory(path, |records| {
            for child in children {
                match child {
                    Child::Known { raw, .. } | Child::Passed { raw } => records.keep(raw),
                    Child::Unknown { entry, stamp } if quiet.covers(stamp) => {
                        if let EntryKind::File { digest, .. } = &entry.kind {
                            records.add(last_name(&entry.path), *stamp, digest, &entry.xattrs);
                        }
                    }
                    _ => {}
                }
            }
        });
    }
    writer.finish()
}

fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The directories that were there, in walk order, with what is in them.
fn in_order<'f, 'a>(found: &'f Found<'a>) -> Vec<(&'f [u8], &'f [Child<'a>])> {
    let mut ordered = Vec::with_capacity(found.directories.len());
    let mut pending = vec![0];
    while let Some(id) = pending.pop() {
        let directory = &found.directories[id];
        let path = match &directory.entry {
            Some(entry) => entry.path.as_slice(),
            None if id == 0 => b"",
            None => continue,
        };
        ordered.push((path, directory.children.as_slice()));
        pending.extend(
            directory
                .children
                .iter()
                .rev()
                .filter_map(|child| match child {
                    Child::Directory(id) => Some(*id),
                    _ => None,
                }),
        );
    }
    ordered
}

/// A directory whose children are being laid out.
struct Level<'a> {
    children: std::vec::IntoIter<Child<'a>>,
    /// Where its own entry is to be taken out again if nothing follows it.
    only_with_children: Option<usize>,
}

/// The entries in walk order, and the stamp of each that is a file.
fn assemble(mut found: Found<'_>) -> (Vec<Entry>, Vec<Option<Stamp>>) {
    let count = found
        .directories
        .iter()
        .map(|directory| directory.children.len())
        .sum();
    let mut entries = Vec::with_capacity(count);
    let mut stamps = Vec::with_capacity(count);
    let root = std::mem::take(&mut found.directories[0].children);
    let mut levels = vec![Level {
        children: root.into_iter(),
        only_with_children: None,
    }];
    while let Some(level) = levels.last_mut() {
        let (entry, stamp) = match level.children.next() {
            Some(Child::Known { entry, stamp, .. } | Child::Unknown { entry, stamp }) => {
                (entry, Some(stamp))
            }
            Some(Child::Other(entry)) => (entry, None),
            Some(Child::Passed { .. }) => continue,
            Some(Child::Directory(id)) => {
                let directory = std::mem::take(&mut found.directories[id]);
                let Some(entry) = directory.entry else {
                    continue;
                };
                let only_with_children = (!directory.wanted).then_some(entries.len());
                levels.push(Level {
                    children: directory.children.into_iter(),
                    only_with_children,
                });
                (entry, None)
            }
            None => {
                if level
                    .only_with_children
                    .is_some_and(|at| at + 1 == entries.len())
                {
                    entries.pop();
                    stamps.pop();
                }
                levels.pop();
                continue;
            }
        };
        entries.push(entry);
        stamps.push(stamp);
    }
    (entries, stamps)
}
