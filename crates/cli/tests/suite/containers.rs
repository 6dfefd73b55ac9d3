//! Containers that outlive the command that started them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::support::{Caller, Lab, Outcome, Running, mark, processes_with};

/// A place with an image `app` that has busybox in it.
pub(crate) fn lab(caller: Caller) -> Option<Lab> {
    let lab = Lab::new(caller)?;
    let project = lab.project("FROM busybox\nUSER www-data\nCMD [\"sh\"]\n");
    lab.build(&project, &["-t", "app"]);
    Some(lab)
}

/// Runs `script` as a detached container.
pub(crate) fn detached(lab: &Lab, options: &[&str], script: &str) -> Outcome {
    let command = ["app", "sh", "-c", script];
    lab.rbuild(&[&["run", "-d"], options, &command].concat())
        .success()
}

/// Waits until `logs` of the container has `text`.
fn until_logged(lab: &Lab, name: &str, text: &str) {
    let mut logs = Running::start(&mut lab.command(&["logs", "-f", name]));
    while !logs.stdout().contains(text) {
        assert!(!logs.is_over() || logs.stdout().contains(text), "{text:?}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    logs.signal(Signal::SIGKILL);
    logs.wait();
}

/// Waits until a command is connected to its container, and sleeps: nothing is left to do for it but to listen.
fn until_listening(command: &mut Running) {
    let proc = std::path::PathBuf::from(format!("/proc/{}", command.pid()));
    let is_connected = || {
        let files = std::fs::read_dir(proc.join("fd"))
            .expect("it runs")
            .flatten();
        files
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let sleeps = || {
        let stat = std::fs::read_to_string(proc.join("stat")).expect("it runs");
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('S'))
    };
    while !(is_connected() && sleeps()) {
        assert!(!command.is_over(), "it ended: {}", command.stderr());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// A field that `inspect` tells.
pub(crate) fn field(lab: &Lab, name: &str, template: &str) -> String {
    let told = lab.rbuild(&["inspect", "-f", template, name]).success();
    told.stdout.trim().to_owned()
}

#[rstest]
fn a_detached_container_lives_on_and_is_dealt_with_by_other_commands(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let mark = mark();
    let script =
        format!("trap 'echo bye; exit 4' TERM; echo out; echo err >&2; sleep {mark} & wait");
    let id = detached(&lab, &["--name", "one"], &script).stdout;
    let id = id.trim();
    assert_eq!(id.len(), 64);
    until_logged(&lab, "one", "out");

    let listed = lab.rbuild(&["ps"]).success().stdout;
    let header = listed.lines().next().unwrap_or_default();
    let columns: Vec<&str> = header.split("   ").map(str::trim).collect();
    let columns: Vec<&str> = columns
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(
        columns,
        [
            "CONTAINER ID",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "PORTS",
            "NAMES"
        ]
    );
    assert!(
        listed.contains(&id[..12]) && listed.contains("Up "),
        "{listed}"
    );
    assert_eq!(lab.rbuild(&["ps", "-q"]).success().stdout.trim(), &id[..12]);

    let refused = lab.rbuild(&["rm", "one"]).failure();
    refused.says("container is running: stop the container before removing or force remove");
    let stopped = lab.rbuild(&["stop", &id[..5]]).success();
    assert_eq!(stopped.stdout.trim(), &id[..5]);
    assert_eq!(lab.rbuild(&["wait", "one"]).success().stdout, "4\n");
    let logs = lab.rbuild(&["logs", "one"]).success();
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        ("out\nbye\n", "err\n")
    );
    assert_eq!(lab.rbuild(&["ps", "-q"]).success().stdout, "");
    let all = lab.rbuild(&["ps", "-a"]).success().stdout;
    assert!(all.contains("Exited (4)"), "{all}");
    assert_eq!(processes_with(&mark), [""; 0]);

    lab.rbuild(&["start", "one"]).success();
    until_logged(&lab, "one", "out\nbye\nout");
    lab.rbuild(&["kill", "-s", "TERM", "one"]).success();
    assert_eq!(lab.rbuild(&["wait", "one"]).success().stdout, "4\n");
    assert_eq!(lab.rbuild(&["rm", "one"]).success().stdout, "one\n");
    lab.rbuild(&["rm", "one"])
        .failure()
        .says("No such container: one");
    lab.rbuild(&["rm", "-f", "one"]).success();
}

#[test]
fn what_was_created_runs_when_it_is_started() {
    let Some(lab) = lab(Caller::Root) else { return };
    let created = lab.rbuild(&[
        "create",
        "--name",
        "later",
        "app",
        "sh",
        "-c",
        "cat; exit 6",
    ]);
    assert_eq!(created.success().stdout.trim().len(), 64);
    let listed = lab.rbuild(&["ps", "-a", "--filter", "status=created"]);
    assert!(listed.success().stdout.contains("Created"));
    let started = lab.rbuild(&["start", "-a", "later"]);
    assert_eq!(started.status.code(), Some(6), "{started}");
    lab.rbuild(&["create", "-i", "--name", "reads", "app", "cat"])
        .success();
    let arguments = ["start", "-a", "-i", "reads"];
    let echoed = lab.rbuild_with_input(&arguments, "typed\n").success();
    assert_eq!(echoed.stdout, "typed\n");
    assert_eq!(lab.rbuild(&["logs", "reads"]).success().stdout, "typed\n");
}

#[test]
fn a_followed_log_ends_with_the_container_and_can_be_asked_for_in_part() {
    let Some(lab) = lab(Caller::Root) else { return };
    detached(
        &lab,
        &["--name", "talks"],
        "for n in 1 2 3 4; do echo $n; done; read x",
    );
    detached(
        &lab,
        &["-i", "--name", "waits"],
        "echo begun; read line; echo $line",
    );
    let follower = Running::start(&mut lab.command(&["logs", "-f", "waits"]));
    lab.rbuild_with_input(&["attach", "waits"], "the end\n")
        .success();
    assert_eq!(follower.wait().success().stdout, "begun\nthe end\n");

    lab.rbuild(&["wait", "talks"]).success();
    let logs = |options: &[&str]| {
        let arguments = [&["logs"], options, &["talks"]].concat();
        lab.rbuild(&arguments).success().stdout
    };
    assert_eq!(logs(&["--tail", "2"]), "3\n4\n");
    assert_eq!(logs(&["--since", "1h"]), "1\n2\n3\n4\n");
    assert_eq!(logs(&["--until", "1h"]), "");
    let timed = logs(&["-t", "-n", "1"]);
    assert!(timed.contains('T') && timed.ends_with("Z 4\n"), "{timed}");
}

#[rstest]
fn after_its_supervisor_was_killed_a_container_is_truthfully_told_and_starts_again(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let mark = mark();
    detached(&lab, &["--name", "lost"], &format!("sleep {mark}"));
    let first = parent(
        field(&lab, "lost", "{{.State.Pid}}")
            .parse()
            .expect("a number"),
    );
    let supervisor = parent(first);
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).expect("it lives");
    assert_eq!(processes_with(&mark), [""; 0]);
    assert_eq!(
        field(&lab, "lost", "{{.State.Status}} {{.State.ExitCode}}"),
        "exited 255"
    );
    assert_eq!(lab.rbuild(&["wait", "lost"]).success().stdout, "255\n");
    lab.rbuild(&["kill", "lost"])
        .failure()
        .says("is not running");
    lab.rbuild(&["start", "lost"]).success();
    assert_eq!(field(&lab, "lost", "{{.State.Status}}"), "running");
    lab.rbuild(&["rm", "-f", "lost"]).success();
    assert_eq!(processes_with(&mark), [""; 0]);
}

/// Who started a process.
fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(')').expect("as proc(5) has it");
    let parent = fields.split_whitespace().nth(1).expect("likewise");
    parent.parse().expect("a number")
}

#[test]
fn a_container_that_fails_is_started_again_as_often_as_its_policy_says() {
    let Some(lab) = lab(Caller::Root) else { return };
    detached(
        &lab,
        &["--name", "stubborn", "--restart", "on-failure:2"],
        "echo x; exit 7",
    );
    let mut logs = Running::start(&mut lab.command(&["logs", "-f", "stubborn"]));
    while logs.stdout() != "x\nx\nx\n" {
        assert!(!logs.is_over(), "{}", logs.stdout());
    }
    logs.wait().success();
    let told = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}";
    assert_eq!(field(&lab, "stubborn", told), "exited 7 2");

    detached(
        &lab,
        &["--name", "eager", "--restart", "always"],
        "sleep 1000",
    );
    lab.rbuild(&["stop", "-t", "0", "eager"]).success();
    assert_eq!(field(&lab, "eager", told), "exited 137 0");
    let refused = lab.rbuild(&["run", "--rm", "--restart", "always", "app"]);
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.says("failed to read --restart: a container");
}

