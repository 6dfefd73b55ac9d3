//! The content index as bytes on disk.
//!
//! ```text
//! magic      8 bytes "rbindex\n"
//! version    u8
//! check      32 bytes, blake3 of all that follows
//! count      number of entries
//! entries    in order, each:
//!   shared   how many bytes of the path are those of the entry before
//!   rest     length, bytes: the path's other bytes
//!   kind     u8, as in the content id
//!   mode, uid, gid, mtime seconds (zigzag), nanoseconds
//!   xattrs   count, of each: length, name, length, value
//!   payload  file: size, 32 bytes blake3 · directory: u8 · links: length, target · devices: major, minor
//! ```
//!
//! Numbers are LEB128 unless a width is given. A change of this format needs another version; an index
//! of a version that is not understood is an error, and can be made anew from the layer's directory.

use super::ContentIndex;
use super::entry::{Entry, EntryKind, Mtime, Opacity};
use super::identity::kind_code;
use crate::error::{LayerError, Result};

const MAGIC: &[u8; 8] = b"rbindex\n";
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 1 + CHECK_BYTES;

/// The fewest bytes an entry takes: what bounds the memory that a false count can claim.
const SMALLEST_ENTRY_BYTES: usize = 9;

impl ContentIndex {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 96 * self.entries.len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; CHECK_BYTES]);
        put_number(&mut bytes, self.entries.len() as u64);
        let mut before: &[u8] = &[];
        for entry in &self.entries {
            put_entry(&mut bytes, before, entry);
            before = &entry.path;
        }
        let check = blake3::hash(&bytes[HEADER_BYTES..]);
        bytes[HEADER_BYTES - CHECK_BYTES..HEADER_BYTES].copy_from_slice(check.as_bytes());
        bytes
    }

    /// Reads what [`ContentIndex::encode`] wrote.
    ///
    /// # Errors
    /// [`LayerError::Index`] when the bytes are damaged, cut short or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let fail = |reason| LayerError::Index { reason };
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
            return Err(fail("it is not a content index"));
        }
        if bytes[MAGIC.len()] != VERSION {
            return Err(fail("it has another version"));
        }
        let (header, body) = bytes.split_at(HEADER_BYTES);
        if blake3::hash(body).as_bytes() != &header[HEADER_BYTES - CHECK_BYTES..] {
            return Err(fail("its checksum does not match"));
        }
        decode_entries(body).ok_or_else(|| fail("its entries are malformed"))
    }
}

fn put_entry(bytes: &mut Vec<u8>, before: &[u8], entry: &Entry) {
    let shared = before
        .iter()
        .zip(&entry.path)
        .take_while(|(left, right)| left == right)
        .count();
    put_number(bytes, shared as u64);
    put_bytes(bytes, &entry.path[shared..]);
    bytes.push(kind_code(&entry.kind));
    put_number(bytes, entry.mode.into());
    put_number(bytes, entry.uid.into());
    put_number(bytes, entry.gid.into());
    put_number(bytes, zigzag(entry.mtime.seconds));
    put_number(bytes, entry.mtime.nanoseconds.into());
    put_number(bytes, entry.xattrs.len() as u64);
    for (name, value) in &entry.xattrs {
        put_bytes(bytes, name);
        put_bytes(bytes, value);
    }
    match &entry.kind {
        EntryKind::File { size, digest } => {
            put_number(bytes, *size);
            bytes.extend_from_slice(digest);
        }
        EntryKind::Directory { opaque } => bytes.push(u8::from(*opaque == Opacity::Opaque)),
        EntryKind::Symlink { target } | EntryKind::Hardlink { target } => put_bytes(bytes, target),
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            put_number(bytes, (*major).into());
            put_number(bytes, (*minor).into());
        }
        EntryKind::Fifo | EntryKind::Whiteout => {}
    }
}

fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_number(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn decode_entries(body: &[u8]) -> Option<ContentIndex> {
    let mut cursor = Cursor { rest: body };
    let count = usize::try_from(cursor.number()?).ok()?;
    let mut entries: Vec<Entry> = Vec::with_capacity(count.min(body.len() / SMALLEST_ENTRY_BYTES));
    for _ in 0..count {
        let before = entries.last().map_or(&[] as &[u8], |entry| &entry.path);
        let entry = cursor.entry(before)?;
        entries.push(entry);
    }
    cursor
        .rest
        .is_empty()
        .then(|| ContentIndex::from_entries(entries))
}

/// Takes an encoded index apart, from the front.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn entry(&mut self, before: &[u8]) -> Option<Entry> {
        let shared = usize::try_from(self.number()?).ok()?;
        let prefix = before.get(..shared)?;
        let suffix = self.bytes()?;
        let mut path = Vec::with_capacity(prefix.len() + suffix.len());
        path.extend_from_slice(prefix);
        path.extend_from_slice(suffix);
        let code = self.byte()?;
        Some(Entry {
            path,
            mode: self.small()?,
            uid: self.small()?,
            gid: self.small()?,
            mtime: Mtime {
                seconds: unzigzag(self.number()?),
                nanoseconds: self.small()?,
            },
            xattrs: self.xattrs()?,
            kind: self.payload(code)?,
        })
    }

    fn xattrs(&mut self) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let count = self.number()?;
        (0..count)
            .map(|_| Some((self.bytes()?.to_vec(), self.bytes()?.to_vec())))
            .collect()
    }

    fn payload(&mut self, code: u8) -> Option<EntryKind> {
        Some(match code {
            1 => EntryKind::File {
                size: self.number()?,
                digest: self.take(32)?.try_into().ok()?,
            },
            2 => EntryKind::Directory {
                opaque: match self.byte()? {
                    0 => Opacity::Merged,
                    1 => Opacity::Opaque,
                    _ => return None,
                },
            },
            3 => EntryKind::Symlink {
                target: self.bytes()?.to_vec(),
            },
            4 => EntryKind::Hardlink {
                target: self.bytes()?.to_vec(),
            },
            5 => EntryKind::CharDevice {
                major: self.small()?,
                minor: self.small()?,
            },
            6 => EntryKind::BlockDevice {
                major: self.small()?,
                minor: self.small()?,
            },
            7 => EntryKind::Fifo,
            8 => EntryKind::Whiteout,
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}
