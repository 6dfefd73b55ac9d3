//! Making room for a later entry.

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::TreeWriter;
use super::tree::Tree;
use crate::error::{LayerError, Result};
use crate::index::entry::EntryKind;
use crate::index::path::split;

impl TreeWriter {
    /// Removes what stands at `path`, and all below it.
    pub(super) fn remove(&self, tree: &mut Tree, path: &[u8]) -> Result<()> {
        let Some(node) = tree.get(path) else {
            return Ok(());
        };
        if matches!(node.kind, EntryKind::Directory { .. }) {
            let below = tree.below(path);
            for inner in below.iter().rev() {
                self.unlink(tree, inner)?;
            }
        }
        self.unlink(tree, path)
    }

    fn unlink(&self, tree: &mut Tree, path: &[u8]) -> Result<()> {
        let Some(node) = tree.remove(path) else {
            return Ok(());
        };
        let (parent, name) = split(path);
        let flags = if matches!(node.kind, EntryKind::Directory { .. }) {
            self.directories.forget(path);
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        let parent = self.directories.open(parent)?;
        match rustix::fs::unlinkat(&parent, name, flags) {
            // A device that could not be made.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(LayerError::file("replace", path, errno)),
        }
    }
}
