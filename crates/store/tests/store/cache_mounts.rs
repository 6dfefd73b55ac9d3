//! Cache mounts in tars and in places of the user's.

use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use crate::common::{Result, room};
use rbuild_store::{CacheMount, CacheMountSpec, CacheSharing, Store, StoreError};

fn never() -> bool {
    false
}

fn mount(store: &Store, id: &str) -> Result<CacheMount> {
    let mounts = store.cache_mounts()?;
    let mount = mounts.into_iter().find(|mount| mount.id == id);
    Ok(mount.ok_or("there is such a mount")?)
}

fn exported(store: &Store, id: &str) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    store.export_cache_mount(&mount(store, id)?, &mut tar)?;
    Ok(tar)
}

fn fill(data: &Path, names: &[&str]) -> Result {
    for name in names {
        fs::write(data.join(name), name)?;
        let epoch = std::time::SystemTime::UNIX_EPOCH;
        let file = fs::File::options().write(true).open(data.join(name))?;
        file.set_modified(epoch + std::time::Duration::from_secs(1_700_000_000))?;
    }
    fs::create_dir(data.join("sub"))?;
    symlink("../a", data.join("sub/link"))?;
    fs::hard_link(data.join("a"), data.join("sub/same"))?;
    let old = std::time::SystemTime::UNIX_EPOCH;
    Ok(fs::File::open(data.join("sub"))?.set_modified(old)?)
}

#[test]
fn the_same_files_give_the_same_tar_and_come_back_as_they_were() -> Result {
    let (one, other) = (room()?, room()?);
    for (store, names) in [(&one.store, ["a", "b"]), (&other.store, ["b", "a"])] {
        let guard = store.cache_mount(&CacheMountSpec::plain("go"), &never)?;
        fill(&guard.path(), &names)?;
    }
    let strip = |tar: Vec<u8>| -> Vec<u8> {
        // The link's own time is not ours to set.
        tar::Archive::new(Cursor::new(tar))
            .entries()
            .expect("a tar")
            .flat_map(|entry| {
                let mut entry = entry.expect("an entry");
                let mut bytes = entry.path_bytes().to_vec();
                entry.read_to_end(&mut bytes).expect("bytes");
                bytes
            })
            .collect()
    };
    let tar = exported(&one.store, "go")?;
    assert_eq!(tar, exported(&one.store, "go")?);
    assert_eq!(strip(tar.clone()), strip(exported(&other.store, "go")?));
    let spec = CacheMountSpec::plain("copy");
    one.store.import_cache_mount(&spec, tar.as_slice())?;
    assert_eq!(exported(&one.store, "copy")?, tar);
    let guard = one.store.cache_mount(&spec, &never)?;
    let (a, same) = (guard.path().join("a"), guard.path().join("sub/same"));
    assert_eq!(fs::metadata(a)?.ino(), fs::metadata(same)?.ino());
    Ok(())
}

#[test]
fn an_import_replaces_what_was_there_and_keeps_the_directorys_own_mode() -> Result {
    let room = room()?;
    let spec = CacheMountSpec {
        mode: 0o700,
        ..CacheMountSpec::plain("go")
    };
    let guard = room.store.cache_mount(&spec, &never)?;
    fs::write(guard.path().join("old"), "")?;
    let refused = room.store.import_cache_mount(&spec, &b""[..]);
    assert!(matches!(refused, Err(StoreError::CacheMountInUse { .. })));
    drop(guard);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o640);
    tar.append_data(&mut header, "deep/new", &b"new"[..])?;
    let tar = tar.into_inner()?;
    room.store.import_cache_mount(&spec, tar.as_slice())?;
    let guard = room.store.cache_mount(&spec, &never)?;
    assert!(!guard.path().join("old").exists());
    assert_eq!(fs::read(guard.path().join("deep/new"))?, b"new");
    let mode = fs::metadata(guard.path())?.permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    drop(guard);
    assert_eq!(room.entries("tmp")?, 2, "the trash and our own lease");
    Ok(())
}

