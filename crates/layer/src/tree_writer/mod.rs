//! Writes a tree into a fresh directory, and nowhere else.
//!
//! Every path is taken as one inside the directory. Names that lead through a symbolic link are followed
//! inside the directory, by what the writer itself has made there; the kernel is only ever asked for plain
//! names below descriptors of plain directories. Later entries replace earlier ones.

mod attributes;
mod content;
mod earlier;
mod remove;
mod resolve;
mod tree;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, mknodat, openat, symlinkat};
use rustix::io::Errno;

pub use attributes::Attributes;
pub use content::FileContent;

use crate::OverlayFlavor;
use crate::directories::Directories;
use crate::error::{LayerError, Result};
use crate::index::ContentIndex;
use crate::index::entry::{EntryKind, Opacity};
use crate::index::path::{join, split};
use crate::marks::OPAQUE_VALUE;
use attributes::Ownership;
use earlier::Earlier;
use tree::{Node, Origin, Tree};

/// More entries than any layer has; a bound on what an archive can make us remember.
const MAX_ENTRIES: usize = 20_000_000;

/// A confined writer into a fresh directory. All methods can be called from many threads; two that write
/// the same path at the same time are the caller's mistake, and one of them fails.
///
/// Nothing is synced to disk. Dropping the writer leaves what was written.
pub struct TreeWriter {
    directories: Directories<OwnedFd>,
    flavor: OverlayFlavor,
    ownership: Ownership,
    tree: Mutex<Tree>,
    earlier: Option<Earlier>,
}

impl TreeWriter {
    /// A writer into `directory`, which is empty, with whiteouts as overlayfs wants them in `flavor`.
    ///
    /// # Errors
    /// [`LayerError::File`] when this process' ids cannot be found out.
    pub fn new(directory: OwnedFd, flavor: OverlayFlavor) -> Result<Self> {
        Ok(Self {
            directories: Directories::new(directory),
            flavor,
            ownership: Ownership::detect(flavor)?,
            tree: Mutex::default(),
            earlier: None,
        })
    }

    /// Sets the attributes of the directory itself. They are in no index.
    pub fn root(&self, attributes: &Attributes) -> Result<()> {
        let root = self.directories.root();
        self.ownership.apply(root, attributes, b"")?;
        attributes::set_times(root, attributes.mtime)
            .map_err(|errno| LayerError::file("set the time of", b"", errno))
    }

    /// Makes a directory, or gives new attributes to the one that is there.
    pub fn directory(&self, path: &[u8], attributes: &Attributes) -> Result<()> {
        let path = self.place(path)?;
        let mut tree = self.tree();
        let opaque = match tree.get(&path).map(|node| &node.kind) {
            Some(EntryKind::Directory { opaque }) => *opaque,
            Some(EntryKind::Whiteout) => {
                self.remove(&mut tree, &path)?;
                self.make_directory(&path, 0o700)?;
                Opacity::Opaque
            }
            _ => {
                self.remove(&mut tree, &path)?;
                self.make_directory(&path, attributes.mode)?;
                Opacity::Merged
            }
        };
        let directory = self.directories.open(&path)?;
        self.ownership.apply(directory.as_fd(), attributes, &path)?;
        if opaque == Opacity::Opaque {
            self.mark_opaque(directory.as_fd(), &path)?;
        }
        let kind = EntryKind::Directory { opaque };
        record(&mut tree, &path, kind, attributes)
    }

    /// Makes a file.
    pub fn file(
        &self,
        path: &[u8],
        attributes: &Attributes,
        content: FileContent<'_>,
    ) -> Result<()> {
        let path = self.clear(path)?;
        let (parent, name) = split(&path);
        let directory = self.directories.open(parent)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // No more than the final permissions from the first moment on.
        let mode = Mode::from_raw_mode(attributes.mode & 0o777);
        // copy_file_range and hashing of what was copied read the new file.
        let flags = match content {
            FileContent::Copy { .. } => flags.difference(OFlags::WRONLY) | OFlags::RDWR,
            _ => flags,
        };
        let file = openat(&directory, name, flags, mode)
            .map_err(|errno| LayerError::file("create", &path, errno))?;
        let written = content
            .write(file.as_fd())
            .map_err(|error| LayerError::file("write", &path, error))?;
        self.ownership.apply(file.as_fd(), attributes, &path)?;
        attributes::set_times(file.as_fd(), attributes.mtime)
            .map_err(|errno| LayerError::file("set the time of", &path, errno))?;
        let kind = EntryKind::File {
            size: written.size,
            digest: written.digest,
        };
        record(&mut self.tree(), &path, kind, attributes)
    }

