//! `type=local` and `type=tar`: the image's files, without layers.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rbuild_image::{LayerId, Platform};
use rbuild_layer::{
    Attributes, ContentIndex, Entry, EntryKind, FileContent, FileTimes, Mtime, Opacity, TreeWriter,
    end_tar, write_tar_part,
};
use rbuild_store::Store;
use rbuild_sys::{OverlayFlavor, mount_overlay};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::assemble::BuiltImage;
use crate::error::ExportError;
use crate::statement_files::{STATEMENT_MODE, Shared, StatementFile, StatementFiles};

/// An image's files as one tree.
pub(crate) struct MergedFiles {
    root: OwnedFd,
    index: ContentIndex,
}

impl MergedFiles {
    /// The files of `image`; none of one without layers.
    pub(crate) fn of(
        store: &Store,
        image: &BuiltImage,
        times: FileTimes,
    ) -> Result<Option<Self>, ExportError> {
        let layers: Vec<LayerId> = image.layers.iter().map(|layer| layer.id).collect();
        if layers.is_empty() {
            return Ok(None);
        }
        Self::open(store, &layers, times).map(Some)
    }

    /// The files of `layers`, bottom first, of which there is at least one.
    pub(crate) fn open(
        store: &Store,
        layers: &[LayerId],
        times: FileTimes,
    ) -> Result<Self, ExportError> {
        let find = |id: &LayerId| store.layer(id)?.ok_or(ExportError::Layer(*id));
        let layers = layers.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let indexes = layers
            .iter()
            .map(|layer| layer.index())
            .collect::<Result<Vec<_>, _>>()?;
        let bottom_first: Vec<&ContentIndex> = indexes.iter().map(AsRef::as_ref).collect();
        let lowers: Vec<PathBuf> = layers.iter().rev().map(|layer| layer.diff_path()).collect();
        Ok(Self {
            root: mount_overlay(&lowers, None, OverlayFlavor::detect())?,
            index: ContentIndex::merge(&bottom_first).dated(times, None),
        })
    }

    /// What they are.
    pub(crate) fn index(&self) -> &ContentIndex {
        &self.index
    }

    /// A file, which is not reached through any link.
    pub(crate) fn open_file(&self, path: &[u8]) -> Result<OwnedFd, ExportError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rbuild_sys::openat2(&self.root, path, flags, Mode::empty(), resolve).map_err(|error| {
            ExportError::File {
                action: "open",
                path: String::from_utf8_lossy(path).into_owned().into(),
                source: error.into(),
            }
        })
    }
}

/// What a tar's parts are rounded up to.
const TAR_BLOCK_BYTES: usize = 512;
/// The mode of a platform's folder in an archive.
const FOLDER_MODE: u32 = 0o755;

/// An image and the folder that its files go to; empty for none.
pub type InFolder<'a> = (String, &'a BuiltImage);

/// Writes the files of images, dated so, as one tar stream, and what is attested of them.
pub fn write_files_tar(
    store: &Store,
    images: &[InFolder<'_>],
    times: FileTimes,
    statements: &StatementFiles<'_>,
    mut sink: impl Write,
) -> Result<(), ExportError> {
    let nowhere = fs::File::open("/").map_err(ExportError::file("open", "/"))?;
    let shared = Shared::of(images);
    let opened = open_all(store, images, times)?;
    for ((folder, files), (_, image)) in opened.into_iter().zip(images) {
        if !folder.is_empty() {
            let folder = ContentIndex::from_entries(vec![folder_entry(folder)]);
            write_tar_part(nowhere.as_fd(), &folder, b"", &mut sink)?;
        }
        if let Some(files) = &files {
            let (root, below) = (files.root.as_fd(), folder.as_bytes());
            write_tar_part(root, &files.index, below, &mut sink)?;
        }
        for statement in statements.of(image, files.as_ref(), shared)? {
            append_statement(&statement, folder, statements.made, &mut sink)?;
        }
    }
    Ok(end_tar(sink)?)
}

fn append_statement(
    statement: &StatementFile,
    folder: &str,
    made: SystemTime,
    sink: &mut impl Write,
) -> Result<(), ExportError> {
    let path = Path::new(folder).join(&statement.name);
    let since = made.duration_since(SystemTime::UNIX_EPOCH);
    let mut header = tar::Header::new_ustar();
    let fail = ExportError::Archive;
    header.set_path(&path).map_err(fail)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(statement.bytes.len() as u64);
    header.set_mode(STATEMENT_MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(since.map_or(0, |since| since.as_secs()));
    header.set_cksum();
    let padding = statement.bytes.len().next_multiple_of(TAR_BLOCK_BYTES) - statement.bytes.len();
    let zeros = [0; TAR_BLOCK_BYTES];
    for part in [
        header.as_bytes(),
        statement.bytes.as_slice(),
        &zeros[..padding],
    ] {
        sink.write_all(part).map_err(fail)?;
    }
    Ok(())
}

/// The files of each image; none of one without layers. What would overwrite another image's file is refused.
fn open_all<'a>(
    store: &Store,
    images: &'a [InFolder<'_>],
    times: FileTimes,
) -> Result<Vec<(&'a str, Option<MergedFiles>)>, ExportError> {
    let mut opened = Vec::new();
    let mut written: HashMap<Vec<u8>, &Platform> = HashMap::new();
    for (folder, image) in images {
        let Some(files) = MergedFiles::of(store, image, times)? else {
            opened.push((folder.as_str(), None));
            continue;
        };
        if images.len() > 1 && folder.is_empty() {
            let is_file = |entry: &&Entry| !entry.is_directory();
            for entry in files.index.entries().iter().filter(is_file) {
                if let Some(other) = written.insert(entry.path.clone(), &image.platform) {
                    return Err(ExportError::Overlap {
                        path: String::from_utf8_lossy(&entry.path).into_owned(),
                        first: other.to_string(),
                        second: image.platform.to_string(),
                    });
                }
            }
        }
        opened.push((folder.as_str(), Some(files)));
    }
    Ok(opened)
}

