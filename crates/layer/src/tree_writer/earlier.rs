//! Files that an earlier version of the tree has already: they get another name instead of being written again.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, linkat};

use super::{Attributes, TreeWriter, record};
use crate::directories::Directories;
use crate::error::Result;
use crate::index::ContentIndex;
use crate::index::entry::{Entry, EntryKind};
use crate::index::path::split;

/// A tree that never changes, and what it holds.
pub(super) struct Earlier {
    directories: Directories<OwnedFd>,
    index: Arc<ContentIndex>,
}

impl TreeWriter {
    /// Lets [`Self::file_from_earlier`] take files of `directory`, a layer on the same file system that holds what
    /// `index` says and never changes. Its files and those of the new tree are then the same inodes.
    #[must_use]
    pub fn with_earlier(mut self, directory: OwnedFd, index: Arc<ContentIndex>) -> Self {
        self.earlier = Some(Earlier {
            directories: Directories::new(directory),
            index,
        });
        self
    }

    /// Makes a file of these bytes and attributes (times included) by linking the one that the earlier tree has at the
    /// same path. `false` where it has none, or the file system will not: nothing was made then.
    ///
    /// # Errors
    /// Those of making room for the file.
    pub fn file_from_earlier(
        &self,
        path: &[u8],
        attributes: &Attributes,
        size: u64,
        digest: &[u8; 32],
    ) -> Result<bool> {
        let Some(earlier) = &self.earlier else {
            return Ok(false);
        };
        let kind = EntryKind::File {
            size,
            digest: *digest,
        };
        let same = |entry: &Entry| entry.kind == kind && Attributes::from(entry) == *attributes;
        if !earlier.index.get(path).is_some_and(same) {
            return Ok(false);
        }
        let real = self.clear(path)?;
        let ((old_parent, old_name), (parent, name)) = (split(path), split(&real));
        let Ok(from) = earlier.directories.open(old_parent) else {
            return Ok(false);
        };
        let directory = self.directories.open(parent)?;
        // Too many links, another file system, a name that is gone: the caller writes the file.
        if linkat(&from, old_name, &directory, name, AtFlags::empty()).is_err() {
            return Ok(false);
        }
        record(&mut self.tree(), &real, kind, attributes)?;
        Ok(true)
    }
}
