//! A layer in the making: what is written goes into a fresh directory, what was there before is looked up in the base.
//!
//! ```text
//! COPY app /usr/bin/     base (read-only):  usr/bin is a directory, mode 755
//!                        layer:             usr/ usr/bin/   as the base has them
//!                                           usr/bin/app     new
//! ```
//!
//! Paths are those of [`crate::path`]. Symbolic links of the base are followed inside its root, never through the host.

mod base;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rbuild_layer::{Attributes, FileContent, LayerError, Mtime, TreeWriter};
use rustix::io::Errno;

use self::base::{Found, find};
use crate::path;

/// How many symbolic links a destination may lead through (as the kernel's limit).
const MAX_LINKS: u32 = 40;

/// A layer in the making over an optional base.
pub(crate) struct Canvas {
    base: Option<OwnedFd>,
    writer: TreeWriter,
    directories: Mutex<HashMap<Vec<u8>, Origin>>,
    now: Mtime,
}

/// Where a directory that the layer holds comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The base has it too.
    Base,
    /// This layer made it: nothing of the base is below it.
    New,
    /// Both have it no more: something that is no directory stands there now.
    Replaced,
}

impl Origin {
    /// What is to be seen there.
    fn existing(self) -> Existing {
        match self {
            Self::Base | Self::New => Existing::Directory,
            Self::Replaced => Existing::Other,
        }
    }
}

/// What is at a path, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// A symbolic link with this target.
    Link(Vec<u8>),
    /// Something else.
    Other,
}

/// What becomes of something that is no directory where one is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It is an error.
    Refused,
    /// The directory hides it.
    Hidden,
}

/// Why a destination cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CanvasError {
    /// Something that is no directory stands where one is needed.
    #[error("copy to {}: it is not a directory", show(.0))]
    NotADirectory(Vec<u8>),
    /// A directory stands where a file is to go.
    #[error("replace the directory {} by a file", show(.0))]
    IsADirectory(Vec<u8>),
    /// Symbolic links lead in circles.
    #[error("follow the symbolic links of {}: too many", show(.0))]
    Links(Vec<u8>),
    /// The base could not be looked at.
    #[error("look up {} in the image", show(.path))]
    Lookup {
        /// What was looked up.
        path: Vec<u8>,
        /// Why it failed.
        source: Errno,
    },
    /// The layer could not be written.
    #[error(transparent)]
    Write(#[from] LayerError),
}

