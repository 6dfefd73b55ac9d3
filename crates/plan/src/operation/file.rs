//! COPY, ADD and WORKDIR: files that are put on a tree.

use super::Input;

/// COPY, ADD, WORKDIR: actions that together make one layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileOperation {
    /// What it goes on top of; `None` for `--link` and for the first step on scratch.
    pub base: Option<Input>,
    /// In order.
    pub actions: Vec<FileAction>,
}

/// One thing that a [`FileOperation`] does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FileAction {
    /// Copy from a tree.
    Copy(CopyAction),
    /// Make a directory and its parents.
    MakeDirectory {
        /// Absolute path.
        path: String,
        /// Mode of what is made.
        mode: u32,
        /// Owner of what is made.
        owner: Owner,
    },
    /// Write a file; a `path` that ends in `/` or is a directory gets `name` below it.
    MakeFile {
        /// Absolute path; a trailing `/` is kept.
        path: String,
        /// The heredoc's name.
        name: String,
        /// Its bytes.
        data: String,
        /// Mode.
        mode: Mode,
        /// Owner.
        owner: Owner,
    },
}

/// One source of a COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CopyAction {
    /// The tree to copy from.
    pub from: Input,
    /// The path or pattern in it, clamped: starts with `/`. With [`Parents::Kept`] a `/./` may stand in it:
    /// what comes behind it is kept, else all of it.
    pub source: String,
    /// Absolute destination; a trailing `/` is kept.
    pub destination: String,
    /// Ownership of what is copied.
    pub owner: Owner,
    /// Mode of what is copied.
    pub mode: Mode,
    /// `--parents`
    pub parents: Parents,
    /// Patterns of `--exclude`.
    pub excludes: Vec<String>,
    /// Whether archives are unpacked.
    pub unpack: Unpack,
    /// Whether a pattern that matches nothing is fine.
    pub wildcard: Wildcard,
}

/// Ownership of files that an action makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// As in the source tree (`COPY --from` without `--chown`).
    Source,
    /// Numeric.
    Ids {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// As written: `user[:group]`, looked up in the base's /etc/passwd and /etc/group.
    Named(String),
}

/// Mode of files that an action makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As in the source.
    Source,
    /// These bits for files and directories alike.
    Octal(u32),
    /// `u=rwX,go=rX`, applied to each entry.
    Symbolic(String),
}

/// `COPY --parents`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parents {
    /// Only the last component is kept.
    Dropped,
    /// The path from the pivot (`/./`, or the root) is kept.
    Kept,
}

/// Whether ADD unpacks archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unpack {
    /// Never.
    Never,
    /// What is an archive by its content is unpacked, the rest copied.
    Archives,
}

/// Whether a source is a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wildcard {
    /// A literal path: it must exist.
    Literal,
    /// Go's `filepath.Match` patterns: may match nothing.
    Pattern,
}
