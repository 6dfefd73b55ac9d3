//! eStargz and zstd:chunked, read by the rules of their specifications and by whoever does not know them.

use std::io::Read;
use std::num::NonZeroUsize;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rbuild_image::{Compression, DiffId, Digest};
use rbuild_layer::{
    ChunkedForm, ChunkedLayer, CompressionLevel, LayerError, OverlayFlavor, TreeWriter, decompress,
    extract, pack_chunked, pack_chunked_with_threads,
};
use serde_json::Value;

use crate::compression::sample;
use crate::support::{Test, pipe};

/// More than two chunks.
const LARGE_BYTES: usize = (9 << 20) + 5;

fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, kind, link: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(7);
        header.set_mtime(1_700_000_000);
        if link.is_empty() {
            tar.append_data(&mut header, name, bytes).expect("memory");
        } else {
            tar.append_link(&mut header, name, link).expect("memory");
        }
    };
    let long = format!("{}/name", "long".repeat(40));
    put("dir/", tar::EntryType::Directory, "", b"");
    put("dir/empty", tar::EntryType::Regular, "", b"");
    put(
        "dir/large",
        tar::EntryType::Regular,
        "",
        &sample(LARGE_BYTES),
    );
    put("dir/small", tar::EntryType::Regular, "", b"small");
    put(&long, tar::EntryType::Regular, "", b"of a long name");
    put("hard", tar::EntryType::Link, "dir/small", b"");
    put("soft", tar::EntryType::Symlink, "dir/small", b"");
    tar.into_inner().expect("memory")
}

fn packed(tar: &[u8], form: ChunkedForm) -> (Vec<u8>, ChunkedLayer) {
    let mut blob = Vec::new();
    let layer = pack_chunked(tar, &mut blob, form, CompressionLevel::Default).expect("a tar");
    (blob, layer)
}

fn unpacked(blob: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    decompress(blob)
        .and_then(|mut reader| reader.read_to_end(&mut bytes).map_err(LayerError::Input))
        .expect("a valid stream");
    bytes
}

/// The one member that begins at `offset`.
fn member(blob: &[u8], offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&blob[offset as usize..]);
    reader.read_to_end(&mut bytes).expect("a gzip member");
    bytes
}

fn number(entry: &Value, field: &str) -> u64 {
    entry[field].as_u64().unwrap_or(0)
}

fn entry<'a>(table: &'a Value, name: &str) -> &'a Value {
    let mut entries = table["entries"].as_array().expect("entries").iter();
    entries
        .find(|entry| entry["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not listed"))
}

/// Footer → table → its digest → the digest of each chunk, as `docs/estargz.md` has it; gives the table.
fn verify_estargz(blob: &[u8], layer: &ChunkedLayer) -> Value {
    let footer = &blob[blob.len() - 51..];
    assert_eq!(&footer[..4], [0x1f, 0x8b, 8, 4]);
    assert_eq!(&footer[10..16], b"\x1a\0SG\x16\0");
    assert_eq!(&footer[32..38], b"STARGZ");
    let offset = std::str::from_utf8(&footer[16..32]).expect("digits");
    let offset = u64::from_str_radix(offset, 16).expect("hexadecimal");
    assert!(member(blob, blob.len() as u64 - 51).is_empty());

    let last = member(blob, offset);
    let mut archive = tar::Archive::new(&*last);
    let mut files = archive.entries().expect("a tar");
    let mut file = files.next().expect("a member").expect("a member");
    assert_eq!(file.path_bytes().as_ref(), b"stargz.index.json");
    let mut json = Vec::new();
    file.read_to_end(&mut json).expect("a table");
    assert!(files.next().is_none(), "it is the last entry");
    let told = &layer.annotations["containerd.io/snapshot/stargz/toc.digest"];
    assert_eq!(*told, Digest::sha256_of(&json).to_string());

    let table: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(table["version"], 1);
    let mut file_size = 0;
    for entry in table["entries"].as_array().expect("entries") {
        if entry["type"] == "reg" {
            file_size = number(entry, "size");
        }
        if file_size == 0 || !(entry["type"] == "reg" || entry["type"] == "chunk") {
            continue;
        }
        let start = number(entry, "chunkOffset");
        let size = match number(entry, "chunkSize") {
            0 => file_size - start,
            size => size,
        };
        let bytes = member(blob, number(entry, "offset"));
        assert_eq!(bytes.len() as u64, size, "{entry}");
        assert_eq!(
            entry["chunkDigest"],
            Digest::sha256_of(&bytes).to_string(),
            "{entry}"
        );
    }
    table
}

#[test]
fn an_estargz_layer_is_verified_chunk_by_chunk() {
    let tar = tar();
    let (blob, layer) = packed(&tar, ChunkedForm::Estargz);
    let table = verify_estargz(&blob, &layer);
    let entries = table["entries"].as_array().expect("entries").iter();
    let chunks = entries.filter(|entry| entry["type"] == "chunk").count();
    assert_eq!(chunks, 2, "the large file has three");
    let large = entry(&table, "dir/large");
    assert_eq!(
        large["digest"],
        Digest::sha256_of(&sample(LARGE_BYTES)).to_string()
    );
    assert_eq!(large["modtime"], "2023-11-14T22:13:20Z");
    assert_eq!((number(large, "mode"), number(large, "uid")), (0o644, 7));
    assert_eq!(entry(&table, "soft")["linkName"], "dir/small");
    assert_eq!(entry(&table, "hard")["type"], "hardlink");
    assert_eq!(entry(&table, "dir/")["type"], "dir");
    assert_eq!(number(entry(&table, ".no.prefetch.landmark"), "size"), 1);
}

