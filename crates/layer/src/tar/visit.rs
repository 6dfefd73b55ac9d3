//! A tar whose files are read one after the other, by somebody who has a use of their own for them.

use std::io::Read;

use super::member::MemberKind;
use super::read::TarReader;
use crate::error::LayerError;

/// What a member of a tar is to its reader.
pub enum TarFile<'a> {
    /// A file of so many bytes.
    File {
        /// How many.
        size: u64,
        /// They. What is not read is skipped.
        content: &'a mut dyn Read,
    },
    /// A symbolic link to this path.
    Symlink(&'a [u8]),
    /// Another name of this member.
    Hardlink(&'a [u8]),
    /// A directory, a device or a pipe.
    Other,
}

impl std::fmt::Debug for TarFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { size, .. } => f.debug_struct("File").field("size", size).finish(),
            Self::Symlink(_) => f.write_str("Symlink"),
            Self::Hardlink(_) => f.write_str("Hardlink"),
            Self::Other => f.write_str("Other"),
        }
    }
}

/// Reads `tar`, which is not compressed, to its end, and shows each member to `visit` under the path that it has there, whatever
/// that is. Sparse files are refused: a few bytes would stand for any number.
///
/// # Errors
/// [`LayerError::Archive`] for what is no tar or is cut short, [`LayerError::Input`] when reading fails; and whatever `visit` says.
pub fn visit_tar<E: From<LayerError>>(
    tar: impl Read,
    mut visit: impl FnMut(&[u8], TarFile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = TarReader::new(tar);
    while let Some(member) = reader.next_member()? {
        match &member.kind {
            MemberKind::File { size, sparse: None } => {
                let mut content = reader.content(None);
                let content = &mut *content;
                let size = *size;
                visit(&member.path, TarFile::File { size, content })?;
            }
            MemberKind::File { .. } => {
                return Err(LayerError::entry(&member.path, "a sparse file").into());
            }
            MemberKind::Symlink(target) => visit(&member.path, TarFile::Symlink(target))?,
            MemberKind::Hardlink(target) => visit(&member.path, TarFile::Hardlink(target))?,
            _ => visit(&member.path, TarFile::Other)?,
        }
    }
    Ok(reader.end()?)
}
