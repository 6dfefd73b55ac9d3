//! Which commit is meant, and what of it is written.

use std::fs;
use std::process::Command;

use rbuild_layer::EntryKind;
use rbuild_source::{GitFiles, GitTimes, GitUrl, SourceError, SubmodulePolicy};

use super::{Bench, NONE, Remote};

#[test]
fn branches_tags_and_commits_are_resolved() {
    let remote = Remote::new();
    let first = remote.commit(&[("a", "1")]);
    remote.git(&["tag", "light"]);
    remote.git(&["tag", "--annotate", "--message=x", "heavy"]);
    remote.git(&["branch", "old"]);
    let second = remote.commit(&[("a", "2")]);
    let bench = Bench::files();
    let resolve = |reference: Option<&str>| {
        let url = GitUrl {
            reference: reference.map(str::to_owned),
            ..remote.url()
        };
        bench.client.resolve(&url, &NONE).map(|commit| commit.sha)
    };
    assert_eq!(resolve(None).unwrap(), second);
    for reference in [
        "old",
        "light",
        "heavy",
        "refs/heads/old",
        "refs/tags/heavy",
        &first,
    ] {
        assert_eq!(resolve(Some(reference)).unwrap(), first, "{reference}");
    }
    assert!(matches!(
        resolve(Some("none")),
        Err(SourceError::GitReference { .. })
    ));
    let heavy = GitUrl {
        reference: Some("heavy".to_owned()),
        ..remote.url()
    };
    let tag = bench.client.resolve(&heavy, &NONE).unwrap().tag.unwrap();
    for (checksum, fits) in [
        (first.as_str(), true),
        (&first[..8], true),
        (tag.as_str(), true),
        (second.as_str(), false),
    ] {
        let url = GitUrl {
            checksum: Some(checksum.to_owned()),
            ..heavy.clone()
        };
        assert_eq!(
            bench.client.resolve(&url, &NONE).is_ok(),
            fits,
            "{checksum}"
        );
    }
}

