//! What a build relies on when it walks a directory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use rbuild_layer::{Entry, EntryKind};
use rbuild_source::{Context, ContextTree, IgnoreRules, Needed, SourceError, Trust};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn walk_with(root: &Path, rules: &str, needed: &Needed, cache: Option<&Path>) -> ContextTree {
    let rules = IgnoreRules::parse(rules.as_bytes(), ".dockerignore").unwrap();
    Context::open(root, rules)
        .unwrap()
        .walk(needed, cache)
        .unwrap()
}

fn walk(root: &Path) -> ContextTree {
    walk_with(root, "", &Needed::All, None)
}

fn paths(tree: &ContextTree) -> Vec<String> {
    tree.index()
        .entries()
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
        .collect()
}

fn needed(paths: &[&str]) -> Needed {
    Needed::Paths(paths.iter().map(|path| path.as_bytes().to_vec()).collect())
}

fn get<'a>(tree: &'a ContextTree, path: &str) -> &'a Entry {
    tree.index()
        .get(path.as_bytes())
        .unwrap_or_else(|| panic!("{path} is in {:?}", paths(tree)))
}

/// Longer than the clock's tick: what was written before is settled after.
fn settle() {
    std::thread::sleep(Duration::from_millis(45));
}

#[test]
fn a_tree_is_sorted_owned_by_root_and_keeps_modes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "b/x", "1");
    write(dir.path(), "b.c", "2");
    write(dir.path(), "a", "3");
    fs::hard_link(dir.path().join("a"), dir.path().join("z")).unwrap();
    fs::set_permissions(dir.path().join("a"), PermissionsExt::from_mode(0o4711)).unwrap();
    symlink("nowhere", dir.path().join("link")).unwrap();
    let tree = walk(dir.path());
    assert_eq!(paths(&tree), ["a", "b", "b/x", "b.c", "link", "z"]);
    assert!(
        tree.index()
            .entries()
            .iter()
            .all(|entry| (entry.uid, entry.gid) == (0, 0))
    );
    assert_eq!(get(&tree, "a").mode, 0o4711);
    let digest: [u8; 32] = *blake3::hash(b"3").as_bytes();
    for name in ["a", "z"] {
        assert_eq!(get(&tree, name).kind, EntryKind::File { size: 1, digest });
    }
    assert_eq!(
        get(&tree, "link").kind,
        EntryKind::Symlink {
            target: b"nowhere".to_vec()
        }
    );
}

#[test]
fn sockets_are_empty_files_and_pipes_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let tree = walk(dir.path());
    assert_eq!(paths(&tree), ["pipe", "socket"]);
    assert_eq!(get(&tree, "pipe").kind, EntryKind::Fifo);
    assert!(matches!(
        get(&tree, "socket").kind,
        EntryKind::File { size: 0, .. }
    ));
}

#[test]
fn ignored_directories_are_there_only_for_what_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["out/a", "out/keep/b", "src/x.c", "src/x.o", "logs/l"] {
        write(dir.path(), path, path);
    }
    let tree = walk_with(
        dir.path(),
        "out\n!out/keep\n**/*.o\nlogs\n",
        &Needed::All,
        None,
    );
    assert_eq!(
        paths(&tree),
        ["out", "out/keep", "out/keep/b", "src", "src/x.c"]
    );
    let tree = walk_with(dir.path(), "out\n!out/none\n", &Needed::All, None);
    assert_eq!(
        paths(&tree),
        ["logs", "logs/l", "src", "src/x.c", "src/x.o"]
    );
}

#[test]
fn only_what_is_needed_is_walked() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["app/a.go", "app/a.rs", "app/sub/b.go", "go.mod", "docs/x"] {
        write(dir.path(), path, path);
    }
    let tree = walk_with(
        dir.path(),
        "",
        &needed(&["app/*.go", "/go.mod", "gone"]),
        None,
    );
    assert_eq!(paths(&tree), ["app", "app/a.go", "go.mod"]);
    let tree = walk_with(dir.path(), "", &needed(&["./app/"]), None);
    assert_eq!(
        paths(&tree),
        ["app", "app/a.go", "app/a.rs", "app/sub", "app/sub/b.go"]
    );
}

