//! What a [`TreeWriter`](super::TreeWriter) has written so far, by path.
//!
//! Paths are kept with `/` replaced by a zero byte, which no name holds: then the order of the bytes is
//! the order of an index, and a directory's contents are one range.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::Attributes;
use crate::index::entry::{Entry, EntryKind};

/// Something that was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: EntryKind,
    pub(super) attributes: Attributes,
    pub(super) origin: Origin,
}

/// Why a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was asked for.
    Given,
    /// Something below it was asked for.
    Implied,
}

/// All that was written.
#[derive(Default)]
pub(super) struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    /// For each file with several names, the others.
    links: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Tree {
    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(&key(path))
    }

    pub(super) fn get_mut(&mut self, path: &[u8]) -> Option<&mut Node> {
        self.nodes.get_mut(&key(path))
    }

    pub(super) fn insert(&mut self, path: &[u8], node: Node) {
        if let EntryKind::Hardlink { target } = &node.kind {
            self.links
                .entry(target.clone())
                .or_default()
                .push(path.to_vec());
        }
        self.nodes.insert(key(path), node);
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All paths below the directory `path`, deepest last.
    pub(super) fn below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let mut from = key(path);
        from.push(0);
        let mut to = key(path);
        to.push(1);
        self.nodes
            .range::<[u8], _>((Bound::Excluded(&*from), Bound::Excluded(&*to)))
            .map(|(key, _)| unkey(key))
            .collect()
    }

    /// Forgets one path. Where it was the file of several names, another of them becomes the file.
    pub(super) fn remove(&mut self, path: &[u8]) -> Option<Node> {
        let node = self.nodes.remove(&key(path))?;
        match &node.kind {
            EntryKind::Hardlink { target } => {
                if let Some(names) = self.links.get_mut(target) {
                    names.retain(|name| name != path);
                }
            }
            EntryKind::File { .. } => {
                if let Some(names) = self.links.remove(path) {
                    self.promote(names, &node);
                }
            }
            _ => {}
        }
        Some(node)
    }

    /// Makes the first in order of `names` the file that `node` was, and the others its links.
    fn promote(&mut self, mut names: Vec<Vec<u8>>, node: &Node) {
        names.sort_by_key(|name| key(name));
        let mut names = names.into_iter();
        let Some(file) = names.next() else { return };
        self.insert(&file, node.clone());
        for name in names {
            let kind = EntryKind::Hardlink {
                target: file.clone(),
            };
            let link = Node {
                kind,
                ..node.clone()
            };
            self.insert(&name, link);
        }
    }

    /// Everything in order, with the first name of each file being the file.
    pub(super) fn into_entries(mut self) -> Vec<Entry> {
        let linked: Vec<Vec<u8>> = self.links.keys().cloned().collect();
        for file in linked {
            let first = self.links[&file].iter().map(|name| key(name)).min();
            if first.is_some_and(|first| first < key(&file))
                && let Some(node) = self.nodes.get(&key(&file)).cloned()
            {
                let mut names = self.links.remove(&file).unwrap_or_default();
                names.push(file);
                self.promote(names, &node);
            }
        }
        self.nodes
            .into_iter()
            .map(|(key, node)| Entry {
                path: unkey(&key),
                kind: node.kind,
                mode: node.attributes.mode,
                uid: node.attributes.uid,
                gid: node.attributes.gid,
                mtime: node.attributes.mtime,
                xattrs: node.attributes.xattrs,
            })
            .collect()
    }

    /// The directories, each with its attributes.
    pub(super) fn directories(&self) -> impl Iterator<Item = (Vec<u8>, &Node)> {
        self.nodes
            .iter()
            .filter(|(_, node)| matches!(node.kind, EntryKind::Directory { .. }))
            .map(|(key, node)| (unkey(key), node))
    }
}

fn key(path: &[u8]) -> Vec<u8> {
    path.iter()
        .map(|&byte| if byte == b'/' { 0 } else { byte })
        .collect()
}

fn unkey(key: &[u8]) -> Vec<u8> {
    key.iter()
        .map(|&byte| if byte == 0 { b'/' } else { byte })
        .collect()
}