    /// Makes a symbolic link that says `target`.
    pub fn symlink(&self, path: &[u8], target: &[u8], attributes: &Attributes) -> Result<()> {
        let path = self.clear(path)?;
        let (parent, name) = split(&path);
        let directory = self.directories.open(parent)?;
        symlinkat(target, &directory, name)
            .map_err(|errno| LayerError::file("create link", &path, errno))?;
        let attributes = Attributes {
            mode: 0o777,
            xattrs: Vec::new(),
            ..attributes.clone()
        };
        self.finish_node(directory.as_fd(), &path, &attributes)?;
        let target = target.to_vec();
        record(
            &mut self.tree(),
            &path,
            EntryKind::Symlink { target },
            &attributes,
        )
    }

    /// Makes another name of `target`, which was written before. A link, device or pipe is made anew.
    ///
    /// # Errors
    /// [`LayerError::Entry`] when `target` was not written, or is a directory.
    pub fn hardlink(&self, path: &[u8], target: &[u8]) -> Result<()> {
        let target = resolve::clean(target)?;
        let (target, node) = self.find(&target)?;
        let (target, node) = match &node.kind {
            EntryKind::Hardlink { target } => self.find(target)?,
            _ => (target, node),
        };
        match &node.kind {
            EntryKind::File { .. } => {}
            EntryKind::Directory { .. } => {
                return Err(LayerError::entry(path, "a hard link to a directory"));
            }
            EntryKind::Symlink { target } => return self.symlink(path, target, &node.attributes),
            EntryKind::Whiteout => return Err(missing_target(path)),
            kind => return self.node(path, kind, &node.attributes),
        }
        let path = self.place(path)?;
        if path == target {
            return Ok(());
        }
        self.remove(&mut self.tree(), &path)?;
        let ((parent, name), (from, file)) = (split(&path), split(&target));
        let directory = self.directories.open(parent)?;
        let from = self.directories.open(from)?;
        linkat(&from, file, &directory, name, AtFlags::empty())
            .map_err(|errno| LayerError::file("create hard link", &path, errno))?;
        let kind = EntryKind::Hardlink { target };
        record(&mut self.tree(), &path, kind, &node.attributes)
    }