#[test]
fn a_container_that_is_to_be_removed_is_gone_when_it_ends() {
    let Some(lab) = lab(Caller::Root) else { return };
    detached(&lab, &["--rm", "--name", "brief"], "sleep 1000");
    let mut waiting = Running::start(&mut lab.command(&["wait", "brief"]));
    until_listening(&mut waiting);
    lab.rbuild(&["stop", "-t", "0", "brief"]).success();
    assert_eq!(waiting.wait().stdout, "137\n");
    assert_eq!(lab.rbuild(&["ps", "-aq"]).success().stdout, "");
    let failed = lab.rbuild(&["run", "-d", "--rm", "app", "/no/such"]);
    assert_eq!(failed.status.code(), Some(127), "{failed}");
    assert_eq!(lab.rbuild(&["ps", "-aq"]).success().stdout, "");
}

#[rstest]
fn a_further_process_has_the_containers_world_and_fence(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    detached(
        &lab,
        &["--name", "home", "-e", "A=1", "-w", "/tmp"],
        "sleep 1000",
    );
    let exec = |options: &[&str], script: &str| {
        lab.rbuild(&[&["exec"], options, &["home", "sh", "-c", script]].concat())
    };
    let out = |options: &[&str], script: &str| exec(options, script).success().stdout;
    assert_eq!(out(&[], "id -un; pwd; echo $A; hostname"), {
        let id = &field(&lab, "home", "{{.Id}}")[..12];
        format!("www-data\n/tmp\n1\n{id}\n")
    });
    let options = ["-u", "0", "-w", "/etc", "-e", "A=2"];
    assert_eq!(
        out(&options, "id -u; pwd; echo $A; echo $HOME"),
        "0\n/etc\n2\n/root\n"
    );
    assert!(out(&[], "ps").contains("sleep 1000"));
    let status = "grep -E 'CapBnd|Seccomp:' /proc/self/status";
    let fence = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let own = lab
        .rbuild(&["run", "--rm", "app", "sh", "-c", status])
        .success();
    assert_eq!(fence(&out(&[], status)), fence(&own.stdout));
    assert_ne!(
        fence(&out(&["--privileged", "-u", "0"], status)),
        fence(&own.stdout)
    );
    let piped = ["exec", "-i", "home", "cat"];
    assert_eq!(
        lab.rbuild_with_input(&piped, "through").success().stdout,
        "through"
    );

    assert_eq!(exec(&[], "exit 9").status.code(), Some(9));
    let missing = lab.rbuild(&["exec", "home", "/no/such"]);
    assert_eq!(missing.status.code(), Some(127), "{missing}");
    lab.rbuild(&["exec", "-w", "/no/such", "home", "true"])
        .failure();
    // The way out that a leaked descriptor as working directory was.
    lab.rbuild(&["exec", "-w", "/proc/self/fd/3", "home", "true"])
        .failure();
    let mark = mark();
    lab.rbuild(&["exec", "-d", "home", "sleep", &mark])
        .success();
    assert_eq!(
        lab.rbuild(&["top", "home"])
            .success()
            .stdout
            .matches(&mark)
            .count(),
        1
    );
    lab.rbuild(&["rm", "-f", "home"]).success();
    assert_eq!(processes_with(&mark), [""; 0]);
    lab.rbuild(&["exec", "home", "true"])
        .failure()
        .says("No such container: home");
}

#[test]
fn rights_are_given_and_taken_by_name() {
    let Some(lab) = lab(Caller::Root) else { return };
    let status = |options: &[&str]| {
        let script = "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\n\\t '";
        let command = ["app", "sh", "-c", script];
        lab.rbuild(&[&["run", "--rm", "-u", "0"], options, &command].concat())
            .success()
            .stdout
    };
    let default = "CapBnd:00000000a80425fbNoNewPrivs:0Seccomp:2";
    assert_eq!(status(&[]), default);
    let none = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    assert_eq!(
        status(&none),
        "CapBnd:0000000000000000NoNewPrivs:1Seccomp:2"
    );
    let more = ["--cap-add", "NET_ADMIN", "--cap-drop", "cap_mknod"];
    assert_eq!(
        status(&more),
        "CapBnd:00000000a00435fbNoNewPrivs:0Seccomp:2"
    );
    let open = ["--security-opt", "seccomp=unconfined"];
    assert_eq!(status(&open), default.replace("Seccomp:2", "Seccomp:0"));
    let refused = lab.rbuild(&["run", "--rm", "--cap-add", "NOPE", "app"]);
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    let refused = lab.rbuild(&["run", "--rm", "--mac-address", "x", "app"]);
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.says("--mac-address");
}
