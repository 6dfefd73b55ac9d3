//! Digests of files that have not changed since they were hashed, one file per context.
//!
//! ```text
//! "RBSTAT" 0 version        8 bytes
//! blake3 of the rest       32 bytes
//! directories              u32, then each, in walk order:
//!   path, age, records       u32 + bytes, u8, u32 length of what follows
//!     name                   u16 + bytes, sorted in the directory
//!     inode, size            u64, u64
//!     mtime, ctime           i64 + u32 each
//!     blake3                 32 bytes
//!     xattrs                 u16, then each: u16 + name, u32 + value
//! ```
//!
//! All numbers are little-endian. A file that cannot be read or is of another version counts as empty: it costs
//! one walk that hashes everything, never a wrong digest.
//!
//! A record is only written for a file that was *quiet* when it was hashed: a write in the same tick of the
//! file system's clock would leave its times as they were (git calls this "racily clean").

mod writer;

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rayon::prelude::*;

pub(crate) use self::writer::{StatCacheWriter, Unvisited};
use crate::context::component_order;

/// Changing the layout below without this makes old files misread; with it, they count as empty.
const MAGIC: &[u8; 8] = b"RBSTAT\0\x01";
const HEADER_BYTES: usize = MAGIC.len() + 32;
/// What one thread reads and digests of it at a time; a smaller file is not worth to be shared out.
const PIECE_BYTES: usize = 256 * 1024;
/// A directory that this many rewrites in a row have not visited is dropped: builds of one context
/// with different ignore rules must not throw out each other's records.
const MAX_AGE: u8 = 16;

/// What `stat` tells that changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, u32),
    pub(crate) ctime: (i64, u32),
}

/// Extended attributes, sorted by name.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The records of a context, as read.
#[derive(Debug, Default)]
pub(crate) struct StatCache {
    data: Vec<u8>,
    directories: Vec<Directory>,
}

#[derive(Debug)]
struct Directory {
    path: Range<usize>,
    age: u8,
    records: Range<usize>,
}

/// A record, borrowed from the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) stamp: Stamp,
    pub(crate) digest: [u8; 32],
    xattrs: &'a [u8],
    /// The record's own bytes, to be written again as they are.
    pub(crate) raw: &'a [u8],
}

impl StatCache {
    /// The cache at `path`; empty if there is none that can be used.
    pub(crate) fn load(path: &Path) -> Self {
        read(path).ok().and_then(Self::decode).unwrap_or_default()
    }

    fn decode(data: Vec<u8>) -> Option<Self> {
        let body = data.strip_prefix(MAGIC)?;
        let (checksum, body) = body.split_at_checked(32)?;
        if checksum_of(body).as_bytes() != checksum {
            return None;
        }
        let mut reader = Reader {
            bytes: &data,
            at: HEADER_BYTES,
        };
        let count = reader.u32()?;
        let mut directories = Vec::with_capacity(count.min(1 << 20) as usize);
        for _ in 0..count {
            let path = reader.range32()?;
            let age = reader.take(1)?[0];
            let records = reader.range32()?;
            directories.push(Directory { path, age, records });
        }
        Some(Self { data, directories })
    }

    fn position(&self, path: &[u8]) -> Option<usize> {
        self.directories
            .binary_search_by(|directory| component_order(&self.data[directory.path.clone()], path))
            .ok()
    }

    /// The records of the directory at `path`, by name.
    pub(crate) fn directory(&self, path: &[u8]) -> Records<'_> {
        let records = self
            .position(path)
            .map_or(0..0, |at| self.directories[at].records.clone());
        Records {
            reader: Reader {
                bytes: &self.data[records],
                at: 0,
            },
            ahead: None,
        }
    }
}

/// The records of one directory, in the order of their names.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    reader: Reader<'a>,
    ahead: Option<Record<'a>>,
}

impl<'a> Records<'a> {
    /// The record for `name`; names must be asked in their order.
    pub(crate) fn find(&mut self, name: &[u8]) -> Option<Record<'a>> {
        loop {
            let record = match self.ahead.take() {
                Some(record) => record,
                None => self.reader.record()?,
            };
            match record.name.cmp(name) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Some(record),
                std::cmp::Ordering::Greater => {
                    self.ahead = Some(record);
                    return None;
                }
            }
        }
    }
}

impl Record<'_> {
    pub(crate) fn xattrs(&self) -> Xattrs {
        let mut reader = Reader {
            bytes: self.xattrs,
            at: 0,
        };
        let mut xattrs = Vec::new();
        while let Some(name) = reader.range16() {
            let Some(value) = reader.range32() else { break };
            xattrs.push((self.xattrs[name].to_vec(), self.xattrs[value].to_vec()));
        }
        xattrs
    }
}

#[derive(Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<(i64, u32)> {
        Some((self.array().map(i64::from_le_bytes)?, self.u32()?))
    }

    fn range16(&mut self) -> Option<Range<usize>> {
        let length = usize::from(self.u16()?);
        self.take(length)?;
        Some(self.at - length..self.at)
    }

    fn range32(&mut self) -> Option<Range<usize>> {
        let length = self.u32()? as usize;
        self.take(length)?;
        Some(self.at - length..self.at)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let start = self.at;
        let name = self.range16()?;
        let stamp = Stamp {
            inode: self.u64()?,
            size: self.u64()?,
            mtime: self.time()?,
            ctime: self.time()?,
        };
        let digest = self.array()?;
        let count = self.u16()?;
        let xattrs_start = self.at;
        for _ in 0..count {
            self.range16()?;
            self.range32()?;
        }
        Some(Record {
            name: &self.bytes[name],
            stamp,
            digest,
            xattrs: &self.bytes[xattrs_start..self.at],
            raw: &self.bytes[start..self.at],
        })
    }
}

/// All of a file. The walk waits for it: a large one is read by all threads, since most of the time goes into the
/// memory that it is read to.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut data = vec![0; file.metadata()?.len() as usize];
    if data.len() <= PIECE_BYTES {
        file.read_exact_at(&mut data, 0)?;
        return Ok(data);
    }
    data.par_chunks_mut(PIECE_BYTES)
        .enumerate()
        .try_for_each(|(at, piece)| file.read_exact_at(piece, (at * PIECE_BYTES) as u64))?;
    Ok(data)
}

fn checksum_of(body: &[u8]) -> blake3::Hash {
    if body.len() <= PIECE_BYTES {
        return blake3::hash(body);
    }
    blake3::Hasher::new().update_rayon(body).finalize()
}

/// Replaces the cache at `path`. Readers see the old or the new one; the checksum catches what a power
/// failure leaves, so nothing is synced.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = Path::new(&name);
    fs::write(draft, bytes)?;
    fs::rename(draft, path).inspect_err(|_| {
        // Best effort: what matters is the first error.
        let _ = fs::remove_file(draft);
    })
}

#[cfg(test)]
mod tests;
