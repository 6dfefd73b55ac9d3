//! Who may use a cache mount at the same time, and what a new one is.
//!
//! What steps say is written apart in their commands, which are shown too.

use std::path::PathBuf;

use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::Value;

use crate::support::{Caller, Lab, Project};

/// A step that says `begun`, leaves `name` in the mount, and ends when `stop-NAME` is there.
fn holding(lab: &Lab, name: &str, sharing: &str) -> Project {
    lab.project(&format!(
        "FROM busybox\nRUN --mount=type=cache,id=c,target=/c,sharing={sharing} touch /c/{name} && echo be'gun' && until [ -e /c/stop-{name} ]; do sleep 0.02; done\n"
    ))
}

/// A step that tells what is in the mount.
fn looking(lab: &Lab, sharing: &str) -> Project {
    lab.project(&format!(
        "FROM busybox\nRUN --mount=type=cache,id=c,target=/c,sharing={sharing} ls /c > /seen && touch /c/looked\n"
    ))
}

/// Where the mount's directories are; more than one where private ones were used side by side.
fn directories(lab: &Lab) -> Vec<PathBuf> {
    let list = ["cache", "mounts", "ls", "--format", "json"];
    let listed = lab.rbuild(&list).success().stdout;
    let row: Value = serde_json::from_str(listed.trim()).expect("one mount");
    let directories = row["Directories"].as_array().expect("a list").iter();
    let paths = directories.map(|path| PathBuf::from(path.as_str().expect("a path")));
    paths.collect()
}

fn stop(lab: &Lab, name: &str) {
    let directories = directories(lab);
    let mut directories = directories.iter();
    let held = directories.find(|one| one.join(name).exists());
    std::fs::write(held.expect("a directory").join(format!("stop-{name}")), "").expect("a file");
}

#[test]
fn a_locked_mount_is_waited_for_and_taken_over_from_a_build_that_is_killed() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let mut first = lab.start_build(&holding(&lab, "one", "locked"), &[]);
    first.until_stderr_has("begun");
    // Whatever the other asks for: the one that has it wants to be alone.
    for sharing in ["locked", "shared"] {
        let project = looking(&lab, sharing);
        let mut second = lab.start_build(&project, &["--no-cache"]);
        second.until_stderr_has("waiting for cache mount c");
        second.signal(Signal::SIGINT);
        assert_eq!(second.wait().status.code(), Some(130));
    }
    let project = looking(&lab, "locked");
    let mut second = lab.start_build(&project, &["-t", "app"]);
    second.until_stderr_has("waiting for cache mount c");
    first.signal(Signal::SIGKILL);
    first.wait();
    second.wait().success();
    assert_eq!(lab.tree(&project, &[]).text("seen"), "one\n");
}

#[test]
fn a_private_mount_gives_a_second_build_a_directory_of_its_own() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let mut first = lab.start_build(&holding(&lab, "one", "private"), &[]);
    first.until_stderr_has("begun");
    let project = looking(&lab, "private");
    let seen = |arguments: &[&str]| lab.tree(&project, arguments).text("seen");
    assert_eq!(seen(&[]), "");
    assert_eq!(seen(&["--no-cache"]), "looked\n", "it is used again");
    assert_eq!(directories(&lab).len(), 2);
    stop(&lab, "one");
    first.wait().success();
    assert_eq!(
        seen(&["--no-cache"]),
        "one\nstop-one\n",
        "the first is free"
    );
    assert_eq!(directories(&lab).len(), 2);
}

#[test]
fn a_shared_mount_is_one_directory_for_builds_that_run_at_once() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let mut first = lab.start_build(&holding(&lab, "one", "shared"), &[]);
    first.until_stderr_has("begun");
    let mut second = lab.start_build(&holding(&lab, "two", "shared"), &[]);
    second.until_stderr_has("begun");
    let tree = lab.tree(&looking(&lab, "shared"), &[]);
    assert_eq!(tree.text("seen"), "one\ntwo\n");
    assert_eq!(directories(&lab).len(), 1);
    stop(&lab, "one");
    first.wait().success();
    stop(&lab, "two");
    second.wait().success();
}

#[rstest]
fn a_new_mount_has_the_owner_the_mode_and_the_files_that_were_asked_for(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(
        "FROM busybox AS seed\nRUN mkdir -p /data/sub && echo seed > /data/sub/f && chown 7:8 /data/sub && chmod 0711 /data/sub && echo outside > /data/g\n\
         FROM busybox\n\
         RUN --mount=type=cache,id=plain,target=/c stat -c %u:%g:%a /c > /plain\n\
         RUN --mount=type=cache,id=owned,target=/c,uid=1000,gid=1001,mode=0750 stat -c %u:%g:%a /c > /owned\n\
         RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/data/sub stat -c %u:%g:%a /c > /seeded && cat /c/f >> /seeded && echo more > /c/f && ls /c >> /seeded\n\
         RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/data/sub,ro cat /c/f > /again && ! touch /c/new\n\
         RUN --mount=type=cache,target=/named/./here/ touch /named/here/x\n\
         RUN --mount=type=cache,id=/named/here,target=/c ls /c > /by-target\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("plain"), "0:0:755\n");
    assert_eq!(tree.text("owned"), "1000:1001:750\n");
    assert_eq!(tree.text("seeded"), "7:8:711\nseed\nf\n");
    assert_eq!(tree.text("again"), "more\n");
    assert_eq!(tree.text("by-target"), "x\n");
    assert!(!tree.has("c") && !tree.has("named/here/x"));
}
