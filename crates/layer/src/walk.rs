//! An overlay's upper directory → its content index, on all cores.
//!
//! Each directory is one task; a directory with many files is cut into batches. Files with one name are
//! read and hashed where they are found; those with several names are hashed once, at the end, when the
//! first of their names is known.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, Statx, StatxFlags, openat, readlinkat, statx,
};

use crate::OverlayFlavor;
use crate::directories::Directories;
use crate::error::{LayerError, Result};
use crate::hash::hash_file;
use crate::index::ContentIndex;
use crate::index::entry::{Entry, EntryKind, Mtime, Opacity};
use crate::index::path::{compare_paths, join};
use crate::marks::{OPAQUE_VALUE, OverlayMark, overlay_mark};
use crate::xattr::{self, Subject, Xattrs};

/// Names that one task looks at: some 50 µs of work when they are small files.
const BATCH_NAMES: usize = 64;

/// Read buffer for directories.
const LISTING_BYTES: usize = 32 * 1024;

/// The content index of `directory`, an overlay's upper directory that nobody writes to any more.
///
/// Whiteouts and opaque directories are recognised, overlayfs' own attributes dropped, sockets skipped.
/// Of an inode's names the first in order is the file, the others are hard links.
///
/// # Errors
/// [`LayerError::File`] when something cannot be read, [`LayerError::Changed`] when a file shrinks while
/// it is hashed, [`LayerError::Entry`] when the overlay was mounted with redirects or metadata-only copies.
pub fn index_upper(directory: BorrowedFd<'_>, flavor: OverlayFlavor) -> Result<ContentIndex> {
    // A step that changed nothing should not wake a pool of threads. (Listing moves a descriptor's position: the walk
    // opens its own.)
    if list(open_directory(directory, b".", b"")?.as_fd(), b"")?.is_empty() {
        return Ok(ContentIndex::default());
    }
    let root = open_directory(directory, b".", b"")?;
    let walk = Walk {
        flavor,
        found: Mutex::default(),
        failure: Mutex::default(),
    };
    rayon::scope(|scope| walk.directory(scope, &Arc::new(root), &Arc::from(&b""[..])));
    if let Some(error) = walk
        .failure
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        return Err(error);
    }
    let mut found: Vec<Found> = walk
        .found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .flatten()
        .collect();
    found.par_sort_unstable_by(|left, right| compare_paths(&left.entry.path, &right.entry.path));
    join_hard_links(directory, &mut found)?;
    Ok(ContentIndex::from_entries(
        found.into_iter().map(|found| found.entry).collect(),
    ))
}

/// An entry, and which inode it names if that may have other names.
struct Found {
    entry: Entry,
    inode: Option<Inode>,
}

/// Device and inode number.
type Inode = (u32, u32, u64);

struct Walk {
    flavor: OverlayFlavor,
    found: Mutex<Vec<Vec<Found>>>,
    failure: Mutex<Option<LayerError>>,
}

