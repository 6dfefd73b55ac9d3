//! Archives: contexts on standard input, and what ADD unpacks.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rbuild_layer::{ContentIndex, EntryKind, OverlayFlavor, TreeWriter};
use rbuild_source::{
    Archive, ArchiveOwner, Packing, Sniffed, SourceError, StreamedContext, UnpackTarget, sniff,
};
use rstest::rstest;

fn sample() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |kind: tar::EntryType, path: &str, link: &str, data: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o750 } else { 0o640 });
        header.set_uid(12);
        header.set_gid(34);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, data.as_bytes()).unwrap();
    };
    add(tar::EntryType::Directory, "./", "", "");
    add(tar::EntryType::Directory, "d/", "", "");
    add(tar::EntryType::Regular, "d/f", "", "text");
    add(tar::EntryType::Link, "hard", "d/f", "");
    add(tar::EntryType::Symlink, "soft", "/etc", "");
    add(tar::EntryType::Regular, "soft/evil", "", "x");
    add(tar::EntryType::Regular, "../../up", "", "x");
    add(tar::EntryType::Regular, "/abs", "", "x");
    add(tar::EntryType::Regular, ".wh.d", "", "not a whiteout");
    add(tar::EntryType::Fifo, "pipe", "", "");
    tar.into_inner().unwrap()
}

/// Packed by the programs that people use.
fn packed(by: &str, data: &[u8]) -> Option<Vec<u8>> {
    if by.is_empty() {
        return Some(data.to_vec());
    }
    let mut child = Command::new(by)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let data = data.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&data).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Some(output.stdout)
}

fn file_of(data: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file
}

fn unpack(archive: &Archive, dir: &Path, owner: ArchiveOwner) -> Result<ContentIndex, SourceError> {
    let writer =
        TreeWriter::new(File::open(dir).unwrap().into(), OverlayFlavor::current()).unwrap();
    let place = |path: &[u8]| [b"opt/", path].concat();
    archive.unpack(&UnpackTarget {
        writer: &writer,
        place: &place,
        owner,
    })?;
    Ok(writer.finish().unwrap())
}

#[rstest]
#[case("", Packing::Plain)]
#[case("gzip", Packing::Gzip)]
#[case("bzip2", Packing::Bzip2)]
#[case("xz", Packing::Xz)]
#[case("zstd", Packing::Zstd)]
fn archives_are_told_by_content_and_unpacked(#[case] by: &str, #[case] packing: Packing) {
    let Some(data) = packed(by, &sample()) else {
        eprintln!("skipped: {by} is not installed");
        return;
    };
    assert_eq!(
        sniff(&data[..data.len().min(512)]),
        Sniffed::Archive(packing)
    );
    let archive = Archive::detect(&file_of(&data), "a.bin")
        .unwrap()
        .expect("it is an archive");
    assert_eq!(archive.packing(), packing);
    let dir = tempfile::tempdir().unwrap();
    let index = unpack(&archive, dir.path(), ArchiveOwner::Archived).unwrap();
    let entry = |path: &str| {
        index
            .get(path.as_bytes())
            .unwrap_or_else(|| panic!("{path}: {index:?}"))
    };
    assert_eq!(
        (
            entry("opt/d").mode,
            entry("opt/d/f").uid,
            entry("opt/d/f").gid
        ),
        (0o750, 12, 34)
    );
    assert_eq!(entry("opt/d/f").mtime.seconds, 1_000_000_000);
    assert_eq!(
        entry("opt/hard").kind,
        EntryKind::Hardlink {
            target: b"opt/d/f".to_vec()
        }
    );
    assert!(matches!(entry("opt/.wh.d").kind, EntryKind::File { .. }));
    assert_eq!(entry("opt/pipe").kind, EntryKind::Fifo);
    for path in ["opt/up", "opt/abs"] {
        assert!(matches!(entry(path).kind, EntryKind::File { .. }), "{path}");
    }
    assert!(!Path::new("/etc/evil").exists());
    assert_eq!(
        fs::read_to_string(dir.path().join("opt/d/f")).unwrap(),
        "text"
    );
}

#[test]
fn what_is_compressed_but_no_tar_is_no_archive() {
    let detect = |data: &[u8]| Archive::detect(&file_of(data), "x").unwrap().is_some();
    assert!(!detect(b""));
    assert!(!detect(b"just text"));
    assert!(!detect(&[0; 10_240]));
    assert!(!detect(&sample()[..300]));
    assert!(!detect(&[0x1F, 0x8B, 0x08, 0, 0]));
    for by in ["gzip", "bzip2", "xz", "zstd"] {
        if let Some(data) = packed(by, &b"just text, but a lot of it\n".repeat(100)) {
            assert!(!detect(&data), "{by}");
        }
    }
}

#[test]
fn an_owner_can_be_given_to_all() {
    let archive = Archive::detect(&file_of(&sample()), "x").unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let index = unpack(&archive, dir.path(), ArchiveOwner::Ids { uid: 7, gid: 8 }).unwrap();
    assert!(
        index
            .subtree(b"opt/d")
            .iter()
            .all(|entry| (entry.uid, entry.gid) == (7, 8))
    );
}

#[test]
fn a_broken_archive_is_an_error_with_its_name() {
    let Some(mut data) = packed("gzip", &sample()) else {
        return;
    };
    let half = data.len() / 2;
    data[half] ^= 0xFF;
    let file = file_of(&data);
    if let Some(archive) = Archive::detect(&file, "a.tgz").unwrap() {
        let dir = tempfile::tempdir().unwrap();
        let error = unpack(&archive, dir.path(), ArchiveOwner::Archived).unwrap_err();
        assert!(error.to_string().contains("a.tgz"), "{error}");
    }
}

#[test]
fn standard_input_is_a_context_or_a_dockerfile() {
    let dir = tempfile::tempdir().unwrap();
    let data = packed("gzip", &sample()).unwrap();
    let StreamedContext::Archive(stream) = StreamedContext::read(Cursor::new(data), "-").unwrap()
    else {
        panic!("it is an archive")
    };
    let tree = stream.unpack(dir.path()).unwrap();
    assert_eq!(tree.index().get(b"hard").unwrap().uid, 12);
    assert!(matches!(
        tree.index().get(b"hard").unwrap().kind,
        EntryKind::File { size: 4, .. }
    ));
    assert_eq!(
        std::io::read_to_string(tree.open_file(b"hard").unwrap().file()).unwrap(),
        "text"
    );

    let text = "FROM scratch\n".repeat(1000);
    match StreamedContext::read(Cursor::new(text.clone()), "-").unwrap() {
        StreamedContext::Dockerfile(read) => assert_eq!(read, text.as_bytes()),
        StreamedContext::Archive(_) => panic!("it is a Dockerfile"),
    }
    assert!(matches!(
        StreamedContext::read(std::io::empty(), "-"),
        Err(SourceError::Stdin { .. })
    ));
}
