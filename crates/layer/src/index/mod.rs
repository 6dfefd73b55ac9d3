//! A layer's content index: what it holds, without the bytes.
//!
//! ```text
//! usr                 directory 0755
//! usr/bin             directory 0755, opaque
//! usr/bin/env         file 0755, 12 bytes, blake3 …
//! usr/bin/env2        hard link to usr/bin/env
//! var                 whiteout
//! ```
//!
//! Entries are sorted by [`compare_paths`](super::compare_paths); the layer's root is not an entry.

pub(crate) mod changes;
pub(crate) mod encode;
pub(crate) mod entry;
pub(crate) mod identity;
pub(crate) mod merge;
pub(crate) mod path;

use entry::{Entry, EntryKind, Mtime};
use path::{compare_paths, is_within, trim};

/// Which times the files of a layer have when it travels. Seconds are those since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileTimes {
    /// Their own, as on disk.
    Own,
    /// All this one: nothing of when and where the layer was made is left in it.
    Fixed(i64),
    /// None later than this. Earlier ones stay, unless they are only when the step ran.
    Bounded(i64),
}

/// What a layer holds, or a tree of merged layers: its entries in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentIndex {
    entries: Vec<Entry>,
}

impl ContentIndex {
    /// An index of `entries`, in any order; of entries with the same path the last one counts.
    pub fn from_entries(mut entries: Vec<Entry>) -> Self {
        let sorted = entries
            .windows(2)
            .all(|pair| compare_paths(&pair[0].path, &pair[1].path).is_lt());
        if !sorted {
            entries.sort_by(|left, right| compare_paths(&left.path, &right.path));
            entries.dedup_by(|later, kept| {
                let same = later.path == kept.path;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        Self { entries }
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the layer changes nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at `path`; slashes at its ends do not count. The root has none.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        let path = trim(path);
        let at = self.position(path).ok()?;
        Some(&self.entries[at])
    }

    /// The entry at `path` and all below it; the empty path is the root, so all.
    pub fn subtree(&self, path: &[u8]) -> &[Entry] {
        let path = trim(path);
        if path.is_empty() {
            return &self.entries;
        }
        let start = self.position(path).unwrap_or_else(|at| at);
        let length = self.entries[start..].partition_point(|entry| is_within(&entry.path, path));
        &self.entries[start..start + length]
    }

    /// The entry with the bytes behind `entry`: the file that a hard link names, else `entry` itself.
    pub fn resolve<'a>(&'a self, entry: &'a Entry) -> &'a Entry {
        match &entry.kind {
            EntryKind::Hardlink { target } => self.get(target).unwrap_or(entry),
            _ => entry,
        }
    }

    /// The bytes in all files, each counted once however many names it has.
    pub fn file_bytes(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| match entry.kind {
                EntryKind::File { size, .. } => size,
                _ => 0,
            })
            .sum()
    }

    /// The same contents with the times that `times` asks for. What the step that made the layer wrote itself is not
    /// older than `made_since`, if that is known. The content id stays.
    #[must_use]
    pub fn dated(&self, times: FileTimes, made_since: Option<Mtime>) -> Self {
        let at = |seconds| Mtime {
            seconds,
            nanoseconds: 0,
        };
        let mut dated = self.clone();
        let entries = dated.entries.iter_mut();
        for entry in entries.filter(|entry| entry.kind != EntryKind::Whiteout) {
            entry.mtime = match times {
                FileTimes::Own => entry.mtime,
                FileTimes::Fixed(seconds) => at(seconds),
                FileTimes::Bounded(seconds) => {
                    let is_own = made_since.is_some_and(|since| entry.mtime >= since);
                    if is_own {
                        at(seconds)
                    } else {
                        entry.mtime.min(at(seconds))
                    }
                }
            };
        }
        dated
    }

    /// Where `path` is, or where it would be.
    fn position(&self, path: &[u8]) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| compare_paths(&entry.path, path))
    }
}
