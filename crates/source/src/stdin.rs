//! What comes on standard input, or from a web address as a context: an archive, or a single Dockerfile.

use std::io::{Cursor, Read};
use std::os::fd::AsFd;
use std::path::Path;

use rbuild_layer::{ContentIndex, Entry, EntryKind, OverlayFlavor, TreeWriter};

use crate::archive::{
    ArchiveOwner, BLOCK_BYTES, Packing, Positioned, UnpackTarget, is_tar_header, read_full,
    unpack_stream,
};
use crate::context::open_directory;
use crate::{ContextTree, HttpFile, SourceError};

/// A larger Dockerfile is refused: it is read into memory.
const MAX_DOCKERFILE_BYTES: u64 = 16 * 1024 * 1024;

/// What a stream turned out to be.
pub enum StreamedContext<'a> {
    /// A Dockerfile; there is no context.
    Dockerfile(Vec<u8>),
    /// A context in an archive.
    Archive(ArchiveStream<'a>),
}

/// An archive that is read from a stream.
pub struct ArchiveStream<'a> {
    stream: Box<dyn Read + Send + 'a>,
    packing: Packing,
    name: String,
}

/// What the first bytes of a stream say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// Nothing came.
    Empty,
    /// An archive.
    Archive(Packing),
    /// Text, we take it: a Dockerfile.
    Dockerfile,
}

/// What a stream is, by its first bytes: 512 of them, or all there are.
pub fn sniff(first: &[u8]) -> Sniffed {
    match Packing::of(first) {
        Packing::Plain if first.is_empty() => Sniffed::Empty,
        Packing::Plain if is_tar_header(first) => Sniffed::Archive(Packing::Plain),
        Packing::Plain => Sniffed::Dockerfile,
        packing => Sniffed::Archive(packing),
    }
}

impl<'a> StreamedContext<'a> {
    /// Reads the start of `stream`, and all of it if it is a Dockerfile. `name` stands in messages.
    pub fn read(mut stream: impl Read + Send + 'a, name: &str) -> Result<Self, SourceError> {
        let fail = |source| SourceError::ReadArchive {
            name: name.to_owned(),
            source,
        };
        let mut first = vec![0; BLOCK_BYTES];
        let count = read_full(&mut stream, &mut first).map_err(fail)?;
        first.truncate(count);
        match sniff(&first) {
            Sniffed::Empty => Err(SourceError::Stdin {
                reason: "it is empty",
            }),
            Sniffed::Archive(packing) => Ok(Self::Archive(ArchiveStream {
                stream: Box::new(Cursor::new(first).chain(stream)),
                packing,
                name: name.to_owned(),
            })),
            Sniffed::Dockerfile => {
                stream
                    .take(MAX_DOCKERFILE_BYTES + 1)
                    .read_to_end(&mut first)
                    .map_err(fail)?;
                if first.len() as u64 > MAX_DOCKERFILE_BYTES {
                    return Err(SourceError::Stdin {
                        reason: "Dockerfile exceeds maximum allowed size (and it is no archive)",
                    });
                }
                Ok(Self::Dockerfile(first))
            }
        }
    }

    /// What a file from the web is when it is used as a context.
    pub fn from_http(file: &HttpFile) -> Result<StreamedContext<'static>, SourceError> {
        let name = file.name();
        let copy = file
            .file()
            .try_clone()
            .map_err(|source| SourceError::ReadArchive {
                name: name.clone(),
                source,
            })?;
        StreamedContext::read(Positioned::new(copy), &name)
    }
}

impl ArchiveStream<'_> {
    /// Unpacks the archive into `directory`, which is empty, as a context: owners are the archive's, hard links are files.
    pub fn unpack(self, directory: &Path) -> Result<ContextTree, SourceError> {
        let unpacked = |source| SourceError::Unpack {
            name: self.name.clone(),
            source,
        };
        let opened = |source| SourceError::OpenContext {
            path: directory.to_owned(),
            source,
        };
        let root = open_directory(directory).map_err(opened)?;
        let own = root.as_fd().try_clone_to_owned().map_err(opened)?;
        let writer = TreeWriter::new(own, OverlayFlavor::current()).map_err(unpacked)?;
        let target = UnpackTarget {
            writer: &writer,
            place: &<[u8]>::to_vec,
            owner: ArchiveOwner::Archived,
        };
        unpack_stream(self.stream, self.packing, &self.name, &target)?;
        let index = writer.finish().map_err(unpacked)?;
        Ok(ContextTree::indexed(root, without_hard_links(&index)))
    }
}

fn without_hard_links(index: &ContentIndex) -> ContentIndex {
    let entries = index.entries().iter().map(|entry| match entry.kind {
        EntryKind::Hardlink { .. } => Entry {
            path: entry.path.clone(),
            ..index.resolve(entry).clone()
        },
        _ => entry.clone(),
    });
    ContentIndex::from_entries(entries.collect())
}