fn show(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

impl Canvas {
    /// An empty layer over `base`, written through `writer`; what is made without a time of its own gets `now`.
    pub(crate) fn new(base: Option<OwnedFd>, writer: TreeWriter, now: Mtime) -> Self {
        Self {
            base,
            writer,
            directories: Mutex::default(),
            now,
        }
    }

    /// The base's root directory.
    pub(crate) fn base(&self) -> Option<BorrowedFd<'_>> {
        self.base.as_ref().map(AsFd::as_fd)
    }

    /// The time of what has none of its own.
    pub(crate) fn now(&self) -> Mtime {
        self.now
    }

    /// All that was written.
    pub(crate) fn finish(self) -> Result<rbuild_layer::ContentIndex, LayerError> {
        self.writer.finish()
    }

    /// `path` with every symbolic link in it followed, the last one included; what does not exist stays as written.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, CanvasError> {
        let mut links = 0;
        let mut pending: Vec<Vec<u8>> = path::components(path).map(<[u8]>::to_vec).rev().collect();
        let mut real: Vec<u8> = Vec::new();
        while let Some(component) = pending.pop() {
            if component == b".." {
                real = path::parent(&real).to_vec();
                continue;
            }
            let next = path::join(&real, &component);
            if let Existing::Link(target) = self.look(&next)? {
                links += 1;
                if links > MAX_LINKS {
                    return Err(CanvasError::Links(path.to_vec()));
                }
                if target.starts_with(b"/") {
                    real.clear();
                }
                pending.extend(path::components(&target).map(<[u8]>::to_vec).rev());
            } else {
                real = next;
            }
        }
        Ok(real)
    }

    /// What is at `path`, whose parents hold no links.
    pub(crate) fn look(&self, path: &[u8]) -> Result<Existing, CanvasError> {
        if path.is_empty() {
            return Ok(Existing::Directory);
        }
        if let Some(origin) = self.origin(path) {
            return Ok(origin.existing());
        }
        if self.origin(path::parent(path)) == Some(Origin::New) {
            return Ok(Existing::Nothing);
        }
        Ok(self
            .look_in_base(path)?
            .map_or(Existing::Nothing, |found| found.existing))
    }

    /// Makes `path` (links resolved) and its missing parents, each missing one with `attributes`.
    pub(crate) fn make_directories(
        &self,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<(), CanvasError> {
        let mut current = Vec::new();
        for component in path::components(path) {
            current = path::join(&current, component);
            self.make_directory(&current, attributes)?;
        }
        Ok(())
    }

    /// Makes the directory `path`, whose parent is in the layer already. One that the base has keeps its attributes.
    pub(crate) fn make_directory(
        &self,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<(), CanvasError> {
        match self.origin(path) {
            _ if path.is_empty() => return Ok(()),
            Some(Origin::Replaced) => return Err(CanvasError::NotADirectory(path.to_vec())),
            Some(_) => return Ok(()),
            None => {}
        }
        let below_new = self.origin(path::parent(path)) == Some(Origin::New);
        let found = if below_new {
            None
        } else {
            self.look_in_base(path)?
        };
        let origin = match &found {
            None => {
                self.writer.directory(path, attributes)?;
                Origin::New
            }
            Some(Found {
                existing: Existing::Directory,
                attributes,
            }) => {
                self.writer.directory(path, attributes)?;
                Origin::Base
            }
            Some(_) => return Err(CanvasError::NotADirectory(path.to_vec())),
        };
        self.remember(path, origin);
        Ok(())
    }

    /// Makes the directory `path` with `attributes`. One that is there keeps its owner, time and extended attributes, but
    /// gets `mode`.
    pub(crate) fn put_parent(
        &self,
        path: &[u8],
        attributes: &Attributes,
        mode: u32,
    ) -> Result<(), CanvasError> {
        if self.look(path)? != Existing::Directory || self.origin(path) == Some(Origin::New) {
            return self.make_directory(path, attributes);
        }
        let Some(found) = self.look_in_base(path)? else {
            return Ok(());
        };
        let kept = Attributes {
            mode,
            ..found.attributes
        };
        self.put_directory(path, &kept, Obstacle::Refused)
    }

    /// Makes the directory `path` with `attributes`. A directory that is there gets them; what becomes of anything else
    /// is for `obstacle` to say.
    pub(crate) fn put_directory(
        &self,
        path: &[u8],
        attributes: &Attributes,
        obstacle: Obstacle,
    ) -> Result<(), CanvasError> {
        let known = self.origin(path);
        let origin = match (known, self.look(path)?, obstacle) {
            (Some(origin @ (Origin::Base | Origin::New)), ..) => origin,
            (_, Existing::Directory, _) => Origin::Base,
            (_, Existing::Nothing, _) | (_, _, Obstacle::Hidden) => Origin::New,
            (.., Obstacle::Refused) => return Err(CanvasError::NotADirectory(path.to_vec())),
        };
        self.writer.directory(path, attributes)?;
        if known == Some(Origin::Replaced) {
            self.writer.opaque(path)?;
        }
        self.remember(path, origin);
        Ok(())
    }

    /// Makes way for something that is no directory: what the layer has of the directory `path` goes, and what the base has
    /// of it will be hidden.
    pub(crate) fn replace_directory(&self, path: &[u8]) -> Result<(), CanvasError> {
        if self.look(path)? != Existing::Directory {
            return Ok(());
        }
        let mut directories = self
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        directories.retain(|known, _| !path::is_below(known, path));
        directories.insert(path.to_vec(), Origin::Replaced);
        Ok(())
    }

    fn remember(&self, path: &[u8], origin: Origin) {
        self.directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_vec(), origin);
    }

    /// Writes a file at `path`, whose parent is in the layer already; replaces what is there but a directory.
    pub(crate) fn file(
        &self,
        path: &[u8],
        attributes: &Attributes,
        content: FileContent<'_>,
    ) -> Result<(), CanvasError> {
        self.refuse_directory(path)?;
        Ok(self.writer.file(path, attributes, content)?)
    }

    /// Makes a file of these bytes at `path` from the same file of the layer's earlier version; `false` if there is none.
    pub(crate) fn file_from_earlier(
        &self,
        path: &[u8],
        attributes: &Attributes,
        size: u64,
        digest: &[u8; 32],
    ) -> Result<bool, CanvasError> {
        self.refuse_directory(path)?;
        Ok(self
            .writer
            .file_from_earlier(path, attributes, size, digest)?)
    }

    /// Makes a symbolic link.
    pub(crate) fn symlink(
        &self,
        path: &[u8],
        target: &[u8],
        attributes: &Attributes,
    ) -> Result<(), CanvasError> {
        self.refuse_directory(path)?;
        Ok(self.writer.symlink(path, target, attributes)?)
    }

    /// Makes another name for a file that this layer holds.
    pub(crate) fn hardlink(&self, path: &[u8], target: &[u8]) -> Result<(), CanvasError> {
        self.refuse_directory(path)?;
        Ok(self.writer.hardlink(path, target)?)
    }

    /// Makes a device or a FIFO.
    pub(crate) fn node(
        &self,
        path: &[u8],
        kind: &rbuild_layer::EntryKind,
        attributes: &Attributes,
    ) -> Result<(), CanvasError> {
        self.refuse_directory(path)?;
        Ok(self.writer.node(path, kind, attributes)?)
    }

    fn refuse_directory(&self, path: &[u8]) -> Result<(), CanvasError> {
        if self.look(path)? == Existing::Directory {
            return Err(CanvasError::IsADirectory(path.to_vec()));
        }
        Ok(())
    }

    fn origin(&self, path: &[u8]) -> Option<Origin> {
        self.directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .copied()
    }

    fn look_in_base(&self, path: &[u8]) -> Result<Option<Found>, CanvasError> {
        let Some(base) = &self.base else {
            return Ok(None);
        };
        let fail = |source| CanvasError::Lookup {
            path: path.to_vec(),
            source,
        };
        match find(base.as_fd(), path) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }
}
