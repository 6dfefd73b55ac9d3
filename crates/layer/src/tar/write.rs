//! A layer's tar: one index, one directory, always the same bytes.
//!
//! - Entries come in index order; a whiteout stands where what it removes would, an opaque directory's
//!   mark directly after the directory.
//! - Headers are ustar. What does not fit (long names that cannot be split, large numbers, times before
//!   1970, extended attributes) comes before them in a pax header, its records in a fixed order.
//! - Times are whole seconds, rounded down, as `BuildKit` and Docker write them.
//! - User and group names are empty, and the pax headers' own names depend on the entry's name only.
//! - Sparse files are written out, holes as zeros, and two zero blocks end the archive.
//!
//! Any change here changes the diffID of every layer that is made from then on.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rayon::prelude::*;
use rbuild_image::{DiffId, Digester};
use rustix::fs::{FileType, fstat};

use super::write_header::{header_blocks, headers};
use super::{BLOCK_BYTES, padding};
use crate::directories::Directories;
use crate::error::{LayerError, Result};
use crate::hash::{PIECE_BYTES, read_exact_at, with_piece};
use crate::index::ContentIndex;
use crate::index::entry::{Entry, EntryKind, Opacity};
use crate::index::path::join;
use crate::marks::OPAQUE_NAME;
use crate::relay::write_hashed;
use crate::segments::data_segments;

/// Files up to this size are read ahead, many at once.
const SMALL_FILE_BYTES: u64 = 128 * 1024;

/// How much is read ahead: entries, and bytes of small files.
const AHEAD_ENTRIES: usize = 1024;
const AHEAD_BYTES: u64 = 4 * 1024 * 1024;

/// Writes `index` with the file contents in `directory` as a tar.
///
/// # Errors
/// [`LayerError::Changed`] when a file's size is not the index's any more, [`LayerError::File`] when one
/// cannot be read, [`LayerError::Entry`] for a name that would mean a whiteout, [`LayerError::Output`].
/// What was written until then is no archive: it has no end.
pub fn write_tar(
    directory: BorrowedFd<'_>,
    index: &ContentIndex,
    mut sink: impl Write,
) -> Result<()> {
    write_tar_part(directory, index, b"", &mut sink)?;
    end_tar(sink)
}

/// As [`write_tar`], but without the archive's end, and with every entry below the directory `below` (no slash at
/// either end; it is not written itself): several trees in one archive, which [`end_tar`] completes.
///
/// # Errors
/// As [`write_tar`].
pub fn write_tar_part(
    directory: BorrowedFd<'_>,
    index: &ContentIndex,
    below: &[u8],
    sink: &mut impl Write,
) -> Result<()> {
    let directories = Directories::new(directory);
    let mut rest = index.entries();
    while !rest.is_empty() {
        let (window, after) = rest.split_at(window_length(rest));
        rest = after;
        let contents: Vec<Content> = window
            .par_iter()
            .with_min_len(16)
            .map(|entry| read_ahead(&directories, entry))
            .collect::<Result<_>>()?;
        for (entry, content) in window.iter().zip(contents) {
            write_entry(&directories, entry, content, below, sink)?;
        }
    }
    Ok(())
}

/// Ends an archive.
///
/// # Errors
/// [`LayerError::Output`].
pub fn end_tar(mut sink: impl Write) -> Result<()> {
    put(&mut sink, &[0; 2 * BLOCK_BYTES])
}

/// The digest and the size in bytes of the tar that [`write_tar`] would write.
///
/// # Errors
/// As [`write_tar`].
pub fn tar_digest(directory: BorrowedFd<'_>, index: &ContentIndex) -> Result<(DiffId, u64)> {
    write_hashed(|sink| write_tar(directory, index, sink))
}

/// Writes the tar that [`write_tar`] would write, and tells its digest and its size in bytes: the files are read once for both.
///
/// # Errors
/// As [`write_tar`].
pub fn write_digested_tar(
    directory: BorrowedFd<'_>,
    index: &ContentIndex,
    sink: impl Write,
) -> Result<(DiffId, u64)> {
    let mut digesting = Digesting {
        sink,
        digester: Digester::new(),
    };
    write_tar(directory, index, &mut digesting)?;
    let digester = digesting.digester;
    let size = digester.written();
    Ok((DiffId(digester.finish()), size))
}

