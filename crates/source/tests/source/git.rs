//! Git sources, from real repositories made here.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_layer::EntryKind;
use rbuild_source::{
    Authorization, GitCheckout, GitClient, GitFiles, GitOptions, GitProtocols, GitTimes, GitUrl,
    SourceError, SubmodulePolicy,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

const NONE: Authorization = Authorization::None;

struct Remote {
    dir: tempfile::TempDir,
}

impl Remote {
    fn new() -> Self {
        let remote = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        remote.git(&["init", "--quiet", "--initial-branch=main"]);
        remote
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@t",
                "-c",
                "protocol.file.allow=always",
                "-C",
            ])
            .arg(self.path())
            .args(args)
            .env("GIT_COMMITTER_DATE", "2020-01-02T03:04:05Z")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=m"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn url(&self) -> GitUrl {
        GitUrl {
            remote: format!("file://{}", self.path().display()),
            reference: None,
            subdirectory: None,
            checksum: None,
            files: None,
            submodules: None,
            times: GitTimes::Checkout,
        }
    }
}

struct Bench {
    dir: tempfile::TempDir,
    client: GitClient,
}

impl Bench {
    fn new(protocols: GitProtocols) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let client = GitClient::new(GitOptions {
            program: PathBuf::from("git"),
            cache: dir.path().join("cache"),
            environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
            ssh_agent: None,
            ssh_keys: Vec::new(),
            known_hosts: Vec::new(),
            protocols,
        });
        Self { dir, client }
    }

    fn files() -> Self {
        Self::new(GitProtocols::NetworkAndFiles)
    }

    fn try_checkout(&self, url: &GitUrl, name: &str) -> Result<GitCheckout, SourceError> {
        let commit = self.client.resolve(url, &NONE)?;
        let path = self.dir.path().join(name);
        fs::create_dir(&path).unwrap();
        self.client.checkout(url, &commit, &path, &NONE)
    }

    fn checkout(&self, url: &GitUrl, name: &str) -> Vec<String> {
        let checkout = self.try_checkout(url, name).unwrap();
        checkout
            .index
            .entries()
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
            .collect()
    }
}

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
fn files_of_this_machine_are_out_of_reach() {
    let remote = Remote::new();
    remote.commit(&[("a", "1")]);
    let bench = Bench::new(GitProtocols::Network);
    let error = bench.try_checkout(&remote.url(), "x").unwrap_err();
    assert!(error.to_string().contains("not allowed"), "{error}");
    let external = GitUrl {
        remote: "ext::sh -c touch% /tmp/owned".to_owned(),
        ..remote.url()
    };
    assert!(bench.client.resolve(&external, &NONE).is_err());
    let option = GitUrl {
        remote: "--upload-pack=touch /tmp/owned".to_owned(),
        ..remote.url()
    };
    assert!(bench.client.resolve(&option, &NONE).is_err());
    let option = GitUrl {
        reference: Some("--upload-pack=touch /tmp/owned".to_owned()),
        ..remote.url()
    };
    assert!(Bench::files().client.resolve(&option, &NONE).is_err());
    assert!(!Path::new("/tmp/owned").exists());
}

#[test]
fn hooks_and_filters_of_a_repository_do_not_run() {
    let remote = Remote::new();
    remote.commit(&[(".gitattributes", "* filter=evil\n"), ("a", "1")]);
    remote.git(&[
        "config",
        "filter.evil.smudge",
        "touch /tmp/rbuild-smudged; cat",
    ]);
    let hook = remote.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ntouch /tmp/rbuild-hooked\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let bench = Bench::files();
    let url = GitUrl {
        files: Some(GitFiles::Repository),
        ..remote.url()
    };
    bench.checkout(&url, "kept");
    assert!(
        !Path::new("/tmp/rbuild-smudged").exists() && !Path::new("/tmp/rbuild-hooked").exists()
    );
}

#[test]
fn many_checkouts_of_one_remote_at_once_succeed() {
    let remote = Remote::new();
    remote.commit(&[("a", "1")]);
    let bench = Bench::files();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (bench, remote) = (&bench, &remote);
            scope.spawn(move || {
                assert_eq!(bench.checkout(&remote.url(), &number.to_string()), ["a"]);
            });
        }
    });
}

/// Waits for the end of a process. Its files are closed a little before it is gone, so that who waits for its output may be
/// faster.
fn await_end(process: &OwnedFd) {
    poll(&mut [PollFd::new(process, PollFlags::IN)], None).unwrap();
}

#[test]
fn a_client_that_is_stopped_ends_git_and_what_git_started() {
    let dir = tempfile::tempdir().unwrap();
    let (program, started) = (dir.path().join("git"), dir.path().join("started"));
    // A helper of git's that hangs, and git waiting for it.
    let script = format!(
        "#!/bin/sh\nsleep 1000 &\necho $! > {}.part\nmv {0}.part {0}\nwait\n",
        started.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let client = GitClient::new(GitOptions {
        program,
        cache: dir.path().join("cache"),
        environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        ssh_agent: None,
        ssh_keys: Vec::new(),
        known_hosts: Vec::new(),
        protocols: GitProtocols::Network,
    });
    let url = GitUrl {
        remote: "https://example.invalid/x.git".to_owned(),
        ..Remote::new().url()
    };
    let waiting = {
        let (client, url) = (client.clone(), url.clone());
        std::thread::spawn(move || client.resolve(&url, &NONE))
    };
    while !started.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let helper = fs::read_to_string(&started).unwrap();
    let helper = Pid::from_raw(helper.trim().parse().unwrap()).unwrap();
    let helper = pidfd_open(helper, PidfdFlags::empty()).unwrap();
    client.stop();
    let ended = waiting.join().unwrap().unwrap_err();
    assert!(matches!(ended, SourceError::Stopped { .. }), "{ended}");
    await_end(&helper);
    let later = client.resolve(&url, &NONE).unwrap_err();
    assert!(matches!(later, SourceError::Stopped { .. }), "{later}");
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

#[test]
fn what_a_killed_git_had_locked_is_in_nobodys_way() {
    let remote = Remote::new();
    remote.commit(&[("f", "one")]);
    let bench = Bench::files();
    let locked = |names: &[&str]| {
        let cache = bench.dir.path().join("cache");
        for clone in fs::read_dir(&cache).into_iter().flatten().flatten() {
            let clone = clone.path();
            for name in names.iter().filter(|_| clone.is_dir()) {
                fs::write(clone.join(name), "").unwrap();
            }
        }
    };
    let url = remote.url();
    bench.checkout(&url, "one");
    remote.commit(&[("f", "two")]);
    locked(&["shallow.lock", "config.lock", "refs/rbuild/x.lock"]);
    bench.checkout(&url, "two");
    let two = bench.dir.path().join("two/f");
    assert_eq!(fs::read_to_string(two).unwrap(), "two");
}
