//! What the tests share: trees to make, layers to take in and out, and whether we may do what only root can.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rbuild_layer::{
    ContentIndex, Entry, EntryKind, Extracted, LayerError, Mtime, Opacity, OverlayFlavor,
    TreeWriter, extract, index_upper, write_tar,
};

pub(crate) type Test<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A directory that goes away with the test, on the disk and not in a tmpfs: trusted and user attributes work.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("rbuild-layer-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("the target directory can be written")
}

pub(crate) fn open(path: &Path) -> OwnedFd {
    File::open(path).expect("the directory is there").into()
}

/// A path below `root` from bytes.
pub(crate) fn at(root: &Path, name: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(name))
}

pub(crate) fn index(root: &Path) -> ContentIndex {
    index_upper(open(root).as_fd(), OverlayFlavor::current()).expect("the tree can be indexed")
}

pub(crate) fn tar_of(root: &Path) -> Vec<u8> {
    let mut tar = Vec::new();
    write_tar(open(root).as_fd(), &index(root), &mut tar).expect("the tree can be packed");
    tar
}

pub(crate) fn unpack(tar: &[u8], into: &Path) -> Result<Extracted, LayerError> {
    extract(tar, TreeWriter::new(open(into), OverlayFlavor::current())?)
}

/// The paths of an index.
pub(crate) fn paths(index: &ContentIndex) -> Vec<String> {
    index
        .entries()
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
        .collect()
}

/// Says why a test does nothing, if it does nothing.
pub(crate) fn skipped_without_root() -> bool {
    let is_root =
        rustix::process::geteuid().is_root() && OverlayFlavor::current() == OverlayFlavor::Trusted;
    if !is_root {
        let _ = writeln!(std::io::stderr(), "skipped: needs root");
    }
    !is_root
}

/// Runs a program and takes what it prints; a failure is a failed test.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Feeds `input` to a program and takes what it prints.
pub(crate) fn pipe(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    let mut stdout = child.stdout.take().expect("it was piped");
    let mut output = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        stdout
            .read_to_end(&mut output)
            .expect("the output can be read");
    });
    assert!(child.wait().expect("it ends").success(), "{command:?}");
    output
}

/// A tree with a bit of everything that needs no root.
pub(crate) fn assorted_tree(root: &Path) -> Test {
    use std::os::unix::fs::{PermissionsExt, symlink};
    fs::create_dir_all(root.join("usr/bin"))?;
    fs::create_dir_all(root.join("empty"))?;
    fs::write(root.join("usr/bin/tool"), b"#!/bin/sh\n")?;
    fs::set_permissions(
        root.join("usr/bin/tool"),
        fs::Permissions::from_mode(0o4755),
    )?;
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o1777))?;
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/again"))?;
    fs::write(root.join("usr.conf"), b"")?;
    symlink("usr/bin/tool", root.join("link"))?;
    symlink("x".repeat(300), root.join("long-link"))?;
    let name = "n".repeat(120);
    fs::write(root.join(&name), b"long name")?;
    let deep = root
        .join("d".repeat(90))
        .join("e".repeat(90))
        .join("f".repeat(200));
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("file"), vec![7; 3000])?;
    fs::write(at(root, b"not-utf8-\xff\xfe"), b"bytes")?;
    let mut sparse = File::create(root.join("sparse"))?;
    sparse.set_len(3 << 20)?;
    rustix::fs::seek(&sparse, rustix::fs::SeekFrom::Start(2 << 20))?;
    sparse.write_all(b"in the middle")?;
    let large: Vec<u8> = (0..1_500_000_u32).map(|at| (at * 31 / 7) as u8).collect();
    fs::write(root.join("large"), large)?;
    rustix::fs::mknodat(
        open(root),
        "pipe",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )?;
    Ok(())
}

pub(crate) fn entry(path: &str, kind: EntryKind) -> Entry {
    let mode = if matches!(kind, EntryKind::Directory { .. }) {
        0o755
    } else {
        0o644
    };
    Entry {
        path: path.into(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: Mtime::default(),
        xattrs: Vec::new(),
    }
}

pub(crate) fn file(path: &str, bytes: &str) -> Entry {
    let digest = blake3::hash(bytes.as_bytes()).into();
    let size = bytes.len() as u64;
    entry(path, EntryKind::File { size, digest })
}

pub(crate) fn directory(path: &str) -> Entry {
    entry(
        path,
        EntryKind::Directory {
            opaque: Opacity::Merged,
        },
    )
}

pub(crate) fn opaque(path: &str) -> Entry {
    entry(
        path,
        EntryKind::Directory {
            opaque: Opacity::Opaque,
        },
    )
}

pub(crate) fn hardlink(path: &str, target: &str) -> Entry {
    entry(
        path,
        EntryKind::Hardlink {
            target: target.into(),
        },
    )
}

pub(crate) fn layer(entries: impl IntoIterator<Item = Entry>) -> ContentIndex {
    ContentIndex::from_entries(entries.into_iter().collect())
}
