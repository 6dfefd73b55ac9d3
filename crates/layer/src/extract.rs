//! A tar stream → a directory and its content index.

use std::io::Read;

use rbuild_image::DiffId;

use crate::error::{LayerError, Result};
use crate::index::ContentIndex;
use crate::index::entry::EntryKind;
use crate::index::path::{join, split, trim};
use crate::marks::{AUFS_PREFIX, OPAQUE_NAME, WHITEOUT_PREFIX};
use crate::relay::{Relayed, read_hashed};
use crate::tar::member::{Member, MemberKind};
use crate::tar::read::TarReader;
use crate::tree_writer::{Attributes, FileContent, TreeWriter};
use crate::xattr::travels;

/// What came out of a tar.
#[derive(Debug, Clone)]
pub struct Extracted {
    /// What the layer holds.
    pub index: ContentIndex,
    /// sha256 of the whole uncompressed stream.
    pub diff_id: DiffId,
    /// The stream's length in bytes.
    pub size: u64,
    /// Directories that the tar has no entry for, only entries below them; made as 0755 of root. A layer
    /// below may have them with other attributes.
    pub implied_directories: Vec<Vec<u8>>,
}

/// Unpacks `tar`, which is not compressed, through `writer`.
///
/// The stream is read (and, if it is a [`Decompressed`](crate::Decompressed), decompressed) on a thread of
/// its own and hashed on another one. Of entries with the same path the last one counts. Nothing is ever
/// written outside the writer's directory.
///
/// # Errors
/// [`LayerError::Archive`] for what is no tar or is cut short, [`LayerError::Entry`] for entries that no
/// layer may hold, [`LayerError::Input`] when reading fails, [`LayerError::File`] when writing does. The
/// directory then holds a part of the layer, to be thrown away.
pub fn extract(tar: impl Read + Send, writer: TreeWriter) -> Result<Extracted> {
    let ((), diff_id, size) = read_hashed(tar, |stream| {
        let mut reader = TarReader::new(stream);
        while let Some(member) = reader.next_member()? {
            write_member(&mut reader, member, &writer)?;
        }
        reader.end()
    })?;
    let implied_directories = writer.implied_directories();
    Ok(Extracted {
        index: writer.finish()?,
        diff_id,
        size,
        implied_directories,
    })
}

fn write_member(
    reader: &mut TarReader<&mut Relayed>,
    member: Member,
    writer: &TreeWriter,
) -> Result<()> {
    let path = strip(&member.path);
    let (parent, name) = split(path);
    if name == OPAQUE_NAME {
        return writer.opaque(parent);
    }
    if is_aufs(path) {
        return Ok(());
    }
    if let Some(gone) = name.strip_prefix(WHITEOUT_PREFIX) {
        if gone.is_empty() || gone == b"." || gone == b".." {
            return Err(LayerError::entry(&member.path, "a whiteout of no name"));
        }
        return writer.whiteout(&join(parent, gone));
    }
    let mut attributes = Attributes {
        mode: member.mode,
        uid: member.uid,
        gid: member.gid,
        mtime: member.mtime,
        xattrs: member.xattrs,
    };
    attributes.xattrs.retain(|(name, _)| travels(name));
    match member.kind {
        MemberKind::File { size, sparse } => {
            let mut content = reader.content(sparse.as_ref());
            writer
                .file(path, &attributes, FileContent::Reader(&mut *content, size))
                .map_err(cut_short)
        }
        MemberKind::Directory if is_root(path) => writer.root(&attributes),
        MemberKind::Directory => writer.directory(path, &attributes),
        MemberKind::Symlink(target) => writer.symlink(path, &target, &attributes),
        MemberKind::Hardlink(target) => writer.hardlink(path, strip(&target)),
        MemberKind::CharDevice(0, 0) => writer.whiteout(path),
        MemberKind::CharDevice(major, minor) => {
            writer.node(path, &EntryKind::CharDevice { major, minor }, &attributes)
        }
        MemberKind::BlockDevice(major, minor) => {
            writer.node(path, &EntryKind::BlockDevice { major, minor }, &attributes)
        }
        MemberKind::Fifo => writer.node(path, &EntryKind::Fifo, &attributes),
    }
}

/// A path without slashes and `.` at its end: the last name is what the entry is called.
fn strip(path: &[u8]) -> &[u8] {
    let mut path = trim(path);
    while let Some(shorter) = path.strip_suffix(b"/.") {
        path = trim(shorter);
    }
    path
}

fn is_root(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .all(|name| name.is_empty() || name == b"." || name == b"..")
}

/// Whether a path is one of aufs' own, such as `.wh..wh.plnk/7.42`.
fn is_aufs(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .any(|name| name.starts_with(AUFS_PREFIX))
}

/// A file's bytes that end too early are the archive's fault, not the disk's.
fn cut_short(error: LayerError) -> LayerError {
    match error {
        LayerError::File { path, source, .. }
            if source.kind() == std::io::ErrorKind::UnexpectedEof =>
        {
            LayerError::Entry {
                path,
                reason: "the archive is cut short in it",
            }
        }
        error => error,
    }
}
