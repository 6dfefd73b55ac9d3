//! A tar cut into pieces: what is between files, and files' bytes in chunks.

use std::io::{self, Read, Write};

use rbuild_image::{Digest, Digester};

use super::pieces::{Pieces, Place, Role};
use super::toc::{TocChunk, TocMember};
use crate::error::{LayerError, Result};
use crate::tar::member::MemberKind;
use crate::tar::read::TarReader;

/// The largest chunk of a file: what the stargz snapshotter's own converter makes.
pub(super) const CHUNK_BYTES: u64 = 4 << 20;

/// Told what passes by.
pub(super) trait Watcher {
    /// Headers, padding, the end of the archive.
    fn glue(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Bytes of a file.
    fn payload(&mut self, bytes: &[u8]);
    /// The glue so far ended with the headers of a member, and its bytes have passed.
    fn member(&mut self, member: &TocMember) -> io::Result<()>;
}

/// Cuts `tar` into `pieces`; gives what is in it.
pub(super) fn cut<W: Write>(
    tar: impl Read,
    pieces: &mut Pieces<W>,
    watcher: &mut impl Watcher,
) -> Result<Vec<TocMember>> {
    let mut reader = TarReader::new(Recorder {
        source: tar,
        recorded: Vec::new(),
    });
    let mut members = Vec::new();
    while let Some(member) = reader.next_member()? {
        glue(reader.source_mut().recorded(), pieces, watcher)?;
        let mut listed = TocMember {
            member,
            digest: None,
            chunks: Vec::new(),
        };
        if let MemberKind::File { size, sparse } = &listed.member.kind {
            if sparse.is_some() {
                return Err(reader.malformed("a sparse file has no place in a layer of this form"));
            }
            let mut left = *size;
            let mut whole = (left > CHUNK_BYTES).then(Digester::new);
            while left > 0 {
                let length = left.min(CHUNK_BYTES);
                let mut chunk = vec![0; length as usize];
                let mut content = reader.content(None);
                content.read_exact(&mut chunk).map_err(LayerError::Input)?;
                drop(content);
                reader.source_mut().recorded.clear();
                watcher.payload(&chunk);
                if let Some(whole) = &mut whole {
                    whole.update(&chunk);
                }
                let place = None;
                let (start, size) = (size - left, length);
                listed.chunks.push(TocChunk { start, size, place });
                pieces.add(chunk, Role::Chunk).map_err(LayerError::Output)?;
                left -= length;
            }
            listed.digest = whole.map(Digester::finish);
        }
        watcher.member(&listed).map_err(LayerError::Output)?;
        members.push(listed);
    }
    reader.end()?;
    glue(reader.source_mut().recorded(), pieces, watcher)?;
    Ok(members)
}

/// Enters where the chunks came to lie.
pub(super) fn settle(members: &mut [TocMember], places: Vec<Place>) {
    let mut places = places.into_iter();
    for member in members {
        for chunk in &mut member.chunks {
            chunk.place = places.next();
        }
        // The digest of a file that is one chunk was not computed twice.
        let only: Option<Digest> = match member.chunks.as_slice() {
            [only] => only.place.map(|place| place.digest),
            _ => None,
        };
        member.digest = member.digest.or(only);
    }
}

fn glue<W: Write>(
    bytes: Vec<u8>,
    pieces: &mut Pieces<W>,
    watcher: &mut impl Watcher,
) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    watcher.glue(&bytes).map_err(LayerError::Output)?;
    pieces.add(bytes, Role::Glue).map_err(LayerError::Output)
}

/// A source that remembers what was read of it.
struct Recorder<R> {
    source: R,
    recorded: Vec<u8>,
}

impl<R> Recorder<R> {
    /// What was read since the last call.
    fn recorded(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.recorded)
    }
}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(bytes)?;
        self.recorded.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}
