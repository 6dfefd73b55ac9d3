//! eStargz, as `docs/estargz.md` of the stargz snapshotter specifies it.
//!
//! The archive is kept byte for byte, its end included, as `BuildKit` does it: readers of tars stop there, so neither the landmark
//! nor the table of contents becomes a file of a container that knows nothing of them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use rbuild_image::{DiffId, Digest, Digester};
use tar::{EntryType, Header};

use super::ChunkedLayer;
use super::pieces::{Method, Pieces, Place, Role};
use super::stream::{Watcher, cut, settle};
use super::toc::{Entry, Table, TocChunk, TocMember};
use crate::compress::CompressionLevel;
use crate::error::{LayerError, Result};
use crate::index::entry::Mtime;
use crate::tar::member::{Member, MemberKind};
use crate::tar::{BLOCK_BYTES, padding};

/// The table's name in the archive.
const TABLE_NAME: &str = "stargz.index.json";

/// Says that no files are to be fetched ahead: nobody has watched which a container reads first.
const LANDMARK_NAME: &str = ".no.prefetch.landmark";
const LANDMARK: &[u8] = &[0x0f];

const TABLE_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";

pub(super) fn pack(
    tar: impl Read,
    sink: impl Write,
    level: CompressionLevel,
    threads: NonZeroUsize,
) -> Result<ChunkedLayer> {
    let method = Method::gzip(level);
    let mut pieces = Pieces::new(sink, method, threads);
    let mut stream = Stream::default();
    let mut members = cut(tar, &mut pieces, &mut stream)?;
    let output = LayerError::Output;
    members.push(landmark(&mut pieces, &mut stream).map_err(output)?);
    let (mut sink, table_offset, places) = pieces.finish().map_err(output)?;
    settle(&mut members, places);
    let table = table(&members);
    let archived = archive(TABLE_NAME, &table);
    stream.0.update(&archived);
    let mut compressor = method.compressor().map_err(output)?;
    let packed = compressor.compress(&archived).map_err(output)?;
    sink.write_all(&packed)
        .and_then(|()| sink.write_all(&footer(table_offset)))
        .and_then(|()| sink.flush())
        .map_err(output)?;
    let size = stream.0.written();
    Ok(ChunkedLayer {
        diff_id: DiffId(stream.0.finish()),
        annotations: BTreeMap::from([
            (TABLE_DIGEST, Digest::sha256_of(&table).to_string()),
            (UNCOMPRESSED_SIZE, size.to_string()),
        ]),
    })
}

/// The digest of all that decompressing gives.
#[derive(Default)]
struct Stream(Digester);

impl Watcher for Stream {
    fn glue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.update(bytes);
        Ok(())
    }

    fn payload(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn member(&mut self, _: &TocMember) -> io::Result<()> {
        Ok(())
    }
}

/// Adds the landmark.
fn landmark<W: Write>(pieces: &mut Pieces<W>, stream: &mut Stream) -> io::Result<TocMember> {
    let size = LANDMARK.len() as u64;
    let header = header(LANDMARK_NAME, size);
    let padding = vec![0; padding(size)];
    for bytes in [header.as_slice(), LANDMARK, &padding] {
        stream.0.update(bytes);
    }
    pieces.add(header, Role::Glue)?;
    pieces.add(LANDMARK.to_vec(), Role::Chunk)?;
    pieces.add(padding, Role::Glue)?;
    Ok(TocMember {
        member: Member {
            path: LANDMARK_NAME.as_bytes().to_vec(),
            kind: MemberKind::File { size, sparse: None },
            mode: FILE_MODE,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            xattrs: Vec::new(),
        },
        digest: None,
        chunks: vec![TocChunk {
            start: 0,
            size,
            place: None,
        }],
    })
}

const FILE_MODE: u32 = 0o644;

/// The header of a file of ours.
fn header(name: &str, size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(FILE_MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An archive of one file.
fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = header(name, bytes.len() as u64);
    archive.extend_from_slice(bytes);
    archive.resize(
        archive.len() + padding(bytes.len() as u64) + 2 * BLOCK_BYTES,
        0,
    );
    archive
}

fn table(members: &[TocMember]) -> Vec<u8> {
    let table = Table {
        version: 1,
        entries: members.iter().flat_map(entries).collect(),
        tar_split_digest: None,
    };
    serde_json::to_vec(&table).expect("a table is plain JSON")
}

/// The entries of a member: its own, which is also its first chunk's, and one for each further chunk.
fn entries(listed: &TocMember) -> Vec<Entry> {
    let mut entries = vec![Entry::of(listed)];
    let further = listed.chunks.iter().skip(1);
    entries.extend(further.map(|chunk| Entry::of_chunk(listed, chunk)));
    let last = listed.chunks.len().saturating_sub(1);
    for (number, (entry, chunk)) in entries.iter_mut().zip(&listed.chunks).enumerate() {
        // The last chunk goes to the end of the file, and says so with zero.
        entry.chunk_size = if number == last { 0 } else { chunk.size };
        if let Some(Place { offset, digest, .. }) = chunk.place {
            entry.offset = offset;
            entry.chunk_digest = Some(digest.to_string());
        }
    }
    entries
}

/// An empty gzip member that says where the table begins.
fn footer(table_offset: u64) -> Vec<u8> {
    // Deflate, with an extra field, of no time, on an unknown system.
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    let field = format!("{table_offset:016x}STARGZ");
    footer.extend_from_slice(&(field.len() as u16 + 4).to_le_bytes());
    footer.extend_from_slice(b"SG");
    footer.extend_from_slice(&(field.len() as u16).to_le_bytes());
    footer.extend_from_slice(field.as_bytes());
    // The last block, stored, of no bytes; then checksum and length of nothing.
    footer.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    footer.extend_from_slice(&[0; 8]);
    footer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_what_the_specification_draws() {
        let footer = footer(0x1234);
        assert_eq!(footer.len(), 51);
        assert_eq!(&footer[10..16], b"\x1a\0SG\x16\0");
        assert_eq!(&footer[16..38], b"0000000000001234STARGZ");
    }
}
