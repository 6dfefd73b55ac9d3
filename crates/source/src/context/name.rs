//! What stands under one name of a context: `stat`, and what an index says of it.

use std::os::fd::{BorrowedFd, OwnedFd};

use rbuild_layer::{Entry, EntryKind, Mtime};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::SourceError;
use crate::context::scan::Child;
use crate::context::stat_cache::{Record, Stamp};

/// Linux's `PATH_MAX` without its final zero: a longer path cannot be named in one system call, by us or
/// by anybody who uses the image.
const MAX_PATH_BYTES: usize = 4095;

/// A name in an open directory.
pub(crate) struct At<'d> {
    pub(crate) descriptor: BorrowedFd<'d>,
    pub(crate) name: &'d [u8],
    pub(crate) path: Vec<u8>,
}

impl At<'_> {
    /// What it is, asked of `stat` only where the listing does not tell; `None` if it has vanished.
    pub(crate) fn kind(
        &self,
        listed: FileType,
    ) -> Result<Option<(FileType, Option<Stat>)>, SourceError> {
        if listed != FileType::Unknown {
            return Ok(Some((listed, None)));
        }
        let stat = self.present(self.stat())?;
        Ok(stat.map(|stat| (FileType::from_raw_mode(stat.st_mode), Some(stat))))
    }

    /// What stands here, no directory; `None` if it has vanished.
    pub(crate) fn read(
        self,
        stat: Option<Stat>,
        record: Option<Record<'_>>,
    ) -> Result<Option<Child<'_>>, SourceError> {
        check_length(&self.path)?;
        let stat = match stat {
            Some(stat) => stat,
            None => match self.present(self.stat())? {
                Some(stat) => stat,
                None => return Ok(None),
            },
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return Ok(Some(file_child(self.path, &stat, record))),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(self.descriptor, self.name, Vec::new());
                match self.present(target)? {
                    Some(target) => EntryKind::Symlink {
                        target: target.into_bytes(),
                    },
                    None => return Ok(None),
                }
            }
            FileType::Fifo => EntryKind::Fifo,
            // Nobody can be at its other end in an image: an empty file, as `BuildKit` has it.
            FileType::Socket => EntryKind::File {
                size: 0,
                digest: blake3::hash(b"").into(),
            },
            FileType::CharacterDevice => EntryKind::CharDevice {
                major: rustix::fs::major(stat.st_rdev),
                minor: rustix::fs::minor(stat.st_rdev),
            },
            FileType::BlockDevice => EntryKind::BlockDevice {
                major: rustix::fs::major(stat.st_rdev),
                minor: rustix::fs::minor(stat.st_rdev),
            },
            // It has become a directory since it was listed: too late for this walk.
            _ => {
                return Err(SourceError::ChangedContext {
                    path: text(&self.path),
                });
            }
        };
        Ok(Some(Child::Other(entry_of(self.path, &stat, kind))))
    }

    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(self.descriptor, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn present<T>(&self, result: Result<T, Errno>) -> Result<Option<T>, SourceError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_vanished(error) => Ok(None),
            Err(error) => Err(SourceError::ReadContext {
                path: text(&self.path),
                source: error.into(),
            }),
        }
    }
}

fn file_child<'a>(path: Vec<u8>, stat: &Stat, record: Option<Record<'a>>) -> Child<'a> {
    let stamp = stamp_of(stat);
    match record {
        Some(record) if record.stamp == stamp => {
            let kind = EntryKind::File {
                size: stamp.size,
                digest: record.digest,
            };
            let mut entry = entry_of(path, stat, kind);
            entry.xattrs = record.xattrs();
            Child::Known {
                entry,
                stamp,
                raw: record.raw,
            }
        }
        _ => {
            let kind = EntryKind::File {
                size: stamp.size,
                digest: [0; 32],
            };
            Child::Unknown {
                entry: entry_of(path, stat, kind),
                stamp,
            }
        }
    }
}

/// An entry as a context has it: owned by root, whoever owns it here.
pub(crate) fn entry_of(path: Vec<u8>, stat: &Stat, kind: EntryKind) -> Entry {
    let mode = match kind {
        EntryKind::Symlink { .. } => 0o777,
        _ => stat.st_mode & 0o7777,
    };
    Entry {
        path,
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: Mtime {
            seconds: stat.st_mtime,
            nanoseconds: stat.st_mtime_nsec as u32,
        },
        xattrs: Vec::new(),
    }
}

pub(crate) fn stamp_of(stat: &Stat) -> Stamp {
    Stamp {
        inode: stat.st_ino,
        size: stat.st_size as u64,
        mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        ctime: (stat.st_ctime, stat.st_ctime_nsec as u32),
    }
}

/// Opens `path` below `root` without following a link anywhere.
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rbuild_sys::openat2(root, path, flags, Mode::empty(), resolve) {
            // The kernel lost a race with a rename and asks to be asked again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

pub(crate) fn check_length(path: &[u8]) -> Result<(), SourceError> {
    if path.len() <= MAX_PATH_BYTES {
        return Ok(());
    }
    Err(SourceError::ReadContext {
        path: format!("{}…", text(&path[..64])),
        source: Errno::NAMETOOLONG.into(),
    })
}

pub(crate) fn is_vanished(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::STALE)
}

/// A path for people.
pub(crate) fn text(path: &[u8]) -> String {
    match path {
        b"" => ".".to_owned(),
        path => String::from_utf8_lossy(path).into_owned(),
    }
}
