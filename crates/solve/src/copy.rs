//! Copies what was selected from a tree onto a canvas.
//!
//! Directories come first, in order; files follow in parallel, since they do not depend on each other; hard links
//! come last, when what they share is there.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, hash_map};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rayon::prelude::*;
use rbuild_layer::{Attributes, ContentIndex, Entry, EntryKind, FileContent, hash_file};
use rbuild_plan::{CopyAction, Mode};
use rbuild_source::{ContextFile, Trust};

use crate::cancel::Cancel;
use crate::canvas::{Canvas, CanvasError, Existing, Obstacle};
use crate::mode::{self, Node};
use crate::owner::{self, OwnerError, ResolvedOwner};
use crate::path;
use crate::select::{Match, MatchKind, Placed, Role};

/// Fewer files than this are not worth another thread.
const MIN_FILES_A_THREAD: usize = 16;

/// A tree that can be copied from.
pub(crate) trait SourceTree: Sync {
    /// What it holds.
    fn index(&self) -> &ContentIndex;
    /// The file at `path`, which the index calls a file.
    fn open(&self, path: &[u8]) -> io::Result<SourceFile>;
}

/// A file that is copied.
pub(crate) enum SourceFile {
    /// Of a layer: it never changes.
    Constant(File),
    /// Of a context: it is what was indexed only if it has not changed when it was read.
    Changing(ContextFile),
}

impl SourceFile {
    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Constant(file) => file,
            Self::Changing(file) => file.file(),
        }
    }

    /// After reading: that what was read has `digest`.
    pub(crate) fn verify(&self, size: u64, digest: &[u8; 32]) -> io::Result<()> {
        let Self::Changing(file) = self else {
            return Ok(());
        };
        file.verify().map_err(io::Error::other)?;
        if file.trust() == Trust::Racy && hash_file(file.file().as_fd(), size)? != *digest {
            return Err(io::Error::other("it changed while the build read it"));
        }
        Ok(())
    }
}

/// Why a copy failed. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The destination.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    /// `--chown`.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// `--chmod`.
    #[error("read the mode {0:?}: it is neither octal nor of the form u=rwX,go=rX")]
    Mode(String),
    /// A source file.
    #[error("read {path}: {source}")]
    Read {
        /// Its path in the source tree.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The build was cancelled.
    #[error("finish the copy: the build was cancelled")]
    Cancelled,
}

/// Several matches may bring files of the same path: the last one counts, whatever thread comes last. A directory is
/// merged instead.
fn last_of_each_path(placements: Vec<Placed<'_>>) -> Vec<Placed<'_>> {
    let is_directory =
        |placed: &Placed<'_>| matches!(placed.entry.kind, EntryKind::Directory { .. });
    let mut last: HashMap<Cow<'_, [u8]>, usize> = HashMap::new();
    for (position, placed) in placements.iter().enumerate() {
        last.insert(placed.relative.clone(), position);
    }
    placements
        .into_iter()
        .enumerate()
        .filter(|(position, placed)| is_directory(placed) || last[&placed.relative] == *position)
        .map(|(_, placed)| placed)
        .collect()
}

/// What becomes of what stands where a directory is to go.
pub(crate) enum DirectoryRule {
    /// COPY: a directory that is there gets the attributes of the copied one, anything else is an error (as BuildKit
    /// has it). Parents of the destination, which are not copied, keep theirs.
    Merge,
    /// An archive: its directories replace attributes and what is no directory; those that it only implies are taken
    /// as they are, links to directories included.
    Replace {
        /// Directories that the archive does not list.
        implied: HashSet<Vec<u8>>,
    },
}

/// One copy action, ready to run.
pub(crate) struct Copy<'a> {
    pub(crate) action: &'a CopyAction,
    pub(crate) tree: &'a dyn SourceTree,
    pub(crate) canvas: &'a Canvas,
    pub(crate) cancel: &'a Cancel,
    pub(crate) directories: DirectoryRule,
}