#[test]
fn a_hostile_tar_writes_nowhere_else_and_leaves_the_mount_as_it_was() -> Result {
    let room = room()?;
    let spec = CacheMountSpec::plain("go");
    drop(room.store.cache_mount(&spec, &never)?);
    let outside = tempfile::tempdir()?;
    let raw = |name: &[u8], kind: tar::EntryType, link: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(0);
        let _ = header.set_device_major(8);
        let _ = header.set_device_minor(0);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let link = outside.path().as_os_str().as_encoded_bytes();
    let through = [
        raw(b"way", tar::EntryType::Symlink, link),
        raw(b"way/out", tar::EntryType::Regular, b""),
    ];
    let archives: [Vec<u8>; 5] = [
        through.concat(),
        raw(b"../../out", tar::EntryType::Regular, b""),
        raw(b"disk", tar::EntryType::Block, b""),
        raw(b".wh.gone", tar::EntryType::Regular, b""),
        b"no tar at all".to_vec(),
    ];
    for archive in archives {
        let tar = [archive, vec![0; 1024]].concat();
        // Refused, or harmless: `..` is clamped to the mount.
        let outcome = room.store.import_cache_mount(&spec, tar.as_slice());
        assert_eq!(fs::read_dir(outside.path())?.count(), 0);
        if outcome.is_err() {
            continue;
        }
        let names = exported(&room.store, "go")?;
        assert!(!names.windows(2).any(|pair| pair == b".."));
    }
    let devices = raw(b"disk", tar::EntryType::Block, b"");
    let tar = [devices, vec![0; 1024]].concat();
    let refused = room.store.import_cache_mount(&spec, tar.as_slice());
    assert!(matches!(refused, Err(StoreError::CacheMount { .. })));
    Ok(())
}

#[test]
fn a_placed_mount_is_the_users_directory_and_nothing_of_the_stores() -> Result {
    let room = room()?;
    let elsewhere = tempfile::tempdir()?;
    let place = elsewhere.path().join("made/here");
    let spec = CacheMountSpec {
        place: Some(&place),
        seed: "something",
        sharing: CacheSharing::Private,
        ..CacheMountSpec::plain("go")
    };
    let mut guard = room.store.cache_mount(&spec, &never)?;
    assert_eq!(guard.path(), place);
    assert_eq!(guard.fill(), rbuild_store::CacheFill::Unseeded);
    fs::write(place.join("seed"), "")?;
    guard.seeded()?;
    drop(guard);
    let other = CacheMountSpec {
        seed: "",
        id: "other",
        ..spec
    };
    let guard = room.store.cache_mount(&other, &never)?;
    assert!(guard.path().join("seed").exists(), "one place, one mount");
    let waits = room.again()?.cache_mount(&spec, &|| true);
    assert!(matches!(waits, Err(StoreError::Cancelled { .. })));
    drop(guard);
    assert!(room.store.cache_mounts()?.is_empty());
    room.store.empty_cache_mounts("go", Some(&place), &never)?;
    assert_eq!(fs::read_dir(&place)?.count(), 0);
    assert_eq!(
        room.store.cache_mount(&spec, &never)?.fill(),
        rbuild_store::CacheFill::Unseeded
    );
    Ok(())
}

#[test]
fn emptying_waits_for_who_uses_a_mount() -> Result {
    let room = room()?;
    let spec = CacheMountSpec::plain("go");
    let guard = room.store.cache_mount(&spec, &never)?;
    fs::write(guard.path().join("old"), "")?;
    let impatient = room.store.empty_cache_mounts("go", None, &|| true);
    assert!(matches!(impatient, Err(StoreError::Cancelled { .. })));
    assert!(guard.path().join("old").exists());
    drop(guard);
    room.store.empty_cache_mounts("go", None, &never)?;
    let guard = room.store.cache_mount(&spec, &never)?;
    assert_eq!(fs::read_dir(guard.path())?.count(), 0);
    Ok(())
}
