//! Bytes into a new file: from memory, from a stream, or from another file without passing through here.

use std::cell::RefCell;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{copy_file_range, ftruncate, ioctl_ficlone};
use rustix::io::{Errno, pwrite};

use crate::hash::{PIECE_BYTES, hash_file, with_piece};
use crate::segments::data_segments;

/// Where a new file's bytes come from.
pub enum FileContent<'a> {
    /// They are at hand.
    Bytes(&'a [u8]),
    /// A stream that gives so many bytes or more; no more than these are taken. Long runs of zeros become holes.
    Reader(&'a mut dyn Read, u64),
    /// Another file, moved by reflink or `copy_file_range` where the file system can. The caller makes
    /// sure that the file stays the same meanwhile.
    Copy {
        /// The file; its position does not matter.
        from: BorrowedFd<'a>,
        /// Its size in bytes.
        size: u64,
        /// blake3 of its bytes where that is known already.
        digest: Option<[u8; 32]>,
    },
}

/// A run of zeros of at least this many bytes, at a multiple of it, becomes a hole.
const HOLE_BYTES: usize = 64 * 1024;

/// The most that one call copies inside the kernel, so that a copy can be interrupted.
const COPY_BYTES: usize = 64 * 1024 * 1024;

/// What was written.
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) digest: [u8; 32],
}

impl FileContent<'_> {
    /// Writes the bytes into the empty file `to`.
    pub(super) fn write(self, to: BorrowedFd<'_>) -> io::Result<Written> {
        match self {
            Self::Bytes(bytes) => {
                write_all_at(to, bytes, 0)?;
                let size = bytes.len() as u64;
                let digest = blake3::hash(bytes).into();
                Ok(Written { size, digest })
            }
            Self::Reader(reader, size) => {
                let digest = stream(reader, size, to)?;
                Ok(Written { size, digest })
            }
            Self::Copy { from, size, digest } => {
                let digest = copy(from, size, digest, to)?;
                Ok(Written { size, digest })
            }
        }
    }
}

thread_local! {
    static STREAM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn stream(reader: &mut dyn Read, size: u64, to: BorrowedFd<'_>) -> io::Result<[u8; 32]> {
    let mut buffer = STREAM.take();
    buffer.resize(PIECE_BYTES, 0);
    let result = stream_through(reader, size, to, &mut buffer);
    STREAM.set(buffer);
    result
}

fn stream_through(
    reader: &mut dyn Read,
    size: u64,
    to: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut done = 0;
    let mut ends_in_hole = false;
    while done < size {
        let length = buffer
            .len()
            .min(usize::try_from(size - done).unwrap_or(usize::MAX));
        let bytes = &mut buffer[..length];
        reader.read_exact(bytes)?;
        hasher.update(bytes);
        if size < HOLE_BYTES as u64 {
            write_all_at(to, bytes, done)?;
        } else {
            ends_in_hole = write_with_holes(to, bytes, done)?;
        }
        done += length as u64;
    }
    if ends_in_hole {
        ftruncate(to, size)?;
    }
    Ok(hasher.finalize().into())
}

/// Writes what is not zero; tells whether the end was left out.
fn write_with_holes(to: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> io::Result<bool> {
    let mut pending = 0;
    let mut at = 0;
    for block in bytes.chunks(HOLE_BYTES) {
        if block.len() == HOLE_BYTES && is_zero(block) {
            write_all_at(to, &bytes[pending..at], offset + pending as u64)?;
            pending = at + block.len();
        }
        at += block.len();
    }
    write_all_at(to, &bytes[pending..], offset + pending as u64)?;
    Ok(pending == bytes.len())
}

/// Whether a block holds nothing but zeros; the first byte tells for nearly all that do not.
fn is_zero(block: &[u8]) -> bool {
    block[0] == 0 && block[..block.len() - 1] == block[1..]
}

fn copy(
    from: BorrowedFd<'_>,
    size: u64,
    digest: Option<[u8; 32]>,
    to: BorrowedFd<'_>,
) -> io::Result<[u8; 32]> {
    if size <= PIECE_BYTES as u64 {
        return with_piece(from, 0, size, |bytes| {
            write_all_at(to, bytes, 0)?;
            Ok(digest.unwrap_or_else(|| blake3::hash(bytes).into()))
        })?;
    }
    if ioctl_ficlone(to, from).is_err() {
        for (start, end) in data_segments(from, size)? {
            copy_range(from, to, start, end)?;
        }
    }
    ftruncate(to, size)?;
    digest.map_or_else(|| hash_file(to, size), Ok)
}

fn copy_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: u64, end: u64) -> io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let length = COPY_BYTES.min(usize::try_from(end - read_at).unwrap_or(usize::MAX));
        match copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), length) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return copy_through_memory(from, to, read_at, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    mut start: u64,
    end: u64,
) -> io::Result<()> {
    while start < end {
        let length = (end - start).min(PIECE_BYTES as u64);
        with_piece(from, start, length, |bytes| write_all_at(to, bytes, start))??;
        start += length;
    }
    Ok(())
}

fn write_all_at(to: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwrite(to.as_fd(), bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