#[test]
fn an_estargz_layer_is_the_same_layer_for_who_does_not_know_it() -> Test {
    let tar = tar();
    let (blob, layer) = packed(&tar, ChunkedForm::Estargz);
    let stream = unpacked(&blob);
    assert!(stream.starts_with(&tar), "the archive and its end");
    assert_eq!(layer.diff_id, DiffId(Digest::sha256_of(&stream)));
    assert_eq!(
        layer.annotations["io.containers.estargz.uncompressed-size"],
        stream.len().to_string()
    );
    assert_eq!(pipe(Command::new("gzip").args(["-dc"]), &blob), stream);
    let listed = pipe(Command::new("tar").args(["-tzf", "-"]), &blob);
    assert_eq!(String::from_utf8_lossy(&listed).lines().count(), 7);
    let index = |blob: &[u8]| -> Result<_, Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let root = std::fs::File::open(&directory)?;
        let writer = TreeWriter::new(root.into(), OverlayFlavor::current())?;
        let extracted = extract(decompress(blob)?, writer)?;
        Ok((extracted.diff_id, extracted.index.content_id()))
    };
    let (diff_id, content) = index(&blob)?;
    assert_eq!(diff_id, layer.diff_id);
    assert_eq!(content, index(&tar)?.1, "the same files");
    Ok(())
}

#[test]
fn a_zstd_chunked_layer_is_verified_file_by_file() {
    let tar = tar();
    let (blob, layer) = packed(&tar, ChunkedForm::ZstdChunked);
    let footer = &blob[blob.len() - 64..];
    assert_eq!(&blob[blob.len() - 72..][..8], b"\x50\x2a\x4d\x18\x40\0\0\0");
    assert_eq!(&footer[56..], b"GNUlInUx");
    let numbers: Vec<u64> = footer[..56]
        .chunks(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight")))
        .collect();
    let [
        at,
        packed_size,
        size,
        kind,
        split_at,
        split_packed,
        split_size,
    ] = numbers[..]
    else {
        panic!("seven numbers")
    };
    let prefix = "io.github.containers.zstd-chunked.";
    let told = |key: &str| layer.annotations[&*format!("{prefix}{key}")].clone();
    assert_eq!(
        told("manifest-position"),
        format!("{at}:{packed_size}:{size}:{kind}")
    );
    assert_eq!(
        told("tarsplit-position"),
        format!("{split_at}:{split_packed}:{split_size}")
    );
    let part = |at: u64, size: u64| &blob[at as usize..(at + size) as usize];
    let packed_table = part(at, packed_size);
    assert_eq!(
        told("manifest-checksum"),
        Digest::sha256_of(packed_table).to_string()
    );
    let json = zstd::decode_all(packed_table).expect("a frame");
    assert_eq!(json.len() as u64, size);
    let table: Value = serde_json::from_slice(&json).expect("JSON");
    let split = part(split_at, split_packed);
    assert_eq!(
        table["tarSplitDigest"],
        Digest::sha256_of(split).to_string()
    );

    for entry in table["entries"].as_array().expect("entries") {
        let (offset, end) = (number(entry, "offset"), number(entry, "endOffset"));
        if entry["type"] != "reg" || offset == 0 {
            assert_eq!(entry["digest"], Value::Null);
            continue;
        }
        let bytes = zstd::decode_all(part(offset, end - offset)).expect("frames");
        assert_eq!(bytes.len() as u64, number(entry, "size"));
        assert_eq!(entry["digest"], Digest::sha256_of(&bytes).to_string());
    }
    // Segments and files' bytes together are the archive again.
    let lines = zstd::decode_all(split).expect("a frame");
    assert_eq!(lines.len() as u64, split_size);
    let mut again = Vec::new();
    for (position, line) in lines.split(|&byte| byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let line: Value = serde_json::from_slice(line).expect("JSON");
        assert_eq!(line["position"], position);
        if line["type"] == 2 {
            let payload = line["payload"].as_str().expect("bytes");
            again.extend(BASE64.decode(payload).expect("base64"));
        } else if number(&line, "size") > 0 {
            let entry = entry(&table, line["name"].as_str().expect("a name"));
            let (offset, end) = (number(entry, "offset"), number(entry, "endOffset"));
            again.extend(zstd::decode_all(part(offset, end - offset)).expect("frames"));
        }
    }
    assert!(again == tar, "tar-split gives the archive");
}

#[test]
fn a_zstd_chunked_layer_is_its_tar_for_who_does_not_know_it() -> Test {
    let tar = tar();
    let (blob, layer) = packed(&tar, ChunkedForm::ZstdChunked);
    assert!(unpacked(&blob) == tar);
    assert_eq!(layer.diff_id, DiffId(Digest::sha256_of(&tar)));
    assert_eq!(decompress(&*blob)?.compression(), Compression::Zstd);
    assert!(pipe(Command::new("zstd").args(["-dc"]), &blob) == tar);
    Ok(())
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let tar = tar();
    for form in [ChunkedForm::Estargz, ChunkedForm::ZstdChunked] {
        let with = |threads| {
            let threads = NonZeroUsize::new(threads).expect("some");
            let mut blob = Vec::new();
            let level = CompressionLevel::Of(1);
            pack_chunked_with_threads(&*tar, &mut blob, form, level, threads).expect("a tar");
            blob
        };
        assert!(with(1) == with(5), "{form:?}");
    }
}

#[test]
fn what_is_no_tar_or_ends_early_is_refused() {
    let tar = tar();
    for bytes in [&tar[..700], &tar[..LARGE_BYTES], b"hello".as_slice()] {
        let packed = pack_chunked(
            bytes,
            Vec::new(),
            ChunkedForm::Estargz,
            CompressionLevel::Default,
        );
        assert!(packed.is_err());
    }
}