impl Copy<'_> {
    /// Copies `matches` to the action's destination.
    pub(crate) fn run(&self, matches: &[Match<'_>]) -> Result<(), CopyError> {
        let owner = owner::resolve(&self.action.owner, self.canvas.base())?;
        let destination = self.canvas.resolve(self.action.destination.as_bytes())?;
        let mut placements = Vec::new();
        for found in matches {
            match &found.kind {
                MatchKind::Directory(entries) => {
                    self.canvas
                        .make_directories(&destination, &self.new_directory(owner))?;
                    placements.extend(entries.iter().map(|placed| Placed {
                        relative: path::join(&destination, &placed.relative).into(),
                        ..*placed
                    }));
                }
                MatchKind::File(entry) => {
                    let target = self.file_target(&destination, &found.name)?;
                    let parent = path::parent(&target);
                    self.canvas
                        .make_directories(parent, &self.new_directory(owner))?;
                    placements.push(Placed {
                        relative: target.into(),
                        entry,
                        role: Role::Selected,
                    });
                }
            }
        }
        if matches.len() > 1 {
            placements = last_of_each_path(placements);
        }
        self.place(&placements, owner)
    }

    /// Where a single file goes: into the destination if that is a directory or is written as one.
    fn file_target(&self, destination: &[u8], name: &[u8]) -> Result<Vec<u8>, CopyError> {
        let written_as_directory = self.action.destination.ends_with('/');
        let into = written_as_directory || self.canvas.look(destination)? == Existing::Directory;
        Ok(if into {
            path::join(destination, name)
        } else {
            destination.to_vec()
        })
    }

    fn place(&self, placements: &[Placed<'_>], owner: ResolvedOwner) -> Result<(), CopyError> {
        let mut first_names: HashMap<&[u8], &[u8]> = HashMap::new();
        let (mut files, mut links) = (Vec::new(), Vec::new());
        for placed in placements {
            match &placed.entry.kind {
                EntryKind::Directory { .. } => {
                    self.place_directory(placed, owner)?;
                }
                EntryKind::Hardlink { target } => match first_names.entry(target) {
                    hash_map::Entry::Occupied(first) => links.push((placed, *first.get())),
                    hash_map::Entry::Vacant(first) => {
                        first.insert(&placed.relative);
                        files.push(placed);
                    }
                },
                _ => {
                    first_names
                        .entry(&placed.entry.path)
                        .or_insert(&placed.relative);
                    files.push(placed);
                }
            }
        }
        files
            .par_iter()
            .with_min_len(MIN_FILES_A_THREAD)
            .try_for_each(|placed| self.place_one(placed, owner))?;
        for (placed, shared) in links {
            self.make_way(&self.real_place(placed)?)?;
            let shared = Placed {
                relative: shared.into(),
                ..*placed
            };
            self.canvas
                .hardlink(&self.real_place(placed)?, &self.real_place(&shared)?)?;
        }
        Ok(())
    }

    fn place_directory(&self, placed: &Placed<'_>, owner: ResolvedOwner) -> Result<(), CopyError> {
        let attributes = self.attributes(placed.entry, owner)?;
        match &self.directories {
            DirectoryRule::Merge => {
                self.make_parent(&placed.relative, owner)?;
                match placed.role {
                    Role::Selected => self.canvas.put_directory(
                        &placed.relative,
                        &attributes,
                        Obstacle::Refused,
                    )?,
                    Role::Parent => {
                        self.canvas
                            .put_parent(&placed.relative, &attributes, placed.entry.mode)?;
                    }
                }
            }
            DirectoryRule::Replace { implied } if implied.contains(placed.relative.as_ref()) => {
                let real = self.canvas.resolve(&placed.relative)?;
                self.canvas.make_directories(&real, &attributes)?;
            }
            DirectoryRule::Replace { .. } => {
                let real = self.real_place(placed)?;
                self.canvas
                    .put_directory(&real, &attributes, Obstacle::Hidden)?;
            }
        }
        Ok(())
    }

    /// Sees to it that the parent of `path` is in the layer, as the base has it.
    fn make_parent(&self, path: &[u8], owner: ResolvedOwner) -> Result<(), CopyError> {
        let parent = path::parent(path);
        Ok(self
            .canvas
            .make_directories(parent, &self.new_directory(owner))?)
    }

    /// Where an entry goes: an archive's parents may be links of the base.
    fn real_place(&self, placed: &Placed<'_>) -> Result<Vec<u8>, CanvasError> {
        match self.directories {
            DirectoryRule::Merge => Ok(placed.relative.to_vec()),
            DirectoryRule::Replace { .. } => {
                let parent = self.canvas.resolve(path::parent(&placed.relative))?;
                Ok(path::join(&parent, path::file_name(&placed.relative)))
            }
        }
    }

    fn place_one(&self, placed: &Placed<'_>, owner: ResolvedOwner) -> Result<(), CopyError> {
        if self.cancel.is_cancelled() {
            return Err(CopyError::Cancelled);
        }
        let entry = self.tree.index().resolve(placed.entry);
        let attributes = self.attributes(entry, owner)?;
        let target = self.real_place(placed)?;
        self.make_way(&target)?;
        match &entry.kind {
            EntryKind::File { size, digest } => {
                if self
                    .canvas
                    .file_from_earlier(&target, &attributes, *size, digest)?
                {
                    return Ok(());
                }
                if *size == 0 {
                    // There is nothing to read, and a context's sockets cannot even be opened.
                    let nothing = FileContent::Bytes(b"");
                    return Ok(self.canvas.file(&target, &attributes, nothing)?);
                }
                let fail = |source| CopyError::Read {
                    path: String::from_utf8_lossy(&entry.path).into_owned(),
                    source,
                };
                let from = self.tree.open(&entry.path).map_err(fail)?;
                let content = FileContent::Copy {
                    from: from.file().as_fd(),
                    size: *size,
                    digest: Some(*digest),
                };
                self.canvas.file(&target, &attributes, content)?;
                from.verify(*size, digest).map_err(fail)?;
            }
            EntryKind::Symlink { target: points_to } => {
                self.canvas.symlink(&target, points_to, &attributes)?;
            }
            kind => self.canvas.node(&target, kind, &attributes)?,
        }
        Ok(())
    }

    /// What an archive brings takes the place of a directory; a COPY must not.
    fn make_way(&self, target: &[u8]) -> Result<(), CanvasError> {
        match self.directories {
            DirectoryRule::Merge => Ok(()),
            DirectoryRule::Replace { .. } => self.canvas.replace_directory(target),
        }
    }

    fn attributes(&self, entry: &Entry, owner: ResolvedOwner) -> Result<Attributes, CopyError> {
        let (uid, gid) = owner.apply((entry.uid, entry.gid));
        let mode = match entry.kind {
            EntryKind::Symlink { .. } => entry.mode,
            EntryKind::Directory { .. } => self.mode(entry.mode, Node::Directory)?,
            _ => self.mode(entry.mode, Node::File)?,
        };
        Ok(Attributes {
            mode,
            uid,
            gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        })
    }

    /// The attributes of directories that have to be made on the way.
    fn new_directory(&self, owner: ResolvedOwner) -> Attributes {
        let (uid, gid) = owner.apply((0, 0));
        Attributes {
            mode: mode::of_new_directory(&self.action.mode),
            uid,
            gid,
            mtime: self.canvas.now(),
            xattrs: Vec::new(),
        }
    }

    fn mode(&self, source: u32, node: Node) -> Result<u32, CopyError> {
        mode::apply(&self.action.mode, source, node).ok_or_else(|| {
            CopyError::Mode(match &self.action.mode {
                Mode::Symbolic(text) => text.clone(),
                Mode::Octal(bits) => format!("{bits:o}"),
                Mode::Source => String::new(),
            })
        })
    }
}