#[test]
fn links_among_the_sources_are_followed_inside_the_context() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "real/deep/file", "x");
    write(dir.path(), "other", "x");
    symlink("real", dir.path().join("one")).unwrap();
    symlink("/one/deep", dir.path().join("two")).unwrap();
    symlink("../../../../etc/passwd", dir.path().join("out")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    symlink("grow/grow", dir.path().join("grow")).unwrap();
    let tree = walk_with(
        dir.path(),
        "",
        &needed(&["two/file", "out", "loop/x", "grow"]),
        None,
    );
    assert_eq!(
        paths(&tree),
        [
            "grow",
            "loop",
            "one",
            "out",
            "real",
            "real/deep",
            "real/deep/file",
            "two"
        ]
    );
}

#[test]
fn links_never_lead_the_walk_out_of_the_context() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc", dir.path().join("etc")).unwrap();
    let tree = walk(dir.path());
    assert_eq!(paths(&tree), ["etc"]);
    write(dir.path(), "file", "x");
    let tree = walk(dir.path());
    fs::remove_file(dir.path().join("file")).unwrap();
    symlink("/etc/passwd", dir.path().join("file")).unwrap();
    assert!(matches!(
        tree.open_file(b"file"),
        Err(SourceError::ChangedContext { .. })
    ));
}

#[test]
fn names_of_any_bytes_and_xattrs_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xE9\n");
    fs::write(dir.path().join(name), "x").unwrap();
    let cache = dir.path().with_extension("cache");
    let with_xattr = rustix::fs::setxattr(
        dir.path().join(name),
        "user.test",
        b"1",
        rustix::fs::XattrFlags::empty(),
    );
    settle();
    for _ in 0..2 {
        let tree = walk_with(dir.path(), "", &Needed::All, Some(&cache));
        let entry = tree.index().get(b"caf\xE9\n").unwrap();
        if with_xattr.is_ok() {
            assert_eq!(entry.xattr(b"user.test"), Some(&b"1"[..]));
        }
    }
    fs::remove_file(cache).unwrap();
}

#[test]
fn a_path_too_long_to_name_is_an_error_unless_it_is_ignored() {
    // In memory where there is such a place: a disk takes half a minute for so many directories.
    let dir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let mut at: std::os::fd::OwnedFd = File::open(dir.path()).unwrap().into();
    for _ in 0..10_000 {
        rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
        at = rustix::fs::openat(
            &at,
            "d",
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
    }
    let error = Context::open(dir.path(), IgnoreRules::none())
        .unwrap()
        .walk(&Needed::All, None)
        .unwrap_err();
    assert!(matches!(error, SourceError::ReadContext { .. }), "{error}");
    assert!(paths(&walk_with(dir.path(), "d\n", &Needed::All, None)).is_empty());
    // Neither the standard library nor we can name what is that deep.
    assert!(
        std::process::Command::new("rm")
            .arg("-rf")
            .arg(dir.path().join("d"))
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn many_open_directories_do_not_use_up_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().to_owned();
    for _ in 0..600 {
        path.push("d");
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("e")).unwrap();
        fs::write(path.join("e/f"), "x").unwrap();
    }
    assert_eq!(walk(dir.path()).index().len(), 1800);
}

#[test]
fn an_unreadable_file_is_an_error_only_if_it_is_needed() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root can read every file");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "secret", "x");
    write(dir.path(), "open", "x");
    fs::set_permissions(dir.path().join("secret"), PermissionsExt::from_mode(0o000)).unwrap();
    let context = Context::open(dir.path(), IgnoreRules::none()).unwrap();
    let error = context.walk(&Needed::All, None).unwrap_err();
    assert!(error.to_string().contains("read secret"), "{error}");
    assert!(context.walk(&needed(&["open"]), None).is_ok());
    assert_eq!(
        paths(&walk_with(dir.path(), "secret", &Needed::All, None)),
        ["open"]
    );
}

#[test]
fn the_ignore_file_of_the_dockerfile_replaces_that_of_the_context() {
    let dir = tempfile::tempdir().unwrap();
    let dockerfile = dir.path().join("app.Dockerfile");
    let load = || IgnoreRules::load(dir.path(), Some(&dockerfile)).unwrap();
    assert!(load().is_empty());
    write(dir.path(), ".dockerignore", "a\n");
    assert!(load().ignores(b"a"));
    write(dir.path(), "app.Dockerfile.dockerignore", "b\n");
    assert!(load().ignores(b"b") && !load().ignores(b"a"));
    write(dir.path(), "app.Dockerfile.dockerignore", "");
    assert!(!load().ignores(b"a"));
    write(dir.path(), ".dockerignore", "[\n");
    let error = IgnoreRules::load(dir.path(), None).unwrap_err();
    assert!(error.to_string().ends_with(".dockerignore:1"), "{error}");
}

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
