//! `type=local` and `type=tar`: the image's files, without layers.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_image::LayerId;
use rbuild_layer::{Attributes, ContentIndex, EntryKind, FileContent, TreeWriter, write_tar};
use rbuild_store::Store;
use rbuild_sys::{OverlayFlavor, mount_overlay};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::assemble::BuiltImage;
use crate::error::ExportError;

/// An image's files as one tree.
struct MergedFiles {
    root: OwnedFd,
    index: ContentIndex,
}

impl MergedFiles {
    fn open(store: &Store, image: &BuiltImage) -> Result<Self, ExportError> {
        let find = |id: &LayerId| store.layer(id)?.ok_or(ExportError::Layer(*id));
        let layers = image
            .layers
            .iter()
            .map(|layer| find(&layer.id))
            .collect::<Result<Vec<_>, _>>()?;
        let indexes = layers
            .iter()
            .map(|layer| layer.index())
            .collect::<Result<Vec<_>, _>>()?;
        let bottom_first: Vec<&ContentIndex> = indexes.iter().map(AsRef::as_ref).collect();
        let lowers: Vec<PathBuf> = layers.iter().rev().map(|layer| layer.diff_path()).collect();
        Ok(Self {
            root: mount_overlay(&lowers, None, OverlayFlavor::detect())?,
            index: ContentIndex::merge(&bottom_first),
        })
    }
}

/// Writes the files of `image` as a tar stream.
pub fn write_files_tar(
    store: &Store,
    image: &BuiltImage,
    sink: impl Write,
) -> Result<(), ExportError> {
    if image.layers.is_empty() {
        let empty = fs::File::open("/").map_err(ExportError::file("open", "/"))?;
        return Ok(write_tar(empty.as_fd(), &ContentIndex::default(), sink)?);
    }
    let files = MergedFiles::open(store, image)?;
    Ok(write_tar(files.root.as_fd(), &files.index, sink)?)
}

/// Copies the files of `image` into `destination`, over what is there; they belong to the caller. Device nodes are left out.
pub fn write_files(
    store: &Store,
    image: &BuiltImage,
    destination: &Path,
) -> Result<(), ExportError> {
    fs::create_dir_all(destination).map_err(ExportError::file("create", destination))?;
    if image.layers.is_empty() {
        return Ok(());
    }
    let files = MergedFiles::open(store, image)?;
    let directory = fs::File::open(destination).map_err(ExportError::file("open", destination))?;
    let writer = TreeWriter::new(directory.into(), OverlayFlavor::detect())?;
    for entry in files.index.entries() {
        let attributes = Attributes {
            mode: entry.mode,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime: entry.mtime,
            xattrs: Vec::new(),
        };
        match &entry.kind {
            EntryKind::Directory { .. } => writer.directory(&entry.path, &attributes)?,
            EntryKind::File { size, digest } => {
                let from = open_file(&files, &entry.path)?;
                let content = FileContent::Copy {
                    from: from.as_fd(),
                    size: *size,
                    digest: Some(*digest),
                };
                writer.file(&entry.path, &attributes, content)?;
            }
            EntryKind::Symlink { target } => writer.symlink(&entry.path, target, &attributes)?,
            EntryKind::Hardlink { target } => writer.hardlink(&entry.path, target)?,
            _ => {}
        }
    }
    writer.finish()?;
    Ok(())
}

fn open_file(files: &MergedFiles, path: &[u8]) -> Result<OwnedFd, ExportError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(&files.root, path, flags, Mode::empty(), resolve).map_err(|error| {
        ExportError::File {
            action: "open",
            path: String::from_utf8_lossy(path).into_owned().into(),
            source: error.into(),
        }
    })
}