#[test]
fn a_checkout_has_the_files_of_the_commit_and_nothing_of_git() {
    let remote = Remote::new();
    std::os::unix::fs::symlink("a", remote.path().join("link")).unwrap();
    fs::write(remote.path().join("run.sh"), "#!").unwrap();
    fs::set_permissions(
        remote.path().join("run.sh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let first = remote.commit(&[("a", "1"), ("d/b", "2")]);
    remote.commit(&[("c", "3")]);
    let bench = Bench::files();
    assert_eq!(
        bench.checkout(&remote.url(), "head"),
        ["a", "c", "d", "d/b", "link", "run.sh"]
    );
    // An old commit, which no ref of the remote names.
    let url = GitUrl {
        reference: Some(first),
        times: GitTimes::Commit,
        ..remote.url()
    };
    let checkout = bench.try_checkout(&url, "first").unwrap();
    let entry = |path: &str| checkout.index.get(path.as_bytes()).unwrap();
    assert_eq!(
        entry("link").kind,
        EntryKind::Symlink {
            target: b"a".to_vec()
        }
    );
    assert_eq!(
        (entry("a").mode, entry("run.sh").mode, entry("d").mode),
        (0o644, 0o755, 0o755)
    );
    assert!(
        checkout
            .index
            .entries()
            .iter()
            .all(|entry| entry.mtime.seconds == 1_577_934_245 && entry.uid == 0)
    );
    assert!(checkout.index.get(b"c").is_none());
}

#[test]
fn an_empty_commit_and_a_moved_branch_can_be_checked_out() {
    let remote = Remote::new();
    remote.git(&["commit", "--quiet", "--allow-empty", "--message=m"]);
    let bench = Bench::files();
    assert!(bench.checkout(&remote.url(), "empty").is_empty());
    let url = GitUrl {
        reference: Some("main".to_owned()),
        ..remote.url()
    };
    remote.commit(&[("a", "1")]);
    let commit = bench.client.resolve(&url, &NONE).unwrap();
    // It moves on after it was resolved.
    remote.commit(&[("a", "2")]);
    let path = bench.dir.path().join("moved");
    fs::create_dir(&path).unwrap();
    bench.client.checkout(&url, &commit, &path, &NONE).unwrap();
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "1");
    // Once fetched, the remote is not needed any more.
    fs::remove_dir_all(remote.path().join(".git")).unwrap();
    let again = bench.dir.path().join("again");
    fs::create_dir(&again).unwrap();
    bench.client.checkout(&url, &commit, &again, &NONE).unwrap();
}

#[test]
fn a_subdirectory_is_moved_up_and_cannot_lead_outside() {
    let remote = Remote::new();
    std::os::unix::fs::symlink("/etc", remote.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("d/e", remote.path().join("inner")).unwrap();
    remote.commit(&[("d/e/f", "1"), ("x", "2")]);
    let bench = Bench::files();
    let at = |directory: &str| GitUrl {
        subdirectory: Some(directory.to_owned()),
        ..remote.url()
    };
    assert_eq!(bench.checkout(&at("d/e"), "1"), ["f"]);
    assert_eq!(bench.checkout(&at("inner"), "2"), ["f"]);
    for (number, directory) in ["etc", "x", "none"].into_iter().enumerate() {
        let result = bench.try_checkout(&at(directory), &format!("bad{number}"));
        assert!(
            matches!(result, Err(SourceError::GitSubdirectory { .. })),
            "{directory}"
        );
    }
}

#[test]
fn the_repository_stays_when_it_is_asked_for() {
    let remote = Remote::new();
    let sha = remote.commit(&[("a", "1")]);
    let bench = Bench::files();
    let url = GitUrl {
        files: Some(GitFiles::Repository),
        ..remote.url()
    };
    let paths = bench.checkout(&url, "kept");
    assert!(paths.contains(&".git/HEAD".to_owned()));
    let head = Command::new("git")
        .args(["-c", "safe.directory=*", "-C"])
        .arg(bench.dir.path().join("kept"))
        .args(["log", "-1", "--format=%H"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&head.stdout).trim(), sha);
    let config = fs::read_to_string(bench.dir.path().join("kept/.git/config")).unwrap();
    assert!(
        config.contains(&url.remote) && !config.contains("cache"),
        "{config}"
    );
}

#[test]
fn submodules_come_along_unless_they_are_refused() {
    let inner = Remote::new();
    inner.commit(&[("in", "1")]);
    let remote = Remote::new();
    remote.git(&["submodule", "--quiet", "add", &inner.url().remote, "sub"]);
    remote.commit(&[("a", "1")]);
    let bench = Bench::files();
    assert_eq!(
        bench.checkout(&remote.url(), "with"),
        [".gitmodules", "a", "sub", "sub/in"]
    );
    let url = GitUrl {
        submodules: Some(SubmodulePolicy::Skip),
        ..remote.url()
    };
    assert_eq!(bench.checkout(&url, "without"), [".gitmodules", "a", "sub"]);
}

#[test]
fn the_beginning_of_a_commits_name_is_found_among_all_commits() {
    let remote = Remote::new();
    let first = remote.commit(&[("a", "1")]);
    let second = remote.commit(&[("a", "2")]);
    let bench = Bench::files();
    let at = |beginning: &str, checksum: Option<&str>| GitUrl {
        reference: Some(beginning.to_owned()),
        checksum: checksum.map(str::to_owned),
        ..remote.url()
    };
    // A shallow clone of the newest first: what came before is not in it.
    bench.checkout(&at(&second, None), "newest");
    let short = &first[..8];
    let found = bench
        .client
        .resolve(&at(short, Some(short)), &NONE)
        .unwrap();
    assert_eq!(found.sha, first);
    assert!(bench.client.resolve(&at(short, None), &NONE).is_err());
}

#[test]
fn a_checksum_in_full_pins_the_commit() {
    let remote = Remote::new();
    let first = remote.commit(&[("a", "1")]);
    let bench = Bench::files();
    let pinned = GitUrl {
        reference: Some("main".to_owned()),
        checksum: Some(first.to_uppercase()),
        ..remote.url()
    };
    assert_eq!(bench.client.pinned(&pinned).unwrap().sha, first);
    assert_eq!(bench.client.held(&pinned), None);
    bench.checkout(&pinned, "one");
    assert_eq!(bench.client.held(&pinned).unwrap().sha, first);
    let by_commit = GitUrl {
        reference: Some("0".repeat(40)),
        ..pinned
    };
    assert_eq!(bench.client.pinned(&by_commit), None);
}
