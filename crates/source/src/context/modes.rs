//! What becomes of the modes that files have in a context's directory.

use rbuild_layer::{Entry, EntryKind};

/// A directory, and a file that its owner may execute.
const EXECUTABLE: u32 = 0o755;
/// Any other file.
const PLAIN: u32 = 0o644;
/// The bit that git looks at.
const OWNER_EXECUTES: u32 = 0o100;

/// Which modes the files of a context have in the tree that is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextModes {
    /// Those that they have on disk.
    #[default]
    Exact,
    /// Those that git knows: 755 for directories and for what its owner may execute, else 644. Neither the umask of a checkout
    /// nor the machine that it was made on shows.
    Git,
}

impl ContextModes {
    /// The mode of `entry` in the tree.
    pub(crate) fn of(self, entry: &Entry) -> u32 {
        match (self, &entry.kind) {
            (Self::Exact, _) | (_, EntryKind::Symlink { .. }) => entry.mode,
            (Self::Git, EntryKind::Directory { .. }) => EXECUTABLE,
            (Self::Git, _) if entry.mode & OWNER_EXECUTES != 0 => EXECUTABLE,
            (Self::Git, _) => PLAIN,
        }
    }
}
