//! What a tar is made of.

use super::sparse::SparseMap;
use crate::index::entry::Mtime;

/// One member of a tar.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// As written, not yet cleaned.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: MemberKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Mtime,
    /// Extended attributes, sorted by name.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberKind {
    /// A file; its bytes come from [`TarReader::content`].
    File {
        size: u64,
        sparse: Option<SparseMap>,
    },
    Directory,
    Symlink(Vec<u8>),
    Hardlink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}