impl Walk {
    /// Lists one directory and spawns tasks for its names.
    fn directory<'s>(
        &'s self,
        scope: &rayon::Scope<'s>,
        directory: &Arc<OwnedFd>,
        path: &Arc<[u8]>,
    ) {
        let names = match list(directory.as_fd(), path) {
            Ok(names) => names,
            Err(error) => return self.fail(error),
        };
        if names.len() <= BATCH_NAMES {
            return self.batch(scope, directory, path, &names);
        }
        for batch in names.chunks(BATCH_NAMES) {
            let batch = batch.to_vec();
            let (directory, path) = (Arc::clone(directory), Arc::clone(path));
            scope.spawn(move |scope| self.batch(scope, &directory, &path, &batch));
        }
    }

    /// Looks at some names of a directory.
    fn batch<'s>(
        &'s self,
        scope: &rayon::Scope<'s>,
        directory: &Arc<OwnedFd>,
        path: &Arc<[u8]>,
        names: &[Vec<u8>],
    ) {
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let full = join(path, name);
            match self.look(directory.as_fd(), name, full) {
                Ok(Some(found)) => {
                    if found.entry.is_directory() {
                        let below: Arc<[u8]> = Arc::from(found.entry.path.as_slice());
                        let parent = Arc::clone(directory);
                        let name = name.clone();
                        scope.spawn(move |scope| self.descend(scope, parent, &name, &below));
                    }
                    entries.push(found);
                }
                Ok(None) => {}
                Err(error) => return self.fail(error),
            }
        }
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entries);
    }

    /// Opens a directory below `parent` and goes on in it; `parent` is closed first, so that depth costs
    /// no descriptors.
    fn descend<'s>(
        &'s self,
        scope: &rayon::Scope<'s>,
        parent: Arc<OwnedFd>,
        name: &[u8],
        path: &Arc<[u8]>,
    ) {
        if self.failed() {
            return;
        }
        let opened = open_directory(parent.as_fd(), name, path);
        drop(parent);
        match opened {
            Ok(directory) => self.directory(scope, &Arc::new(directory), path),
            Err(error) => self.fail(error),
        }
    }

    /// One name → its entry; `None` for a socket.
    fn look(&self, directory: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> Result<Option<Found>> {
        let stat = statx(
            directory,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
            StatxFlags::BASIC_STATS,
        )
        .map_err(|errno| LayerError::file("stat", &path, errno))?;
        let device = (stat.stx_rdev_major, stat.stx_rdev_minor);
        let mut xattrs = Xattrs::new();
        let mut inode = None;
        let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::RegularFile => {
                let Some((kind, own)) = self.file(directory, name, &path, &stat)? else {
                    return Ok(Some(whiteout(path)));
                };
                xattrs = own;
                inode = (stat.stx_nlink > 1).then_some((
                    stat.stx_dev_major,
                    stat.stx_dev_minor,
                    stat.stx_ino,
                ));
                kind
            }
            FileType::Directory => {
                let subject = Subject::Named(directory, name);
                let (own, marks) = self.xattrs(subject, &path)?;
                xattrs = own;
                EntryKind::Directory {
                    opaque: if marks.opaque {
                        Opacity::Opaque
                    } else {
                        Opacity::Merged
                    },
                }
            }
            FileType::Symlink => EntryKind::Symlink {
                target: readlinkat(directory, name, Vec::new())
                    .map_err(|errno| LayerError::file("read link", &path, errno))?
                    .into_bytes(),
            },
            FileType::CharacterDevice if device == (0, 0) => return Ok(Some(whiteout(path))),
            FileType::CharacterDevice => EntryKind::CharDevice {
                major: device.0,
                minor: device.1,
            },
            FileType::BlockDevice => EntryKind::BlockDevice {
                major: device.0,
                minor: device.1,
            },
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        let entry = Entry {
            path,
            kind,
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mtime: Mtime {
                seconds: stat.stx_mtime.tv_sec,
                nanoseconds: stat.stx_mtime.tv_nsec,
            },
            xattrs,
        };
        Ok(Some(Found { entry, inode }))
    }

    /// A file's size, digest and attributes; `None` when it is a whiteout. What has several names is not
    /// hashed here.
    fn file(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Statx,
    ) -> Result<Option<(EntryKind, Xattrs)>> {
        let size = stat.stx_size;
        if size == 0 || stat.stx_nlink > 1 {
            let (xattrs, marks) = self.xattrs(Subject::Named(directory, name), path)?;
            if size == 0 && marks.whiteout {
                return Ok(None);
            }
            let digest = *blake3::hash(&[]).as_bytes();
            return Ok(Some((EntryKind::File { size, digest }, xattrs)));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, Mode::empty())
            .map_err(|errno| LayerError::file("open", path, errno))?;
        let (xattrs, _) = self.xattrs(Subject::Open(file.as_fd()), path)?;
        let digest = digest(file.as_fd(), size, path)?;
        Ok(Some((EntryKind::File { size, digest }, xattrs)))
    }

    /// The attributes that travel, and what overlayfs' say.
    fn xattrs(&self, subject: Subject<'_>, path: &[u8]) -> Result<(Xattrs, Marks)> {
        let mut all = xattr::read(subject, |name| {
            xattr::travels(name) || overlay_mark(name, self.flavor).is_some()
        })
        .map_err(|errno| LayerError::file("read extended attributes of", path, errno))?;
        let mut marks = Marks::default();
        let mut incomplete = false;
        all.retain(|(name, value)| {
            let mark = overlay_mark(name, self.flavor);
            match mark {
                Some(OverlayMark::Opaque) => marks.opaque = value == OPAQUE_VALUE,
                Some(OverlayMark::Whiteout) => marks.whiteout = true,
                Some(OverlayMark::Incomplete) => incomplete = true,
                Some(OverlayMark::Other) | None => {}
            }
            mark.is_none()
        });
        if incomplete {
            return Err(LayerError::entry(
                path,
                "the overlay was mounted with redirects or metadata-only copies",
            ));
        }
        Ok((all, marks))
    }

    fn fail(&self, error: LayerError) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    fn failed(&self) -> bool {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

/// What overlayfs noted on an entry.
#[derive(Default)]
struct Marks {
    opaque: bool,
    whiteout: bool,
}

fn whiteout(path: Vec<u8>) -> Found {
    Found {
        entry: Entry::whiteout(path),
        inode: None,
    }
}

fn open_directory(parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
        .map_err(|errno| LayerError::file("open directory", path, errno))
}

/// The names in a directory, but not `.` and `..`.
fn list(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut buffer = Vec::with_capacity(LISTING_BYTES);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry.map_err(|errno| LayerError::file("list", path, errno))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

fn digest(file: BorrowedFd<'_>, size: u64, path: &[u8]) -> Result<[u8; 32]> {
    hash_file(file, size).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => LayerError::Changed {
            path: path.to_vec(),
        },
        _ => LayerError::file("read", path, error),
    })
}

/// Hashes each inode of several names once, and makes all but its first name in order hard links.
fn join_hard_links(root: BorrowedFd<'_>, found: &mut [Found]) -> Result<()> {
    let mut first_names: HashMap<Inode, Vec<u8>> = HashMap::new();
    let mut firsts: Vec<&mut Entry> = Vec::new();
    for Found { entry, inode } in found {
        let Some(inode) = *inode else { continue };
        if let Some(target) = first_names.get(&inode) {
            entry.kind = EntryKind::Hardlink {
                target: target.clone(),
            };
        } else {
            first_names.insert(inode, entry.path.clone());
            firsts.push(entry);
        }
    }
    let directories = Directories::new(root);
    firsts.into_par_iter().try_for_each(|entry| {
        if let EntryKind::File {
            size,
            digest: known,
        } = &mut entry.kind
            && *size > 0
        {
            let file = directories.open_file(&entry.path)?;
            *known = digest(file.as_fd(), *size, &entry.path)?;
        }
        Ok(())
    })
}
