//! Tars: the same bytes every time, and what they carry.

use crate::support;
use std::fs;
use std::process::Command;

use crate::support::{
    Test, assorted_tree, index, open, paths, pipe, run, scratch, skipped_without_root, tar_of,
    unpack,
};
use rbuild_layer::{EntryKind, LayerError, Opacity, OverlayFlavor, tar_digest, write_tar};
use std::os::fd::AsFd;

#[test]
fn a_tree_comes_back_as_it_was_and_packs_to_the_same_bytes() -> Test {
    let (from, to) = (scratch(), scratch());
    assorted_tree(from.path())?;
    let tar = tar_of(from.path());
    let extracted = unpack(&tar, to.path())?;
    assert_eq!(
        extracted.index.content_id(),
        index(from.path()).content_id()
    );
    assert_eq!(
        index(to.path()),
        extracted.index,
        "the index is what is on disk"
    );
    assert_eq!(extracted.size, tar.len() as u64);
    assert_eq!(extracted.diff_id.0, rbuild_image::Digest::sha256_of(&tar));
    assert!(extracted.implied_directories.is_empty());
    assert_eq!(tar_of(to.path()), tar);
    let (diff_id, size) = tar_digest(open(from.path()).as_fd(), &index(from.path()))?;
    assert_eq!((diff_id, size), (extracted.diff_id, extracted.size));
    Ok(())
}

#[test]
fn holes_stay_holes() -> Test {
    use std::os::unix::fs::MetadataExt;
    let (from, to) = (scratch(), scratch());
    assorted_tree(from.path())?;
    unpack(&tar_of(from.path()), to.path())?;
    let meta = fs::metadata(to.path().join("sparse"))?;
    assert_eq!(meta.len(), 3 << 20);
    assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    Ok(())
}

#[test]
fn paths_deeper_than_the_kernel_takes_survive() -> Test {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let (from, to) = (scratch(), scratch());
    let mut directory = open(from.path());
    let name = "d".repeat(250);
    for _ in 0..20 {
        mkdirat(&directory, &*name, Mode::from_raw_mode(0o755))?;
        directory = openat(
            &directory,
            &*name,
            OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
    }
    let file = openat(
        &directory,
        "file",
        OFlags::CREATE | OFlags::WRONLY,
        Mode::from_raw_mode(0o644),
    )?;
    rustix::io::write(&file, b"down here")?;
    let tar = tar_of(from.path());
    let extracted = unpack(&tar, to.path())?;
    assert!(
        extracted
            .index
            .entries()
            .iter()
            .any(|entry| entry.path.len() > 5000)
    );
    assert_eq!(tar_of(to.path()), tar);
    Ok(())
}

#[test]
fn very_many_levels_are_no_trouble() -> Test {
    let (from, to) = (scratch(), scratch());
    let deep = vec!["d"; 1900].join("/");
    fs::create_dir_all(from.path().join(deep))?;
    let tar = tar_of(from.path());
    assert_eq!(unpack(&tar, to.path())?.index.len(), 1900);
    Ok(())
}

#[test]
fn a_file_that_changed_since_it_was_indexed_is_an_error() -> Test {
    let root = scratch();
    for size in [10, 1_000_000] {
        fs::write(root.path().join("file"), vec![1; size])?;
        let before = index(root.path());
        fs::write(root.path().join("file"), vec![1; size - 1])?;
        let error = write_tar(open(root.path()).as_fd(), &before, std::io::sink());
        assert!(
            matches!(error, Err(LayerError::Changed { .. })),
            "{error:?}"
        );
    }
    Ok(())
}

#[test]
fn a_file_replaced_by_a_link_is_not_followed() -> Test {
    let root = scratch();
    fs::write(root.path().join("file"), b"12345")?;
    let before = index(root.path());
    fs::remove_file(root.path().join("file"))?;
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("file"))?;
    assert!(write_tar(open(root.path()).as_fd(), &before, std::io::sink()).is_err());
    Ok(())
}

#[test]
fn a_name_that_would_mean_a_deletion_is_refused() -> Test {
    let root = scratch();
    fs::write(root.path().join(".wh.something"), b"")?;
    let error = write_tar(
        open(root.path()).as_fd(),
        &index(root.path()),
        std::io::sink(),
    );
    assert!(matches!(error, Err(LayerError::Entry { .. })), "{error:?}");
    Ok(())
}