/// A sink of which all that it takes is digested.
struct Digesting<W> {
    sink: W,
    digester: Digester,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A file's bytes, if they were read ahead.
enum Content {
    None,
    Small(Vec<u8>),
    Large,
}

/// How many entries to take together.
fn window_length(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let mut length = 0;
    for entry in entries.iter().take(AHEAD_ENTRIES) {
        if let EntryKind::File { size, .. } = entry.kind
            && size <= SMALL_FILE_BYTES
        {
            bytes += size;
        }
        length += 1;
        if bytes >= AHEAD_BYTES {
            break;
        }
    }
    length
}

fn read_ahead(directories: &Directories<BorrowedFd<'_>>, entry: &Entry) -> Result<Content> {
    let EntryKind::File { size, .. } = entry.kind else {
        return Ok(Content::None);
    };
    if size > SMALL_FILE_BYTES {
        return Ok(Content::Large);
    }
    let file = open(directories, &entry.path, size)?;
    let mut bytes = vec![0; size as usize];
    read_exact_at(file.as_fd(), &mut bytes, 0).map_err(|error| unreadable(&entry.path, error))?;
    Ok(Content::Small(bytes))
}

fn open(directories: &Directories<BorrowedFd<'_>>, path: &[u8], size: u64) -> Result<OwnedFd> {
    let file = directories.open_file(path)?;
    let stat = fstat(&file).map_err(|errno| LayerError::file("stat", path, errno))?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || stat.st_size.cast_unsigned() != size {
        return Err(LayerError::Changed {
            path: path.to_vec(),
        });
    }
    Ok(file)
}

fn unreadable(path: &[u8], error: io::Error) -> LayerError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => LayerError::Changed {
            path: path.to_vec(),
        },
        _ => LayerError::file("read", path, error),
    }
}

fn write_entry(
    directories: &Directories<BorrowedFd<'_>>,
    entry: &Entry,
    content: Content,
    below: &[u8],
    sink: &mut impl Write,
) -> Result<()> {
    let named = named_below(entry, below);
    put(sink, &headers(&named)?)?;
    match content {
        Content::None => {}
        Content::Small(bytes) => {
            put(sink, &bytes)?;
            put_padding(sink, bytes.len() as u64)?;
        }
        Content::Large => write_large(directories, entry, sink)?,
    }
    if let EntryKind::Directory {
        opaque: Opacity::Opaque,
    } = entry.kind
    {
        let mark = Entry::whiteout(join(&named.path, OPAQUE_NAME));
        put(sink, &header_blocks(&mark, &mark.path))?;
    }
    Ok(())
}

fn write_large(
    directories: &Directories<BorrowedFd<'_>>,
    entry: &Entry,
    sink: &mut impl Write,
) -> Result<()> {
    let EntryKind::File { size, .. } = entry.kind else {
        return Ok(());
    };
    let file = open(directories, &entry.path, size)?;
    let segments =
        data_segments(file.as_fd(), size).map_err(|error| unreadable(&entry.path, error))?;
    let mut at = 0;
    for (start, end) in segments {
        put_zeros(sink, start - at)?;
        at = start;
        while at < end {
            let length = (end - at).min(PIECE_BYTES as u64);
            with_piece(file.as_fd(), at, length, |bytes| put(sink, bytes))
                .map_err(|error| unreadable(&entry.path, error))??;
            at += length;
        }
    }
    put_zeros(sink, size - at)?;
    put_padding(sink, size)
}

/// `entry` as it is called in an archive where it stands below a directory.
fn named_below<'e>(entry: &'e Entry, below: &[u8]) -> Cow<'e, Entry> {
    if below.is_empty() {
        return Cow::Borrowed(entry);
    }
    let mut named = entry.clone();
    named.path = join(below, &entry.path);
    if let EntryKind::Hardlink { target } = &mut named.kind {
        *target = join(below, target);
    }
    Cow::Owned(named)
}

fn put(sink: &mut impl Write, bytes: &[u8]) -> Result<()> {
    sink.write_all(bytes).map_err(LayerError::Output)
}

fn put_padding(sink: &mut impl Write, size: u64) -> Result<()> {
    put(sink, &[0; BLOCK_BYTES][..padding(size)])
}

fn put_zeros(sink: &mut impl Write, mut count: u64) -> Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    while count > 0 {
        let length = count.min(ZEROS.len() as u64);
        put(sink, &ZEROS[..length as usize])?;
        count -= length;
    }
    Ok(())
}
