//! ADD of an archive: it is unpacked aside, confined, and then placed over the base like a tree of its own.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rbuild_layer::{ContentIndex, TreeWriter};
use rbuild_plan::CopyAction;
use rbuild_source::{Archive, ArchiveOwner, UnpackTarget};
use rbuild_store::{LayerDraft, RootAttributes};
use rbuild_sys::OverlayFlavor;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::build::Build;
use crate::cancel::Cancel;
use crate::canvas::Canvas;
use crate::copy::{Copy, DirectoryRule, SourceFile, SourceTree};
use crate::error::StepError;
use crate::path;
use crate::select::{self, Match, MatchKind};

/// An archive's contents, aside.
pub(crate) struct Unpacked {
    root: OwnedFd,
    index: ContentIndex,
    implied: HashSet<Vec<u8>>,
    /// Holds the files until they are placed.
    _draft: LayerDraft,
}

impl Unpacked {
    /// The contents of the file that `found` is, if it is an archive.
    pub(crate) fn try_from_match(
        build: &Build,
        tree: &dyn SourceTree,
        found: &Match<'_>,
    ) -> Result<Option<Self>, StepError> {
        let MatchKind::File(entry) = &found.kind else {
            return Ok(None);
        };
        let rbuild_layer::EntryKind::File { size, digest } =
            tree.index().resolve(entry).kind.clone()
        else {
            return Ok(None);
        };
        let name = String::from_utf8_lossy(&found.name).into_owned();
        let read = |source| crate::copy::CopyError::Read {
            path: name.clone(),
            source,
        };
        let file = tree.open(&tree.index().resolve(entry).path).map_err(read)?;
        let Some(archive) = Archive::detect(file.file(), &name)? else {
            return Ok(None);
        };
        let draft = build.store.draft(&RootAttributes::default())?;
        let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
        let place = |inside: &[u8]| inside.to_vec();
        archive.unpack(&UnpackTarget {
            writer: &writer,
            place: &place,
            owner: ArchiveOwner::Archived,
        })?;
        file.verify(size, &digest).map_err(read)?;
        let implied = writer.implied_directories().into_iter().collect();
        let index = writer.finish()?;
        Ok(Some(Self {
            root: draft.open_diff()?,
            index,
            implied,
            _draft: draft,
        }))
    }

    /// Places the contents at the destination of `action`, which becomes a directory. `--chmod` is for the archive,
    /// not for what is in it (as BuildKit has it).
    pub(crate) fn place(
        &self,
        action: &CopyAction,
        canvas: &Canvas,
        cancel: &Cancel,
    ) -> Result<(), StepError> {
        let found = Match {
            name: Vec::new(),
            kind: MatchKind::Directory(select::contents(&self.index, b"")),
        };
        let destination = canvas.resolve(action.destination.as_bytes())?;
        let implied = self
            .implied
            .iter()
            .map(|inside| path::join(&destination, inside))
            .collect();
        let directories = DirectoryRule::Replace { implied };
        let action = CopyAction {
            mode: rbuild_plan::Mode::Source,
            ..action.clone()
        };
        Copy {
            action: &action,
            tree: self,
            canvas,
            cancel,
            directories,
        }
        .run(&[found])?;
        Ok(())
    }
}

impl SourceTree for Unpacked {
    fn index(&self) -> &ContentIndex {
        &self.index
    }

    fn open(&self, path: &[u8]) -> io::Result<SourceFile> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rbuild_sys::openat2(&self.root, path, flags, Mode::empty(), resolve)?;
        Ok(SourceFile::Constant(File::from(opened)))
    }
}