#[test]
fn deletions_travel_as_whiteouts() -> Test {
    if skipped_without_root() {
        return Ok(());
    }
    let (from, to) = (scratch(), scratch());
    let tar = pipe(
        Command::new("python3").arg("-c").arg(
            "import sys, tarfile\nt = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')\n\
             def add(name, type=tarfile.REGTYPE):\n i = tarfile.TarInfo(name); i.type = type; i.mode = 0o755; t.addfile(i)\n\
             add('a', tarfile.DIRTYPE); add('a/.wh.gone'); add('b/.wh..wh..opq'); add('b/new')\n\
             add('.wh.c'); add('c/inside'); add('.wh..wh.plnk/1.2'); add('.wh.d'); add('d')\n\
             add('e', tarfile.DIRTYPE); add('.wh.e')\nt.close()",
        ),
        b"",
    );
    let extracted = unpack(&tar, from.path())?;
    assert_eq!(
        paths(&extracted.index),
        ["a", "a/gone", "b", "b/new", "c", "c/inside", "d", "e"]
    );
    let kind = |path: &[u8]| extracted.index.get(path).map(|entry| entry.kind.clone());
    assert_eq!(kind(b"a/gone"), Some(EntryKind::Whiteout));
    for path in [&b"b"[..], b"c", b"e"] {
        assert_eq!(
            kind(path),
            Some(EntryKind::Directory {
                opaque: Opacity::Opaque
            })
        );
    }
    assert_eq!(
        extracted.implied_directories,
        [b"b".to_vec(), b"c".to_vec()]
    );
    assert_eq!(
        index(from.path()).content_id(),
        extracted.index.content_id(),
        "as on disk"
    );
    let again = unpack(&tar_of(from.path()), to.path())?;
    assert_eq!(again.index.content_id(), extracted.index.content_id());
    Ok(())
}

#[test]
fn an_overlay_shows_what_the_layer_says() -> Test {
    if skipped_without_root() {
        return Ok(());
    }
    let (lower, upper, work, merged) = (scratch(), scratch(), scratch(), scratch());
    assorted_tree(lower.path())?;
    let upper_path = upper.path().join("up");
    let work_path = upper.path().join("work");
    fs::create_dir(&upper_path)?;
    fs::create_dir(&work_path)?;
    drop(work);
    let overlay = rbuild_sys::mount_overlay(
        &[lower.path()],
        Some(rbuild_sys::UpperWork {
            upper: &upper_path,
            work: &work_path,
        }),
        OverlayFlavor::current(),
    )?;
    // Change things as a step would, through the overlay.
    let inside = std::path::PathBuf::from(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&overlay)
    ));
    fs::remove_dir_all(inside.join("usr"))?;
    fs::create_dir(inside.join("usr"))?;
    fs::write(inside.join("usr/new"), b"new")?;
    fs::remove_file(inside.join("large"))?;
    fs::write(inside.join("usr.conf"), b"changed")?;
    fs::remove_file(inside.join("link"))?;
    fs::create_dir(inside.join("link"))?;
    let seen = index(&inside);
    drop(overlay);
    let changes = index(&upper_path);
    assert_eq!(
        changes.get(b"large").map(|entry| &entry.kind),
        Some(&EntryKind::Whiteout)
    );
    assert_eq!(
        changes.get(b"usr").map(|entry| &entry.kind),
        Some(&EntryKind::Directory {
            opaque: Opacity::Opaque
        })
    );
    let bottom = index(lower.path());
    let merged_index = rbuild_layer::ContentIndex::merge(&[&bottom, &changes]);
    assert_eq!(merged_index.content_id(), seen.content_id());
    // The layer, packed and unpacked, is the same to an overlay.
    let mut tar = Vec::new();
    write_tar(open(&upper_path).as_fd(), &changes, &mut tar)?;
    let extracted = unpack(&tar, merged.path())?;
    assert_eq!(extracted.index.content_id(), changes.content_id());
    let overlay = rbuild_sys::mount_overlay(
        &[merged.path(), lower.path()],
        None,
        OverlayFlavor::current(),
    )?;
    let inside = std::path::PathBuf::from(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&overlay)
    ));
    assert_eq!(index(&inside).content_id(), seen.content_id());
    Ok(())
}

