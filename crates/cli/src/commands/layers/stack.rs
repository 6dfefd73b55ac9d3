//! Layers laid on each other: what each one does to what it finds.

use std::collections::BTreeMap;

use rbuild_layer::{ContentIndex, Entry, EntryKind, Opacity};

/// What one layer did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LayerStory {
    /// The bytes of its files.
    pub(super) bytes: u64,
    /// What was not there before.
    pub(super) added: Count,
    /// What was there in another form; the bytes are those that it has now.
    pub(super) changed: Count,
    /// What is there no more; the bytes are those that it had.
    pub(super) removed: Count,
    /// What of it a later layer changed, repeated or removed: it is carried along, and nobody sees it.
    pub(super) hidden: Count,
    /// All of that by path.
    pub(super) touched: Vec<Touched>,
}

/// How many, and how large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) paths: u64,
    pub(super) bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.paths += 1;
        self.bytes += bytes;
    }
}

/// A path and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touched {
    /// `A` added, `C` changed, `D` removed.
    pub(super) letter: char,
    /// From the root, without a slash before it.
    pub(super) path: Vec<u8>,
    /// In the layer, or of what was removed.
    pub(super) bytes: u64,
}

/// The tree that the layers show so far.
#[derive(Debug, Default)]
pub(super) struct Stack {
    seen: BTreeMap<Vec<u8>, Seen>,
    stories: Vec<LayerStory>,
}

/// What is to be seen at a path, and whose it is.
#[derive(Debug)]
struct Seen {
    layer: usize,
    bytes: u64,
    entry: Entry,
}

impl Stack {
    /// Lays a layer on top.
    pub(super) fn lay(&mut self, index: &ContentIndex) {
        let layer = self.stories.len();
        self.stories.push(LayerStory::default());
        for entry in index.entries() {
            match &entry.kind {
                EntryKind::Whiteout => self.remove(layer, &entry.path, Extent::Whole),
                EntryKind::Directory { opaque } => {
                    if *opaque == Opacity::Opaque {
                        self.remove(layer, &entry.path, Extent::Below);
                    }
                    self.put(layer, entry);
                }
                _ => {
                    self.remove(layer, &entry.path, Extent::Below);
                    self.put(layer, entry);
                }
            }
        }
    }

    /// What each did, the bottom one first.
    pub(super) fn stories(&self) -> &[LayerStory] {
        &self.stories
    }

    fn put(&mut self, layer: usize, entry: &Entry) {
        let bytes = match entry.kind {
            EntryKind::File { size, .. } => size,
            _ => 0,
        };
        let before = self.seen.insert(
            entry.path.clone(),
            Seen {
                layer,
                bytes,
                entry: entry.clone(),
            },
        );
        self.stories[layer].bytes += bytes;
        let letter = match &before {
            None => {
                self.stories[layer].added.add(bytes);
                'A'
            }
            Some(before) => {
                if before.layer != layer && !entry.is_directory() {
                    self.stories[before.layer].hidden.add(before.bytes);
                }
                // Directories on the way to a change, and files that were written again as they were.
                if is_same(&before.entry, entry) {
                    return;
                }
                self.stories[layer].changed.add(bytes);
                'C'
            }
        };
        self.stories[layer].touched.push(Touched {
            letter,
            path: entry.path.clone(),
            bytes,
        });
    }

    /// Takes away what earlier layers have at a path, or below it.
    fn remove(&mut self, layer: usize, path: &[u8], extent: Extent) {
        // All that begins with the path and a slash: the letter after the slash ends it.
        let (from, to) = ([path, b"/"].concat(), [path, b"0"].concat());
        let below = self.seen.range(from..to);
        let mut gone: Vec<Vec<u8>> = below
            .filter(|(_, seen)| seen.layer < layer)
            .map(|(path, _)| path.clone())
            .collect();
        if extent == Extent::Whole {
            gone.insert(0, path.to_owned());
        }
        for path in gone {
            let Some(seen) = self.seen.remove(&path) else {
                continue;
            };
            if !seen.entry.is_directory() {
                self.stories[seen.layer].hidden.add(seen.bytes);
            }
            self.stories[layer].removed.add(seen.bytes);
            self.stories[layer].touched.push(Touched {
                letter: 'D',
                path,
                bytes: seen.bytes,
            });
        }
    }
}

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// A path and all below it.
    Whole,
    /// Only what is below it.
    Below,
}

/// Times do not count, as in a content id.
fn is_same(one: &Entry, other: &Entry) -> bool {
    let kind = match (&one.kind, &other.kind) {
        (EntryKind::Directory { .. }, EntryKind::Directory { .. }) => true,
        (one, other) => one == other,
    };
    kind && (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid)
        && one.xattrs == other.xattrs
}

#[cfg(test)]
mod tests {
    use rbuild_layer::Mtime;

    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            xattrs: Vec::new(),
        }
    }

    fn file(path: &str, size: u64, byte: u8) -> Entry {
        let digest = [byte; 32];
        entry(path, EntryKind::File { size, digest })
    }

    fn directory(path: &str, opaque: Opacity) -> Entry {
        entry(path, EntryKind::Directory { opaque })
    }

    fn stories(layers: Vec<Vec<Entry>>) -> Vec<LayerStory> {
        let mut stack = Stack::default();
        for layer in layers {
            stack.lay(&ContentIndex::from_entries(layer));
        }
        stack.stories().to_vec()
    }

    fn count(paths: u64, bytes: u64) -> Count {
        Count { paths, bytes }
    }

    #[test]
    fn what_a_layer_does_is_told_and_what_it_hides() {
        let told = stories(vec![
            vec![
                directory("d", Opacity::Merged),
                file("d/changed", 10, 1),
                file("d/same", 20, 1),
                file("d-other", 40, 1),
                file("gone", 80, 1),
            ],
            vec![
                directory("d", Opacity::Merged),
                file("d/changed", 11, 2),
                file("d/same", 20, 1),
                file("d/new", 1, 1),
                Entry::whiteout(b"gone".to_vec()),
            ],
        ]);
        assert_eq!(told[0].added, count(5, 150));
        assert_eq!(told[0].hidden, count(3, 110));
        assert_eq!(told[1].added, count(1, 1));
        assert_eq!(told[1].changed, count(1, 11));
        assert_eq!(told[1].removed, count(1, 80));
        assert_eq!(
            told[1].bytes, 32,
            "a file that was written again is carried twice"
        );
        let letters: String = told[1].touched.iter().map(|one| one.letter).collect();
        assert_eq!(letters.len(), 3);
    }

    #[test]
    fn an_opaque_directory_and_a_file_in_its_place_remove_what_was_below() {
        let below = || vec![directory("d", Opacity::Merged), file("d/one", 5, 1)];
        let told = stories(vec![
            below(),
            vec![directory("d", Opacity::Opaque), file("d/two", 7, 1)],
        ]);
        assert_eq!((told[1].removed, told[1].added), (count(1, 5), count(1, 7)));
        let told = stories(vec![below(), vec![file("d", 3, 1)]]);
        assert_eq!(
            (told[1].removed, told[1].changed),
            (count(1, 5), count(1, 3))
        );
        let told = stories(vec![below(), vec![Entry::whiteout(b"d".to_vec())]]);
        assert_eq!(told[1].removed, count(2, 5));
        assert_eq!(told[0].hidden, count(1, 5));
    }
}
