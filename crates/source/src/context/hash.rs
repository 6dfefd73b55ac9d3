//! Digests of the files that the stat cache does not know, in parallel.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rayon::prelude::*;
use rbuild_layer::{Entry, EntryKind};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::SourceError;
use crate::context::name::{entry_of, is_vanished, open_beneath, stamp_of, text};
use crate::context::stat_cache::{Stamp, Xattrs};

/// Read at once: small enough for every thread to have one, large enough for blake3's widest vectors.
const BUFFER_BYTES: usize = 256 * 1024;
/// Above this, one file is hashed by several threads.
const SHARED_BYTES: u64 = 64 * 1024 * 1024;
/// What several threads hash at once.
const SHARED_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// A file that changes while it is read is read again this often before we give up.
const ATTEMPTS: usize = 4;

/// Reads and hashes each file, replaces its entry and stamp by what was read, and tells of those that are gone.
pub(crate) fn hash_all(
    root: BorrowedFd<'_>,
    files: &mut [(&mut Entry, &mut Stamp)],
) -> Result<Vec<bool>, SourceError> {
    files
        .par_iter_mut()
        .map_init(
            || vec![0; BUFFER_BYTES],
            |buffer, (entry, stamp)| hash_one(root, entry, stamp, buffer),
        )
        .collect()
}

/// Whether the file was still there.
fn hash_one(
    root: BorrowedFd<'_>,
    entry: &mut Entry,
    stamp: &mut Stamp,
    buffer: &mut [u8],
) -> Result<bool, SourceError> {
    let fail = |entry: &Entry, source: io::Error| SourceError::ReadContext {
        path: text(&entry.path),
        source,
    };
    for _ in 0..ATTEMPTS {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match open_beneath(root, &entry.path, flags) {
            Ok(descriptor) => File::from(descriptor),
            Err(error) if is_vanished(error) => return Ok(false),
            Err(Errno::LOOP) => break,
            Err(error) => return Err(fail(entry, error.into())),
        };
        let digest = digest_of(&file, stamp.size, buffer).map_err(|error| fail(entry, error))?;
        let xattrs = read_xattrs(file.as_fd()).map_err(|error| fail(entry, error.into()))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| fail(entry, error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            break;
        }
        let now = stamp_of(&stat);
        let unchanged = now == *stamp;
        *stamp = now;
        let kind = EntryKind::File {
            size: now.size,
            digest,
        };
        *entry = entry_of(std::mem::take(&mut entry.path), &stat, kind);
        entry.xattrs = xattrs;
        if unchanged {
            return Ok(true);
        }
    }
    Err(SourceError::ChangedContext {
        path: text(&entry.path),
    })
}

fn digest_of(mut file: &File, size: u64, buffer: &mut [u8]) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    if size >= SHARED_BYTES {
        let mut shared = vec![0; SHARED_BUFFER_BYTES];
        loop {
            let filled = fill(file, &mut shared)?;
            if filled == 0 {
                return Ok(hasher.finalize().into());
            }
            hasher.update_rayon(&shared[..filled]);
        }
    }
    let mut left = size;
    // `fstat` afterwards tells whether the size was still right: no read is spent on the end of file.
    while left > 0 {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                left = left.saturating_sub(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().into())
}

fn fill(mut file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The extended attributes that go into an image: `user.*` but not overlayfs's own, and `security.capability`.
pub(crate) fn read_xattrs(file: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let mut names = [0; 1024];
    let listed = match rustix::fs::flistxattr(file, &mut names) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(count) => names[..count].to_vec(),
        Err(Errno::RANGE) => {
            // The kernel's own limit, XATTR_LIST_MAX.
            let mut names = vec![0; 64 * 1024];
            let count = rustix::fs::flistxattr(file, &mut names)?;
            names.truncate(count);
            names
        }
        Err(error) => return Err(error),
    };
    let mut xattrs = Xattrs::new();
    for name in listed.split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        // XATTR_SIZE_MAX.
        let mut value = vec![0; 64 * 1024];
        match rustix::fs::fgetxattr(file, name, &mut value) {
            Ok(count) => value.truncate(count),
            Err(Errno::NODATA) => continue,
            Err(error) => return Err(error),
        }
        value.shrink_to_fit();
        xattrs.push((name.to_vec(), value));
    }
    xattrs.sort();
    Ok(xattrs)
}

/// Whether an extended attribute goes into an image.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}
