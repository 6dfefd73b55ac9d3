//! What differs between two indexes.

use std::cmp::Ordering;

use super::ContentIndex;
use super::entry::Entry;
use super::path::compare_paths;

/// A path that is not the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the second has it.
    Added(&'a Entry),
    /// Only the first has it.
    Removed(&'a Entry),
    /// Its contents or attributes are others.
    Changed {
        /// In the first.
        before: &'a Entry,
        /// In the second.
        now: &'a Entry,
    },
}

impl<'a> Change<'a> {
    /// Where.
    pub fn path(&self) -> &'a [u8] {
        match self {
            Self::Added(entry) | Self::Removed(entry) | Self::Changed { now: entry, .. } => {
                &entry.path
            }
        }
    }
}

impl ContentIndex {
    /// What is not the same in `now`, in the order of paths. Times do not count, as in a content id.
    pub fn changes<'a>(&'a self, now: &'a Self) -> Vec<Change<'a>> {
        let (mut old, mut new) = (self.entries().iter(), now.entries().iter());
        let (mut before, mut after) = (old.next(), new.next());
        let mut changes = Vec::new();
        loop {
            let order = match (before, after) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => compare_paths(&left.path, &right.path),
            };
            match (order, before, after) {
                (Ordering::Less, Some(gone), _) => changes.push(Change::Removed(gone)),
                (Ordering::Greater, _, Some(added)) => changes.push(Change::Added(added)),
                (_, Some(left), Some(right)) if !same(left, right) => {
                    changes.push(Change::Changed {
                        before: left,
                        now: right,
                    });
                }
                _ => {}
            }
            if order.is_le() {
                before = old.next();
            }
            if order.is_ge() {
                after = new.next();
            }
        }
    }
}

fn same(left: &Entry, right: &Entry) -> bool {
    left.kind == right.kind
        && (left.mode, left.uid, left.gid) == (right.mode, right.uid, right.gid)
        && left.xattrs == right.xattrs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryKind, Mtime};

    fn file(path: &str, byte: u8, seconds: i64) -> Entry {
        Entry {
            path: path.into(),
            kind: EntryKind::File {
                size: 1,
                digest: [byte; 32],
            },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Mtime {
                seconds,
                nanoseconds: 0,
            },
            xattrs: Vec::new(),
        }
    }

    #[test]
    fn what_came_what_went_and_what_is_different_is_told_in_order_but_times_are_not() {
        let before = ContentIndex::from_entries(vec![
            file("a/changed", 1, 0),
            file("a/gone", 1, 0),
            file("same", 1, 0),
            file("z", 1, 0),
        ]);
        let now = ContentIndex::from_entries(vec![
            file("a/changed", 2, 0),
            file("b/new", 1, 0),
            file("same", 1, 9),
        ]);
        let told: Vec<(&[u8], &str)> = before
            .changes(&now)
            .iter()
            .map(|change| {
                let word = match change {
                    Change::Added(_) => "added",
                    Change::Removed(_) => "removed",
                    Change::Changed { .. } => "changed",
                };
                (change.path(), word)
            })
            .collect();
        let expected: [(&[u8], &str); 4] = [
            (b"a/changed", "changed"),
            (b"a/gone", "removed"),
            (b"b/new", "added"),
            (b"z", "removed"),
        ];
        assert_eq!(told, expected);
        assert!(before.changes(&before).is_empty());
    }
}