fn folder_entry(name: &str) -> Entry {
    Entry {
        path: name.as_bytes().to_vec(),
        kind: EntryKind::Directory {
            opaque: Opacity::Merged,
        },
        mode: FOLDER_MODE,
        uid: 0,
        gid: 0,
        mtime: Mtime::default(),
        xattrs: Vec::new(),
    }
}

/// Copies the files of images, dated so, into `destination`, over what is there; they belong to the caller. Device nodes are left
/// out. The files of each image are written beside first, so a failure on the way leaves what is there as it was.
pub fn write_files(
    store: &Store,
    images: &[InFolder<'_>],
    times: FileTimes,
    destination: &Path,
) -> Result<(), ExportError> {
    for (folder, files) in open_all(store, images, times)? {
        let destination = destination.join(folder);
        fs::create_dir_all(&destination).map_err(ExportError::file("create", &destination))?;
        let Some(files) = files else { continue };
        let staging = Staging::new(&destination)?;
        let index = write_tree(&files, staging.open()?)?;
        move_over(&index, &staging.open()?, &open_directory(&destination)?)?;
    }
    Ok(())
}

/// A directory inside the destination, so on the same file system; it is removed when dropped.
struct Staging(PathBuf);

impl Staging {
    fn new(destination: &Path) -> Result<Self, ExportError> {
        let path = destination.join(format!(".rbuild-{}.partial", std::process::id()));
        fs::create_dir(&path).map_err(ExportError::file("create", &path))?;
        Ok(Self(path))
    }

    fn open(&self) -> Result<OwnedFd, ExportError> {
        open_directory(&self.0)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, ExportError> {
    Ok(fs::File::open(path)
        .map_err(ExportError::file("open", path))?
        .into())
}

fn write_tree(files: &MergedFiles, directory: OwnedFd) -> Result<ContentIndex, ExportError> {
    let writer = TreeWriter::new(directory, OverlayFlavor::detect())?;
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
                let from = files.open_file(&entry.path)?;
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
    Ok(writer.finish()?)
}

/// Moves what `index` lists from one directory to another: what is new goes as a whole, directories that are there are
/// merged, anything else is replaced. Symbolic links of the destination are not followed.
fn move_over(index: &ContentIndex, from: &OwnedFd, to: &OwnedFd) -> Result<(), ExportError> {
    let mut moved: Option<&[u8]> = None;
    for entry in index.entries() {
        let path = entry.path.as_slice();
        if moved.is_some_and(|above| is_below(path, above)) {
            continue;
        }
        let fail = |error: Errno| ExportError::File {
            action: "write",
            path: Path::new(OsStr::from_bytes(path)).to_owned(),
            source: error.into(),
        };
        let is_directory = matches!(entry.kind, EntryKind::Directory { .. });
        let (parent, name) = split(path);
        let target = beneath(to, parent).map_err(fail)?;
        if is_directory && let Ok(known) = beneath(&target, name) {
            rustix::fs::fchmod(&known, Mode::from_raw_mode(entry.mode)).map_err(fail)?;
            continue;
        }
        let source = beneath(from, parent).map_err(fail)?;
        rustix::fs::renameat(&source, name, &target, name).map_err(fail)?;
        moved = is_directory.then_some(path);
    }
    Ok(())
}

fn beneath(directory: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rbuild_sys::openat2(directory, path, flags, Mode::empty(), resolve)
}

/// Parent and name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with(b"/"))
}
