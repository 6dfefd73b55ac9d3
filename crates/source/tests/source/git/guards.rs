//! What a repository cannot do, and what many clients and killed ones do not do to each other.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rbuild_source::{GitClient, GitFiles, GitOptions, GitProtocols, GitUrl, SourceError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Bench, NONE, Remote};

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
