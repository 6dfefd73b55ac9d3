//! Locks between threads and processes, and what becomes of them when a holder is killed.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Result, role, room, spawn};
use rbuild_store::{CacheFill, CacheMountSpec, CacheSharing, Store, StoreError};

fn never() -> bool {
    false
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn holds_a_lock_until_killed() -> Result {
    let Some((root, name)) = role() else {
        return Ok(());
    };
    let store = Store::open(&root)?;
    let _guard = store.lock(&name, &never)?;
    fs::write(root.join("held"), "")?;
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

fn wait_until_held(root: &std::path::Path) {
    while !root.join("held").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_lock_excludes_other_threads_and_names_do_not_meet() -> Result {
    let room = room()?;
    let guard = room.store.lock("one", &never)?;
    assert!(room.store.try_lock("one")?.is_none());
    assert!(room.again()?.try_lock("one")?.is_none());
    assert!(room.store.try_lock("other")?.is_some());
    drop(guard);
    assert!(room.store.try_lock("one")?.is_some());
    assert_eq!(room.entries("locks")?, 0);
    Ok(())
}

#[test]
fn a_killed_holder_frees_its_lock_at_once() -> Result {
    let room = room()?;
    let mut holder = spawn("locks::holds_a_lock_until_killed", room.root(), "step")?;
    wait_until_held(room.root());
    assert!(room.store.try_lock("step")?.is_none());
    holder.kill()?;
    let killed = Instant::now();
    let guard = room.store.lock("step", &never)?;
    assert!(killed.elapsed() < Duration::from_secs(1));
    holder.wait()?;
    drop(guard);
    assert_eq!(room.entries("locks")?, 0);
    Ok(())
}

#[test]
fn waiting_for_a_lock_can_be_cancelled() -> Result {
    let room = room()?;
    let _guard = room.store.lock("step", &never)?;
    let began = Instant::now();
    let outcome = room
        .store
        .lock("step", &|| began.elapsed() > Duration::from_millis(20));
    assert!(matches!(outcome, Err(StoreError::Cancelled { .. })));
    Ok(())
}

#[test]
fn of_many_that_want_a_lock_one_has_it() -> Result {
    let room = room()?;
    let stores: Vec<_> = (0..8).map(|_| room.again()).collect::<Result<_>>()?;
    let inside = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                for _ in 0..50 {
                    let guard = store.lock("step", &never).expect("nobody cancels");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(guard);
                }
            });
        }
    });
    Ok(())
}

fn mount(id: &str, sharing: CacheSharing) -> CacheMountSpec<'_> {
    CacheMountSpec {
        id,
        seed: "",
        sharing,
        mode: 0o755,
        uid: 0,
        gid: 0,
        place: None,
    }
}

#[test]
fn shared_cache_mounts_are_one_directory_and_keep_their_files() -> Result {
    let room = room()?;
    let spec = mount("cargo", CacheSharing::Shared);
    let one = room.store.cache_mount(&spec, &never)?;
    let other = room.again()?.cache_mount(&spec, &never)?;
    assert_eq!(one.path(), other.path());
    fs::write(one.path().join("crate"), "bytes")?;
    drop((one, other));
    let later = room.store.cache_mount(&spec, &never)?;
    assert_eq!(fs::read(later.path().join("crate"))?, b"bytes");
    Ok(())
}

#[test]
fn private_cache_mounts_are_reused_only_when_free() -> Result {
    let room = room()?;
    let spec = mount("cargo", CacheSharing::Private);
    let one = room.store.cache_mount(&spec, &never)?;
    let other = room.store.cache_mount(&spec, &never)?;
    assert_ne!(one.path(), other.path());
    let path = one.path();
    drop(one);
    assert_eq!(room.store.cache_mount(&spec, &never)?.path(), path);
    Ok(())
}

#[test]
fn a_locked_cache_mount_is_waited_for() -> Result {
    let room = room()?;
    let spec = mount("cargo", CacheSharing::Locked);
    let guard = room.store.cache_mount(&spec, &never)?;
    let began = Instant::now();
    let cancelled = || began.elapsed() > Duration::from_millis(20);
    let outcome = room.store.cache_mount(&spec, &cancelled);
    assert!(matches!(outcome, Err(StoreError::Cancelled { .. })));
    drop(guard);
    let _guard = room.store.cache_mount(&spec, &never)?;
    Ok(())
}

#[test]
fn a_seed_that_was_cut_off_begins_anew() -> Result {
    let room = room()?;
    let spec = CacheMountSpec {
        seed: "blake3 of a directory",
        ..mount("cargo", CacheSharing::Shared)
    };
    let guard = room.store.cache_mount(&spec, &never)?;
    assert_eq!(guard.fill(), CacheFill::Unseeded);
    fs::write(guard.path().join("half"), "")?;
    drop(guard);
    let mut guard = room.store.cache_mount(&spec, &never)?;
    assert_eq!(guard.fill(), CacheFill::Unseeded);
    assert!(!guard.path().join("half").exists());
    fs::write(guard.path().join("whole"), "")?;
    guard.seeded()?;
    let other = room.store.cache_mount(&spec, &never)?;
    assert_eq!(other.fill(), CacheFill::Ready);
    assert!(other.path().join("whole").exists());
    Ok(())
}

#[test]
fn a_cache_mount_in_use_is_not_removed() -> Result {
    let room = room()?;
    let spec = mount("cargo", CacheSharing::Shared);
    let guard = room.store.cache_mount(&spec, &never)?;
    let listed = room.store.cache_mounts()?;
    assert_eq!(listed.len(), 1);
    assert!(listed[0].in_use);
    assert_eq!(listed[0].id, "cargo");
    assert_eq!(room.store.remove_cache_mount(&listed[0].key)?, 0);
    assert!(guard.path().exists());
    drop(guard);
    assert_eq!(room.store.remove_cache_mount(&listed[0].key)?, 1);
    assert!(room.store.cache_mounts()?.is_empty());
    assert_eq!(room.entries("mounts")?, 0);
    Ok(())
}

#[test]
fn many_takers_and_removers_of_a_cache_mount_do_not_fail() -> Result {
    let room = room()?;
    let stores: Vec<_> = (0..6).map(|_| room.again()).collect::<Result<_>>()?;
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for _ in 0..50 {
                    let sharing = [
                        CacheSharing::Shared,
                        CacheSharing::Private,
                        CacheSharing::Locked,
                    ][number % 3];
                    let guard = store
                        .cache_mount(&mount("cargo", sharing), &never)
                        .expect("taking works at any instant");
                    assert!(guard.path().exists());
                    drop(guard);
                    for one in store.cache_mounts().expect("so does listing") {
                        store.remove_cache_mount(&one.key).expect("and removing");
                    }
                }
            });
        }
    });
    Ok(())
}