    /// Makes a device or a named pipe. A device that this user namespace may not make is only in the index.
    ///
    /// # Errors
    /// [`LayerError::Entry`] for another `kind`.
    pub fn node(&self, path: &[u8], kind: &EntryKind, attributes: &Attributes) -> Result<()> {
        let (file_type, device) = match *kind {
            EntryKind::CharDevice { major, minor } => {
                (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
            }
            EntryKind::BlockDevice { major, minor } => {
                (FileType::BlockDevice, rustix::fs::makedev(major, minor))
            }
            EntryKind::Fifo => (FileType::Fifo, 0),
            _ => return Err(LayerError::entry(path, "neither a device nor a named pipe")),
        };
        if matches!(kind, EntryKind::CharDevice { major: 0, minor: 0 }) {
            return Err(LayerError::entry(path, "device 0/0 would be a whiteout"));
        }
        let path = self.clear(path)?;
        let (parent, name) = split(&path);
        let directory = self.directories.open(parent)?;
        let mode = Mode::from_raw_mode(attributes.mode & 0o777);
        match mknodat(&directory, name, file_type, mode, device) {
            Ok(()) => self.finish_node(directory.as_fd(), &path, attributes)?,
            Err(Errno::PERM) if file_type != FileType::Fifo => {}
            Err(errno) => return Err(LayerError::file("create device", &path, errno)),
        }
        let attributes = Attributes {
            xattrs: Vec::new(),
            ..attributes.clone()
        };
        record(&mut self.tree(), &path, kind.clone(), &attributes)
    }

    /// Says that `path` of lower layers is gone. What this layer itself has there stays, and hides it.
    pub fn whiteout(&self, path: &[u8]) -> Result<()> {
        let path = self.place(path)?;
        let mut tree = self.tree();
        match tree.get(&path).map(|node| &node.kind) {
            None => {}
            Some(EntryKind::Directory { .. }) => return self.make_opaque(&mut tree, &path),
            Some(_) => return Ok(()),
        }
        let (parent, name) = split(&path);
        let directory = self.directories.open(parent)?;
        mknodat(
            &directory,
            name,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .map_err(|errno| LayerError::file("create whiteout", &path, errno))?;
        let attributes = Attributes::with_mode(0);
        record(&mut tree, &path, EntryKind::Whiteout, &attributes)
    }

    /// Says that of the directory `path` only what this layer has is left. It is made where it is missing.
    pub fn opaque(&self, path: &[u8]) -> Result<()> {
        let path = resolve::clean(path)?;
        if path.is_empty() {
            return Err(LayerError::entry(
                b"/",
                "the root of a layer cannot be opaque",
            ));
        }
        let mut tree = self.tree();
        let path = self.real_directory(&mut tree, &path)?;
        self.make_opaque(&mut tree, &path)
    }

    /// The parents that nobody asked for, in order: made as 0755 of root, where the layer below may have
    /// something else.
    pub fn implied_directories(&self) -> Vec<Vec<u8>> {
        self.tree()
            .directories()
            .filter(|(_, node)| node.origin == Origin::Implied)
            .map(|(path, _)| path)
            .collect()
    }

    /// Gives the directories their times, and tells what was written.
    pub fn finish(self) -> Result<ContentIndex> {
        let Self {
            directories, tree, ..
        } = self;
        let tree = tree.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (path, node) in tree.directories() {
            let (parent, name) = split(&path);
            let parent = directories.open(parent)?;
            attributes::set_times_of(parent.as_fd(), name, node.attributes.mtime)
                .map_err(|errno| LayerError::file("set the time of", &path, errno))?;
        }
        Ok(ContentIndex::from_entries(tree.into_entries()))
    }

    /// The real path of a new entry, with nothing there any more.
    fn clear(&self, path: &[u8]) -> Result<Vec<u8>> {
        let path = self.place(path)?;
        let mut tree = self.tree();
        self.remove(&mut tree, &path)?;
        Ok(path)
    }

    fn make_directory(&self, path: &[u8], mode: u32) -> Result<()> {
        let (parent, name) = split(path);
        let directory = self.directories.open(parent)?;
        mkdirat(&directory, name, Mode::from_raw_mode(mode & 0o777))
            .map_err(|errno| LayerError::file("create directory", path, errno))
    }

    fn make_opaque(&self, tree: &mut Tree, path: &[u8]) -> Result<()> {
        self.mark_opaque(self.directories.open(path)?.as_fd(), path)?;
        if let Some(node) = tree.get_mut(path) {
            node.kind = EntryKind::Directory {
                opaque: Opacity::Opaque,
            };
        }
        Ok(())
    }

    fn mark_opaque(&self, directory: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let name = self.flavor.opaque_xattr().as_bytes();
        crate::xattr::set(directory, name, OPAQUE_VALUE)
            .map_err(|errno| LayerError::file("make opaque", path, errno))
    }

    /// Owner, mode and time of what is not opened.
    fn finish_node(
        &self,
        directory: BorrowedFd<'_>,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<()> {
        let (_, name) = split(path);
        self.ownership
            .apply_named(directory, name, attributes, path)?;
        attributes::set_times_of(directory, name, attributes.mtime)
            .map_err(|errno| LayerError::file("set the time of", path, errno))
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a parent that nobody asked for.
    fn imply(&self, tree: &mut Tree, path: &[u8], opaque: Opacity) -> Result<()> {
        let attributes = Attributes::with_mode(0o755);
        self.make_directory(path, attributes.mode)?;
        let directory = self.directories.open(path)?;
        self.ownership.apply(directory.as_fd(), &attributes, path)?;
        if opaque == Opacity::Opaque {
            self.mark_opaque(directory.as_fd(), path)?;
        }
        let node = Node {
            kind: EntryKind::Directory { opaque },
            attributes,
            origin: Origin::Implied,
        };
        tree.insert(path, node);
        Ok(())
    }

    /// The real path of `path`, whose parents are made where they are missing; its last name is not followed.
    fn place(&self, path: &[u8]) -> Result<Vec<u8>> {
        let clean = resolve::clean(path)?;
        if clean.is_empty() {
            return Err(LayerError::entry(path, "it names the root"));
        }
        let (parent, name) = split(&clean);
        let parent = self.real_directory(&mut self.tree(), parent)?;
        Ok(join(&parent, name))
    }
}

/// Remembers what was written.
fn record(tree: &mut Tree, path: &[u8], kind: EntryKind, attributes: &Attributes) -> Result<()> {
    if tree.len() >= MAX_ENTRIES {
        return Err(LayerError::entry(
            path,
            "more entries than a layer can have",
        ));
    }
    let node = Node {
        kind,
        attributes: attributes.clone(),
        origin: Origin::Given,
    };
    tree.insert(path, node);
    Ok(())
}

fn missing_target(path: &[u8]) -> LayerError {
    LayerError::entry(path, "the target of the hard link is not in this layer")
}
