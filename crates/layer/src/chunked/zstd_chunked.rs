//! zstd:chunked, as containers/storage writes it (`pkg/chunked`).

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use rbuild_image::{DiffId, Digest, Digester};

use super::ChunkedLayer;
use super::pieces::{Method, Pieces};
use super::stream::{Watcher, cut, settle};
use super::tar_split::TarSplit;
use super::toc::{Entry, Table, TocMember};
use crate::compress::CompressionLevel;
use crate::error::{LayerError, Result};

const TABLE_CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
const TABLE_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
const TAR_SPLIT_POSITION: &str = "io.github.containers.zstd-chunked.tarsplit-position";

/// What containers/storage called the first two up to podman 4, and stargz-snapshotter does.
const OLDER_CHECKSUM: &str = "io.containers.zstd-chunked.manifest-checksum";
const OLDER_POSITION: &str = "io.containers.zstd-chunked.manifest-position";

/// What begins a frame that decoders skip; its length follows in four bytes.
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
const SKIPPABLE_HEADER_BYTES: u64 = 8;

/// The kind of table: CRFS's.
const TABLE_KIND: u64 = 1;

/// What ends a layer of this form.
const MAGIC: &[u8; 8] = b"GNUlInUx";

pub(super) fn pack(
    tar: impl Read,
    sink: impl Write,
    level: CompressionLevel,
    threads: NonZeroUsize,
) -> Result<ChunkedLayer> {
    let output = LayerError::Output;
    let method = Method::zstd(level);
    let Method::Zstd(level) = method else {
        unreachable!("it was made so")
    };
    let mut pieces = Pieces::new(sink, method, threads);
    let mut watched = Watched {
        stream: Digester::new(),
        split: TarSplit::new(level).map_err(output)?,
    };
    let mut members = cut(tar, &mut pieces, &mut watched)?;
    let (mut sink, table_frame, places) = pieces.finish().map_err(output)?;
    settle(&mut members, places);
    let (split, split_size) = watched.split.finish().map_err(output)?;
    let table = table(&members, &split);
    let mut compressor = method.compressor().map_err(output)?;
    let packed = compressor.compress(&table).map_err(output)?;
    let table_at = table_frame + SKIPPABLE_HEADER_BYTES;
    let split_at = table_at + packed.len() as u64 + SKIPPABLE_HEADER_BYTES;
    let numbers = [
        table_at,
        packed.len() as u64,
        table.len() as u64,
        TABLE_KIND,
        split_at,
        split.len() as u64,
        split_size,
    ];
    let mut footer: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    footer.extend_from_slice(MAGIC);
    for frame in [packed.as_slice(), &split, &footer] {
        put_skippable(&mut sink, frame).map_err(output)?;
    }
    sink.flush().map_err(output)?;
    let [table_at, packed_size, table_size, kind, ..] = numbers;
    let checksum = Digest::sha256_of(&packed).to_string();
    let position = format!("{table_at}:{packed_size}:{table_size}:{kind}");
    Ok(ChunkedLayer {
        diff_id: DiffId(watched.stream.finish()),
        annotations: BTreeMap::from([
            (OLDER_CHECKSUM, checksum.clone()),
            (OLDER_POSITION, position.clone()),
            (TABLE_CHECKSUM, checksum),
            (TABLE_POSITION, position),
            (
                TAR_SPLIT_POSITION,
                format!("{split_at}:{}:{split_size}", split.len()),
            ),
        ]),
    })
}

/// The digest of the tar, and what tar-split keeps of it.
struct Watched {
    stream: Digester,
    split: TarSplit,
}

impl Watcher for Watched {
    fn glue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.update(bytes);
        self.split.glue(bytes)
    }

    fn payload(&mut self, bytes: &[u8]) {
        self.stream.update(bytes);
        self.split.payload(bytes);
    }

    fn member(&mut self, member: &TocMember) -> io::Result<()> {
        self.split.member(member)
    }
}

fn table(members: &[TocMember], split: &[u8]) -> Vec<u8> {
    let table = Table {
        version: 1,
        entries: members.iter().flat_map(entries).collect(),
        tar_split_digest: Some(Digest::sha256_of(split).to_string()),
    };
    serde_json::to_vec(&table).expect("a table is plain JSON")
}

/// The entries of a member. Only where there are several chunks do entries tell of them.
fn entries(listed: &TocMember) -> Vec<Entry> {
    let mut entries = vec![Entry::of(listed)];
    let further = listed.chunks.iter().skip(1);
    entries.extend(further.map(|chunk| Entry::of_chunk(listed, chunk)));
    if listed.chunks.len() > 1 {
        for (entry, chunk) in entries.iter_mut().zip(&listed.chunks) {
            entry.chunk_size = chunk.size;
            if let Some(place) = chunk.place {
                entry.offset = place.offset;
                entry.chunk_digest = Some(place.digest.to_string());
            }
        }
    }
    let places = (listed.chunks.first(), listed.chunks.last());
    if let (Some(first), Some(last)) = places {
        entries[0].offset = first.place.map_or(0, |place| place.offset);
        entries[0].end_offset = last.place.map_or(0, |place| place.end);
    }
    entries
}

fn put_skippable(sink: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    sink.write_all(&SKIPPABLE)?;
    sink.write_all(&length.to_le_bytes())?;
    sink.write_all(bytes)
}
