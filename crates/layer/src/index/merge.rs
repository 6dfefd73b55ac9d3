//! What a stack of layers looks like from above: whiteouts and opaque directories applied, or as one layer.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::ContentIndex;
use super::entry::{Entry, EntryKind, Opacity};
use super::path::{compare_paths, is_within};

impl ContentIndex {
    /// The tree that an overlay of `bottom_first` shows. It holds no whiteouts and no opaque directories.
    /// A hard link whose file an upper layer hides becomes a file.
    #[must_use]
    pub fn merge(bottom_first: &[&Self]) -> Self {
        let mut chosen = chosen(bottom_first);
        chosen.retain(|seen| seen.entry.kind != EntryKind::Whiteout);
        for seen in &mut chosen {
            seen.opaque = Opacity::Merged;
        }
        let entries = entries(bottom_first, &chosen);
        Self { entries }
    }

    /// The one layer that does over `below` what the layers `bottom_first` do one after the other. It hides nothing that
    /// is not there.
    #[must_use]
    pub fn squash(bottom_first: &[&Self], below: &Self) -> Self {
        let mut chosen = chosen(bottom_first);
        chosen.retain(|seen| {
            seen.entry.kind != EntryKind::Whiteout || below.get(&seen.entry.path).is_some()
        });
        for seen in &mut chosen {
            if below.get(&seen.entry.path).is_none() {
                seen.opaque = Opacity::Merged;
            }
        }
        let entries = entries(bottom_first, &chosen);
        Self { entries }
    }
}

/// What counts of each path, in order.
fn chosen<'a>(bottom_first: &[&'a ContentIndex]) -> Vec<Chosen<'a>> {
    let mut cursors = Cursors::new(bottom_first);
    let mut chosen = Vec::new();
    while let Some(candidates) = cursors.next_path() {
        chosen.push(cursors.settle(&candidates));
    }
    chosen
}

/// An entry that counts at its path, and the layer that it is of.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    layer: usize,
    entry: &'a Entry,
    /// Of a directory: whether it hides what is below the stack.
    opaque: Opacity,
}

/// One reading position in each layer, and the order in which they come up.
struct Cursors<'a> {
    layers: Vec<&'a [Entry]>,
    heap: BinaryHeap<Reverse<Next<'a>>>,
}

/// A layer's next entry. Equal paths come topmost layer first.
struct Next<'a> {
    path: &'a [u8],
    layer: usize,
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        compare_paths(self.path, other.path).then_with(|| other.layer.cmp(&self.layer))
    }
}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next<'_> {}

impl<'a> Cursors<'a> {
    fn new(bottom_first: &[&'a ContentIndex]) -> Self {
        let mut cursors = Self {
            layers: bottom_first.iter().map(|index| index.entries()).collect(),
            heap: BinaryHeap::new(),
        };
        for layer in 0..cursors.layers.len() {
            cursors.announce(layer);
        }
        cursors
    }

    /// The layers' entries at the smallest path that is left, topmost first. They are taken off their
    /// layers, but not announced again until [`Cursors::settle`].
    fn next_path(&mut self) -> Option<Vec<Chosen<'a>>> {
        let Reverse(first) = self.heap.pop()?;
        let path = first.path;
        let mut candidates = vec![self.take(first.layer)];
        while let Some(Reverse(next)) = self.heap.peek() {
            if next.path != path {
                break;
            }
            let layer = next.layer;
            self.heap.pop();
            candidates.push(self.take(layer));
        }
        Some(candidates)
    }

    /// Decides what counts at a path, and skips what it hides below it in the layers below.
    fn settle(&mut self, candidates: &[Chosen<'a>]) -> Chosen<'a> {
        let mut top = candidates[0];
        let merged = |candidate: &&Chosen<'_>| {
            matches!(
                candidate.entry.kind,
                EntryKind::Directory {
                    opaque: Opacity::Merged
                }
            )
        };
        let covering = candidates.iter().take_while(merged).count();
        if let Some(cover) = candidates.get(covering) {
            // A directory merged into what was no directory is one by itself.
            let hides_from = cover.layer;
            self.skip_below(&top.entry.path, hides_from);
            top.opaque = Opacity::Opaque;
        }
        for candidate in candidates {
            self.announce(candidate.layer);
        }
        top
    }

    /// Passes over all that layers lower than `layer` have below `path`.
    fn skip_below(&mut self, path: &[u8], layer: usize) {
        let mut skipped = false;
        for entries in &mut self.layers[..layer] {
            // Entries before `path` are taken already, or (none) were never there.
            let length = entries.partition_point(|entry| is_within(&entry.path, path));
            skipped |= length > 0;
            *entries = &entries[length..];
        }
        if skipped {
            self.announce_again(layer);
        }
    }

    /// Corrects the heap for the layers below `layer`, whose positions moved.
    fn announce_again(&mut self, layer: usize) {
        let waiting: Vec<usize> = self.heap.iter().map(|next| next.0.layer).collect();
        self.heap.retain(|next| next.0.layer >= layer);
        for moved in waiting.into_iter().filter(|&waiting| waiting < layer) {
            self.announce(moved);
        }
    }

    fn take(&mut self, layer: usize) -> Chosen<'a> {
        let (entry, rest) = self.layers[layer]
            .split_first()
            .expect("an announced layer has an entry left");
        self.layers[layer] = rest;
        Chosen {
            layer,
            entry,
            opaque: Opacity::Merged,
        }
    }

    fn announce(&mut self, layer: usize) {
        if let Some(entry) = self.layers[layer].first() {
            self.heap.push(Reverse(Next {
                path: &entry.path,
                layer,
            }));
        }
    }
}

/// Copies what counts, as one index.
fn entries(layers: &[&ContentIndex], chosen: &[Chosen<'_>]) -> Vec<Entry> {
    let mut stand_ins: HashMap<(usize, &[u8]), Vec<u8>> = HashMap::new();
    chosen
        .iter()
        .map(|seen| {
            let mut entry = seen.entry.clone();
            match &seen.entry.kind {
                EntryKind::Directory { .. } => {
                    entry.kind = EntryKind::Directory {
                        opaque: seen.opaque,
                    };
                }
                EntryKind::Hardlink { target } if !shows(chosen, seen.layer, target) => {
                    let first = stand_ins
                        .entry((seen.layer, target))
                        .or_insert_with(|| entry.path.clone());
                    if *first != entry.path {
                        entry.kind = EntryKind::Hardlink {
                            target: first.clone(),
                        };
                    } else if let Some(file) = layers[seen.layer].get(target) {
                        entry.kind = file.kind.clone();
                    }
                }
                _ => {}
            }
            entry
        })
        .collect()
}

/// Whether `path` is seen, and is the one of `layer`.
fn shows(chosen: &[Chosen<'_>], layer: usize, path: &[u8]) -> bool {
    chosen
        .binary_search_by(|seen| compare_paths(&seen.entry.path, path))
        .is_ok_and(|at| chosen[at].layer == layer)
}
