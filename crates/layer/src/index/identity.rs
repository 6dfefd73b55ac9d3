//! What a tree is called by what it holds.
//!
//! A tree is hashed as blake3 of the domain string and then of each entry in index order:
//!
//! ```text
//! path       u32 length, bytes
//! type       u8: 1 file, 2 directory, 3 symlink, 4 hard link, 5 char device, 6 block device, 7 fifo, 8 whiteout
//! mode       u32       ┐
//! uid, gid   u32, u32  │ not for hard links (they are the file's) and whiteouts (they have none);
//! xattrs     u32 count,│ mode and owner are zero where the mask leaves them out
//!            of each: u32 length, name, u32 length, value  ┘
//! payload    file: u64 size, blake3 of the bytes · directory: u8, 1 when opaque
//!            symlink, hard link: u32 length, target · device: u32 major, u32 minor
//! ```
//!
//! All integers are little-endian. Times are left out. Whoever changes this changes the name of every
//! layer and the key of every step: nothing that was built before is found again.

use std::collections::HashMap;

use rbuild_image::ContentId;

use super::ContentIndex;
use super::entry::{Entry, EntryKind, Opacity};

/// Opens the encoding of a whole layer; carries the version.
const LAYER_DOMAIN: &[u8] = b"rbuild layer content 1\n";

/// Opens the encoding of a selection; carries the version.
const SELECTION_DOMAIN: &[u8] = b"rbuild tree selection 1\n";

/// Encoded entries are handed to the hasher in pieces of about this many bytes: enough for its widest
/// vectors, small enough for the cache.
const STAGING_BYTES: usize = 64 * 1024;

/// Which attributes count in [`ContentIndex::tree_digest`]. What is copied with a given owner or mode
/// does not depend on those of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeMask {
    /// Whether uid and gid count.
    pub owner: Counted,
    /// Whether the mode counts.
    pub mode: Counted,
}

/// Whether an attribute counts in a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It does.
    Yes,
    /// It is left out.
    No,
}

impl AttributeMask {
    /// All of an entry but its time.
    pub const ALL: Self = Self {
        owner: Counted::Yes,
        mode: Counted::Yes,
    };
}

impl ContentIndex {
    /// The layer's name by its content: every path with type, mode, owner, size, link target, device,
    /// extended attributes and bytes, and no times.
    pub fn content_id(&self) -> ContentId {
        let mut hash = EntryHash::new(LAYER_DOMAIN);
        for entry in &self.entries {
            hash.add(&entry.path, entry, &entry.kind, AttributeMask::ALL);
        }
        ContentId(hash.finish())
    }

    /// The digest of some of this index's entries, each under the path that it will have: what a key
    /// says of the files that a step takes. The order in which they are given counts. A hard link
    /// counts by the bytes behind it, and by the path under which the selection has the same file
    /// before.
    pub fn tree_digest<'a>(
        &'a self,
        selection: impl IntoIterator<Item = (&'a [u8], &'a Entry)>,
        mask: AttributeMask,
    ) -> [u8; 32] {
        let mut hash = EntryHash::new(SELECTION_DOMAIN);
        let mut first_names: HashMap<&[u8], &[u8]> = HashMap::new();
        let has_links = self
            .entries
            .iter()
            .any(|entry| matches!(entry.kind, EntryKind::Hardlink { .. }));
        for (path, entry) in selection {
            let file = self.resolve(entry);
            if has_links && matches!(file.kind, EntryKind::File { .. }) {
                let first = *first_names.entry(&file.path).or_insert(path);
                if first != path {
                    let target = first.to_vec();
                    hash.add(path, file, &EntryKind::Hardlink { target }, mask);
                    continue;
                }
            }
            hash.add(path, file, &file.kind, mask);
        }
        hash.finish()
    }
}

/// Hashes entries one after the other.
struct EntryHash {
    hasher: blake3::Hasher,
    staged: Vec<u8>,
}

impl EntryHash {
    fn new(domain: &[u8]) -> Self {
        let mut staged = Vec::with_capacity(STAGING_BYTES + 4096);
        staged.extend_from_slice(domain);
        Self {
            hasher: blake3::Hasher::new(),
            staged,
        }
    }

    fn add(&mut self, path: &[u8], entry: &Entry, kind: &EntryKind, mask: AttributeMask) {
        self.bytes(path);
        self.staged.push(kind_code(kind));
        if !matches!(kind, EntryKind::Hardlink { .. } | EntryKind::Whiteout) {
            self.attributes(entry, mask);
        }
        self.payload(kind);
        if self.staged.len() >= STAGING_BYTES {
            self.hasher.update(&self.staged);
            self.staged.clear();
        }
    }

    fn attributes(&mut self, entry: &Entry, mask: AttributeMask) {
        let (uid, gid) = match mask.owner {
            Counted::Yes => (entry.uid, entry.gid),
            Counted::No => (0, 0),
        };
        self.number(match mask.mode {
            Counted::Yes => entry.mode,
            Counted::No => 0,
        });
        self.number(uid);
        self.number(gid);
        self.number(entry.xattrs.len() as u32);
        for (name, value) in &entry.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }

    fn payload(&mut self, kind: &EntryKind) {
        match kind {
            EntryKind::File { size, digest } => {
                self.staged.extend_from_slice(&size.to_le_bytes());
                self.staged.extend_from_slice(digest);
            }
            EntryKind::Directory { opaque } => {
                self.staged.push(u8::from(*opaque == Opacity::Opaque));
            }
            EntryKind::Symlink { target } | EntryKind::Hardlink { target } => self.bytes(target),
            EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
                self.number(*major);
                self.number(*minor);
            }
            EntryKind::Fifo | EntryKind::Whiteout => {}
        }
    }

    fn number(&mut self, number: u32) {
        self.staged.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u32);
        self.staged.extend_from_slice(bytes);
    }

    fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.staged);
        self.hasher.finalize().into()
    }
}

/// A kind's number in encodings, here and in the stored index.
pub(super) const fn kind_code(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } => 1,
        EntryKind::Directory { .. } => 2,
        EntryKind::Symlink { .. } => 3,
        EntryKind::Hardlink { .. } => 4,
        EntryKind::CharDevice { .. } => 5,
        EntryKind::BlockDevice { .. } => 6,
        EntryKind::Fifo => 7,
        EntryKind::Whiteout => 8,
    }
}
