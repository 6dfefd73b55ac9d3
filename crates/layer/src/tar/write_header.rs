//! An entry → its blocks in front of the contents: a ustar header, behind a pax header where that is needed.

use tar::{EntryType, Header};

use super::{BLOCK_BYTES, padding, pax};
use crate::error::{LayerError, Result};
use crate::index::entry::{Entry, EntryKind, Mtime};
use crate::index::path::{join, split};
use crate::marks::WHITEOUT_PREFIX;

/// The largest numbers that fit ustar's octal fields of 8 and 12 bytes.
const MAX_OCTAL_8: u64 = 0o777_7777;
const MAX_OCTAL_12: u64 = 0o777_7777_7777;

/// Fields of a ustar header.
const NAME_BYTES: usize = 100;
const PREFIX_BYTES: usize = 155;

/// An entry's header blocks.
pub(super) fn headers(entry: &Entry) -> Result<Vec<u8>> {
    let (parent, name) = split(&entry.path);
    if entry.kind == EntryKind::Whiteout {
        let marked = [WHITEOUT_PREFIX, name].concat();
        return Ok(header_blocks(entry, &join(parent, &marked)));
    }
    if name.starts_with(WHITEOUT_PREFIX) {
        return Err(LayerError::entry(
            &entry.path,
            "a name that begins with .wh. means a deletion in a layer",
        ));
    }
    let mut path = entry.path.clone();
    if entry.is_directory() {
        path.push(b'/');
    }
    Ok(header_blocks(entry, &path))
}

/// The header of `entry` under `path`, behind a pax header where it needs one.
pub(super) fn header_blocks(entry: &Entry, path: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let mut records = Vec::new();
    put_name(&mut header, &mut records, path);
    put_link(&mut header, &mut records, entry);
    let size = match entry.kind {
        EntryKind::File { size, .. } => size,
        _ => 0,
    };
    header.set_entry_type(entry_type(&entry.kind));
    header.set_mode(entry.mode);
    header.set_size(octal(size, MAX_OCTAL_12, b"size", &mut records));
    header.set_uid(octal(entry.uid.into(), MAX_OCTAL_8, b"uid", &mut records));
    header.set_gid(octal(entry.gid.into(), MAX_OCTAL_8, b"gid", &mut records));
    header.set_mtime(seconds(entry.mtime, &mut records));
    put_device(&mut header, &entry.kind);
    header.set_cksum();
    if !matches!(entry.kind, EntryKind::Hardlink { .. }) {
        for (name, value) in &entry.xattrs {
            pax::put_record(&mut records, &pax::xattr_key(name), value);
        }
    }
    let mut blocks = Vec::with_capacity(BLOCK_BYTES);
    if !records.is_empty() {
        put_pax(&mut blocks, path, &records);
    }
    blocks.extend_from_slice(header.as_bytes());
    blocks
}

fn put_name(header: &mut Header, records: &mut Vec<u8>, path: &[u8]) {
    let ustar = header.as_ustar_mut().expect("a new ustar header is one");
    if let Some((prefix, name)) = split_name(path) {
        ustar.name[..name.len()].copy_from_slice(name);
        ustar.prefix[..prefix.len()].copy_from_slice(prefix);
        return;
    }
    pax::put_record(records, b"path", path);
    ustar.name.copy_from_slice(&path[..NAME_BYTES]);
}

/// A path as ustar's prefix and name, if it can be cut at a slash so that both fit.
fn split_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME_BYTES {
        return Some((&[], path));
    }
    let last = path.len() - 1;
    let slash = memchr::memrchr(b'/', &path[..last.min(PREFIX_BYTES + 1)])?;
    let name = &path[slash + 1..];
    (slash > 0 && name.len() <= NAME_BYTES).then(|| (&path[..slash], name))
}

fn put_link(header: &mut Header, records: &mut Vec<u8>, entry: &Entry) {
    let (EntryKind::Symlink { target } | EntryKind::Hardlink { target }) = &entry.kind else {
        return;
    };
    if target.len() > NAME_BYTES {
        pax::put_record(records, b"linkpath", target);
    }
    let fitting = &target[..target.len().min(NAME_BYTES)];
    header.as_old_mut().linkname[..fitting.len()].copy_from_slice(fitting);
}

fn put_device(header: &mut Header, kind: &EntryKind) {
    let (major, minor) = match *kind {
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            (major, minor)
        }
        _ => (0, 0),
    };
    let ustar = header.as_ustar_mut().expect("a new ustar header is one");
    ustar.set_device_major(major);
    ustar.set_device_minor(minor);
}

/// A number for an octal field; one that is too large goes into a pax record, the field then says zero.
fn octal(number: u64, largest: u64, key: &[u8], records: &mut Vec<u8>) -> u64 {
    if number <= largest {
        return number;
    }
    pax::put_record(records, key, number.to_string().as_bytes());
    0
}

fn seconds(mtime: Mtime, records: &mut Vec<u8>) -> u64 {
    if let Ok(seconds) = u64::try_from(mtime.seconds) {
        return octal(seconds, MAX_OCTAL_12, b"mtime", records);
    }
    pax::put_record(records, b"mtime", mtime.seconds.to_string().as_bytes());
    0
}

const fn entry_type(kind: &EntryKind) -> EntryType {
    match kind {
        EntryKind::File { .. } | EntryKind::Whiteout => EntryType::Regular,
        EntryKind::Directory { .. } => EntryType::Directory,
        EntryKind::Symlink { .. } => EntryType::Symlink,
        EntryKind::Hardlink { .. } => EntryType::Link,
        EntryKind::CharDevice { .. } => EntryType::Char,
        EntryKind::BlockDevice { .. } => EntryType::Block,
        EntryKind::Fifo => EntryType::Fifo,
    }
}

/// A pax header with `records`. Its name is only for readers that do not know pax.
fn put_pax(blocks: &mut Vec<u8>, path: &[u8], records: &[u8]) {
    let (_, name) = split(crate::index::path::trim(path));
    let mut full = b"PaxHeaders.0/".to_vec();
    full.extend_from_slice(&name[..name.len().min(NAME_BYTES - full.len())]);
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..full.len()].copy_from_slice(&full);
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    put_device(&mut header, &EntryKind::Fifo);
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(records);
    blocks.resize(blocks.len() + padding(records.len() as u64), 0);
}
