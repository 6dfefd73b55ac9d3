//! What is found in a directory, and where the walk does not go.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use rbuild_layer::EntryKind;
use rbuild_source::{Context, IgnoreRules, Needed, SourceError};

use super::{get, needed, paths, settle, walk, walk_with, write};

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
