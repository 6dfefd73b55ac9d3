//! The next version of a file: what was seen is entered, the rest is carried over.

use super::{HEADER_BYTES, MAGIC, MAX_AGE, Stamp, StatCache, Xattrs, checksum_of};
use crate::context::component_order;

/// The next version of a cache: directories are added in walk order, records by name.
pub(crate) struct StatCacheWriter<'a> {
    old: &'a StatCache,
    /// The first of `old` that has not been passed.
    old_at: usize,
    body: Vec<u8>,
    count: u32,
    unvisited: Unvisited,
}

/// What becomes of directories that this walk did not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unvisited {
    /// The walk was a partial one: they stay as they are.
    Kept,
    /// They may be gone: they grow older.
    Aged,
}

impl<'a> StatCacheWriter<'a> {
    pub(crate) fn new(old: &'a StatCache, unvisited: Unvisited) -> Self {
        let mut body = Vec::with_capacity(old.data.len() + 4096);
        body.extend_from_slice(MAGIC);
        body.extend_from_slice(&[0; 32 + 4]);
        Self {
            old,
            old_at: 0,
            body,
            count: 0,
            unvisited,
        }
    }

    /// Adds a directory with the records that `fill` writes.
    pub(crate) fn directory(&mut self, path: &[u8], fill: impl FnOnce(&mut RecordSink<'_>)) {
        while let Some(old) = self.old.directories.get(self.old_at) {
            match component_order(&self.old.data[old.path.clone()], path) {
                std::cmp::Ordering::Less => self.carry_over(),
                std::cmp::Ordering::Equal => {
                    self.old_at += 1;
                    break;
                }
                std::cmp::Ordering::Greater => break,
            }
        }
        let start = self.body.len();
        self.open_directory(path, 0);
        let records = self.body.len();
        fill(&mut RecordSink {
            body: &mut self.body,
        });
        if self.body.len() == records {
            self.body.truncate(start);
            return;
        }
        self.close_directory(records);
    }

    fn carry_over(&mut self) {
        let old = &self.old.directories[self.old_at];
        self.old_at += 1;
        let age = match self.unvisited {
            Unvisited::Kept => old.age,
            Unvisited::Aged => old.age.saturating_add(1),
        };
        if age < MAX_AGE {
            self.open_directory(&self.old.data[old.path.clone()], age);
            let records = self.body.len();
            self.body
                .extend_from_slice(&self.old.data[old.records.clone()]);
            self.close_directory(records);
        }
    }

    fn open_directory(&mut self, path: &[u8], age: u8) {
        put_long(&mut self.body, path);
        self.body.push(age);
        self.body.extend_from_slice(&[0; 4]);
    }

    fn close_directory(&mut self, records: usize) {
        let length = (self.body.len() - records) as u32;
        self.body[records - 4..records].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
    }

    /// The file's bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        while self.old_at < self.old.directories.len() {
            self.carry_over();
        }
        self.body[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&self.count.to_le_bytes());
        let checksum = checksum_of(&self.body[HEADER_BYTES..]);
        self.body[MAGIC.len()..HEADER_BYTES].copy_from_slice(checksum.as_bytes());
        self.body
    }
}

/// Takes the records of one directory.
pub(crate) struct RecordSink<'a> {
    body: &'a mut Vec<u8>,
}

impl RecordSink<'_> {
    /// A record that is still right.
    pub(crate) fn keep(&mut self, raw: &[u8]) {
        self.body.extend_from_slice(raw);
    }

    pub(crate) fn add(&mut self, name: &[u8], stamp: Stamp, digest: &[u8; 32], xattrs: &Xattrs) {
        put_short(self.body, name);
        self.body.extend_from_slice(&stamp.inode.to_le_bytes());
        self.body.extend_from_slice(&stamp.size.to_le_bytes());
        for (seconds, nanoseconds) in [stamp.mtime, stamp.ctime] {
            self.body.extend_from_slice(&seconds.to_le_bytes());
            self.body.extend_from_slice(&nanoseconds.to_le_bytes());
        }
        self.body.extend_from_slice(digest);
        self.body
            .extend_from_slice(&(xattrs.len() as u16).to_le_bytes());
        for (name, value) in xattrs {
            put_short(self.body, name);
            put_long(self.body, value);
        }
    }
}

fn put_short(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    body.extend_from_slice(bytes);
}

fn put_long(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    body.extend_from_slice(bytes);
}
