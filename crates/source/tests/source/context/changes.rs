//! Files that change: between walks, which a cache remembers, and in the middle of one.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use rbuild_layer::EntryKind;
use rbuild_source::{Context, ContextTree, IgnoreRules, Needed, SourceError, Trust};

use super::{get, needed, settle, walk, walk_with, write};

#[test]
fn a_file_that_changed_after_the_walk_is_not_opened_as_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "f", "one");
    settle();
    let tree = walk(dir.path());
    let file = tree.open_file(b"f").unwrap();
    assert_eq!(file.trust(), Trust::Settled);
    file.verify().unwrap();
    write(dir.path(), "f", "two");
    assert!(matches!(
        file.verify(),
        Err(SourceError::ChangedContext { .. })
    ));
    assert!(matches!(
        tree.open_file(b"f"),
        Err(SourceError::ChangedContext { .. })
    ));
    assert_eq!(
        walk(dir.path()).open_file(b"f").unwrap().trust(),
        Trust::Racy
    );
}

fn cached(root: &Path, cache: &Path) -> ContextTree {
    walk_with(root, "", &Needed::All, Some(cache))
}

#[test]
fn the_stat_cache_sees_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("context");
    let cache = dir.path().join("cache/stat");
    write(&root, "f", "one");
    write(&root, "g", "gee");
    let same_as_fresh = || assert_eq!(cached(&root, &cache).index(), walk(&root).index());
    settle();
    same_as_fresh();
    assert!(cache.exists());
    // The same size, at once, twice in a tick.
    for text in ["two", "six", "ten"] {
        write(&root, "f", text);
        same_as_fresh();
    }
    settle();
    same_as_fresh();
    // The same size and an mtime put back: ctime tells.
    let before = fs::metadata(root.join("f")).unwrap().modified().unwrap();
    write(&root, "f", "old");
    File::options()
        .write(true)
        .open(root.join("f"))
        .unwrap()
        .set_modified(before)
        .unwrap();
    same_as_fresh();
    fs::rename(root.join("g"), root.join("h")).unwrap();
    same_as_fresh();
    fs::rename(root.join("h"), root.join("f")).unwrap();
    same_as_fresh();
    settle();
    same_as_fresh();
    fs::remove_file(root.join("f")).unwrap();
    same_as_fresh();
}

#[test]
fn a_touched_file_keeps_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("context");
    let cache = dir.path().join("stat");
    write(&root, "f", "one");
    settle();
    let first = cached(&root, &cache);
    File::options()
        .write(true)
        .open(root.join("f"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    settle();
    let second = cached(&root, &cache);
    assert_eq!(get(&first, "f").kind, get(&second, "f").kind);
    assert_eq!(first.index().content_id(), second.index().content_id());
}

#[test]
fn the_stat_cache_saves_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("context");
    let cache = dir.path().join("stat");
    write(&root, "f", "one");
    write(&root, "sub/g", "one");
    settle();
    cached(&root, &cache);
    let written = fs::read(&cache).unwrap();
    // Forge the digest, with its checksum, to see that it is believed and so not computed again.
    let digest = blake3::hash(b"one");
    let mut forged = written.clone();
    let at = forged
        .windows(32)
        .rposition(|window| window == digest.as_bytes())
        .unwrap();
    forged[at] ^= 0xFF;
    let checksum = blake3::hash(&forged[40..]);
    forged[8..40].copy_from_slice(checksum.as_bytes());
    fs::write(&cache, &forged).unwrap();
    let tree = cached(&root, &cache);
    assert!(get(&tree, "f").kind != get(&tree, "sub/g").kind);
    // A partial walk and other rules lose nothing.
    fs::write(&cache, &written).unwrap();
    write(&root, "new", "x");
    settle();
    walk_with(&root, "f\nsub\n", &Needed::All, Some(&cache));
    walk_with(&root, "", &needed(&["new"]), Some(&cache));
    let text = fs::read(&cache).unwrap();
    assert_eq!(
        text.windows(32)
            .filter(|window| *window == digest.as_bytes())
            .count(),
        2
    );
}

#[derive(Debug, Clone)]
enum Edit {
    Write(u8, u8),
    Remove(u8),
    Rename(u8, u8),
    Link(u8),
    Settle,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (0..6_u8, 0..4_u8).prop_map(|(file, text)| Edit::Write(file, text)),
        1 => (0..6_u8).prop_map(Edit::Remove),
        2 => (0..6_u8, 0..6_u8).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => (0..6_u8).prop_map(Edit::Link),
        1 => Just(Edit::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_cached_walk_equals_a_fresh_one(edits in proptest::collection::vec(edit(), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("context");
        let cache = dir.path().join("stat");
        fs::create_dir_all(root.join("d")).unwrap();
        let path = |file: u8| root.join(if file < 3 { format!("f{file}") } else { format!("d/f{file}") });
        for edit in edits {
            match edit {
                Edit::Write(file, text) => {
                    let _ = fs::remove_file(path(file)).and_then(|()| fs::write(path(file), "xxxx"));
                    fs::write(path(file), text.to_string().repeat(4)).unwrap();
                }
                Edit::Remove(file) => drop(fs::remove_file(path(file))),
                Edit::Rename(from, to) => drop(fs::rename(path(from), path(to))),
                Edit::Link(file) => drop(symlink("f0", path(file))),
                Edit::Settle => settle(),
            }
            let (cached, fresh) = (cached(&root, &cache), walk(&root));
            prop_assert_eq!(cached.index(), fresh.index());
        }
    }
}

#[test]
fn a_walk_among_changes_is_consistent_or_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    for file in 0..50 {
        write(&root, &format!("d{}/f{file}", file % 5), "start");
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                let path = root.join(format!("d{}/f{}", round % 5, round % 50));
                let _ = fs::remove_file(&path);
                if round % 3 > 0 {
                    let _ = fs::write(&path, "x".repeat(round % 7 * 1000));
                }
            }
        });
        for _ in 0..50 {
            match Context::open(&root, IgnoreRules::none())
                .unwrap()
                .walk(&Needed::All, None)
            {
                Ok(tree) => {
                    for entry in tree.index().entries() {
                        if let EntryKind::File { size, digest } = entry.kind {
                            let byte = if size == 5 {
                                "start".to_owned()
                            } else {
                                "x".repeat(size as usize)
                            };
                            assert_eq!(digest, *blake3::hash(byte.as_bytes()).as_bytes());
                        }
                    }
                }
                Err(SourceError::ChangedContext { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
