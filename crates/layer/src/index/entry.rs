//! One entry of a content index.

/// One name in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands, relative to the layer's root: no leading or trailing slash, no `.` or `..`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with set-user-id, set-group-id and sticky (07777). Zero for a whiteout; whatever
    /// the system says for a symlink is kept as 0777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification. In no digest.
    pub mtime: Mtime,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// blake3 of the bytes.
        digest: [u8; 32],
    },
    /// A directory.
    Directory {
        /// Whether it hides what lower layers have below it.
        opaque: Opacity,
    },
    /// A symbolic link.
    Symlink {
        /// What it says, byte for byte.
        target: Vec<u8>,
    },
    /// A further name of a file. Its attributes repeat the file's.
    Hardlink {
        /// The path of the [`EntryKind::File`] in the same layer; it sorts before the link.
        target: Vec<u8>,
    },
    /// A character device (0/0 is a [`EntryKind::Whiteout`]).
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// What lower layers have at this path is gone.
    Whiteout,
}

/// How a directory stands to the same directory in lower layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opacity {
    /// Its entries are added to theirs.
    Merged,
    /// Theirs are hidden.
    Opaque,
}

/// A point in time as file systems keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mtime {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Entry {
    /// A whiteout of `path`. It has no owner, mode or time of its own, so that two steps that delete the
    /// same thing make the same layer.
    pub fn whiteout(path: Vec<u8>) -> Self {
        Self {
            path,
            kind: EntryKind::Whiteout,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            xattrs: Vec::new(),
        }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, EntryKind::Directory { .. })
    }

    /// The value of an extended attribute.
    pub fn xattr(&self, name: &[u8]) -> Option<&[u8]> {
        self.xattrs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_slice())
    }
}