#[test]
fn capabilities_and_user_attributes_travel() -> Test {
    if skipped_without_root() {
        return Ok(());
    }
    let (from, to, gnu) = (scratch(), scratch(), scratch());
    let file = from.path().join("ping");
    fs::write(&file, b"binary")?;
    std::os::unix::fs::chown(&file, Some(0), Some(0))?;
    run(Command::new("setcap").arg("cap_net_raw+ep").arg(&file));
    let strange = [&b"user.a=b%3D"[..], b"user.newline"];
    for name in strange {
        rustix::fs::setxattr(&file, name, b"1\n\0=\xff", rustix::fs::XattrFlags::empty())?;
    }
    rustix::fs::setxattr(
        from.path().join("ping"),
        "trusted.private",
        b"1",
        rustix::fs::XattrFlags::empty(),
    )?;
    let before = index(from.path());
    let names: Vec<_> = before.entries()[0]
        .xattrs
        .iter()
        .map(|(name, _)| name.as_slice())
        .collect();
    assert_eq!(
        names,
        [&b"security.capability"[..], b"user.a=b%3D", b"user.newline"]
    );
    let tar = tar_of(from.path());
    unpack(&tar, to.path())?;
    assert_eq!(index(to.path()).content_id(), before.content_id());
    let said = run(Command::new("getcap").arg(to.path().join("ping")));
    assert!(
        String::from_utf8_lossy(&said).contains("cap_net_raw"),
        "the kernel knows it"
    );
    pipe(
        Command::new("tar")
            .args(["-xp", "--xattrs", "--xattrs-include=*", "-C"])
            .arg(gnu.path()),
        &tar,
    );
    assert_eq!(index(gnu.path()).content_id(), before.content_id());
    Ok(())
}

#[test]
fn devices_owners_and_sockets() -> Test {
    use rustix::fs::{FileType, Mode, makedev, mknodat};
    if skipped_without_root() {
        return Ok(());
    }
    let (from, to) = (scratch(), scratch());
    let root = open(from.path());
    mknodat(
        &root,
        "null",
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        makedev(1, 3),
    )?;
    mknodat(
        &root,
        "disk",
        FileType::BlockDevice,
        Mode::from_raw_mode(0o600),
        makedev(259, 70_000),
    )?;
    let _socket = std::os::unix::net::UnixListener::bind(from.path().join("socket"))?;
    fs::write(from.path().join("owned"), b"")?;
    std::os::unix::fs::chown(
        from.path().join("owned"),
        Some(3_000_000),
        Some(4_000_000_000),
    )?;
    let tar = tar_of(from.path());
    let extracted = unpack(&tar, to.path())?;
    assert_eq!(paths(&extracted.index), ["disk", "null", "owned"]);
    assert_eq!(
        extracted.index.content_id(),
        index(from.path()).content_id()
    );
    assert_eq!(index(to.path()).content_id(), extracted.index.content_id());
    Ok(())
}

/// Keeps the beginning of what is written, then fails.
struct Head(Vec<u8>);

impl std::io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() > 4096 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn files_larger_than_octal_sizes_are_packed() -> Test {
    const HUGE_BYTES: u64 = 9 << 30;
    let root = scratch();
    fs::File::create(root.path().join("huge"))?.set_len(HUGE_BYTES)?;
    let digest = [0; 32];
    let kind = EntryKind::File {
        size: HUGE_BYTES,
        digest,
    };
    let index = support::layer([support::entry("huge", kind)]);
    let mut head = Head(Vec::new());
    assert!(write_tar(open(root.path()).as_fd(), &index, &mut head).is_err());
    assert!(
        head.0
            .windows(16)
            .any(|bytes| bytes == b"size=9663676416\n")
    );
    Ok(())
}

#[test]
fn the_tar_of_a_given_tree_stays_what_it_is() -> Test {
    let root = scratch();
    assorted_tree(root.path())?;
    let mut index = index(root.path());
    let entries = index
        .entries()
        .iter()
        .cloned()
        .map(|mut entry| {
            entry.mtime = rbuild_layer::Mtime {
                seconds: 1_700_000_000,
                nanoseconds: 5,
            };
            (entry.uid, entry.gid) = (0, 0);
            // Whatever the umask is.
            entry.mode &= !0o022;
            entry
        })
        .collect();
    index = rbuild_layer::ContentIndex::from_entries(entries);
    let (diff_id, _) = tar_digest(open(root.path()).as_fd(), &index)?;
    // Every layer's diffID depends on this; see tar/write.rs.
    assert_eq!(
        diff_id.to_string(),
        "sha256:99c4d86cbf7e58e9343030b29aa5e867995743ea9a9a78ca093af81dba861d02"
    );
    Ok(())
}
