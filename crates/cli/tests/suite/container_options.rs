//! Options of containers that scripts use: single streams, other limits while it runs, sizes.

use crate::containers::lab;
use crate::support::{Caller, Lab};

/// What a command prints.
fn out(lab: &Lab, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    lab.rbuild(&words).success().stdout
}

#[test]
fn only_the_streams_that_are_asked_for_are_connected() {
    let Some(lab) = lab(Caller::Root) else { return };
    let script = ["app", "sh", "-c", "cat; echo out; echo err >&2"];
    let run = |options: &[&str]| {
        let told = lab
            .rbuild_with_input(&[&["run"][..], options, &script].concat(), "in\n")
            .success();
        (told.stdout, told.stderr)
    };
    let (nothing, text) = (String::new, str::to_owned);
    assert_eq!(
        run(&["--rm=true", "--interactive=false"]),
        (text("out\n"), text("err\n"))
    );
    assert_eq!(
        run(&["--rm", "-i", "-a", "stdin", "-a", "STDOUT"]),
        (text("in\nout\n"), nothing())
    );
    assert_eq!(run(&["--attach=stderr"]), (nothing(), text("err\n")));
    let (id, none) = run(&["-i", "-a", "stdin"]);
    assert_eq!((id.trim().len(), none), (64, nothing()));
    let log = lab.rbuild(&["logs", id.trim()]).success();
    assert_eq!((log.stdout, log.stderr), (text("in\nout\n"), text("err\n")));
    lab.rbuild(&["run", "-d", "-a", "stdin", "app"])
        .says("--attach and --detach");
    out(&lab, "run --name quiet --log-driver none app echo hello");
    assert_eq!(out(&lab, "logs quiet"), "");
}

#[test]
fn limits_and_policies_change_while_a_container_runs() {
    let Some(lab) = lab(Caller::Root) else { return };
    out(
        &lab,
        "run -d --name one --memory 64m --cpus 1 --restart always app sleep 1000",
    );
    assert_eq!(
        out(
            &lab,
            "update --memory 128m --pids-limit 77 --restart no one"
        ),
        "one\n"
    );
    let limit = "cd /sys/fs/cgroup; cat memory.max pids.max memory/memory.limit_in_bytes pids/pids.max 2> /dev/null; true";
    let seen = lab
        .rbuild(&["exec", "one", "sh", "-c", limit])
        .success()
        .stdout;
    if !seen.is_empty() {
        let mut lines: Vec<&str> = seen.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["134217728", "77"]);
    }
    let shown = "inspect --format {{.HostConfig.Memory}} one";
    assert_eq!(out(&lab, shown), "134217728\n");
    lab.rbuild(&["update", "one"])
        .failure()
        .says("one or more flags");
    lab.rbuild(&["update", "--memory", "1m", "one"])
        .failure()
        .says("less than 6m");
    // It is not started again: that is its policy now.
    out(&lab, "kill one");
    assert_eq!(out(&lab, "ps -q"), "");
    out(&lab, "container update --memory 32m one");
    assert_eq!(out(&lab, shown), "33554432\n");
    out(&lab, "start one");
    assert_eq!(out(&lab, "ps --filter exited=0 --format {{.Names}}"), "");
    out(&lab, "rm -f one");
}

#[test]
fn containers_are_listed_with_their_sizes_and_by_more_than_their_names() {
    let Some(lab) = lab(Caller::Root) else { return };
    out(&lab, "volume create kept");
    out(
        &lab,
        "create --name first -v kept:/kept --expose 7000/udp -p 127.0.0.1::80 app true",
    );
    lab.rbuild(&["run", "--name", "second", "app", "false"])
        .failure();
    let names = |filter: &str| {
        out(
            &lab,
            &format!("ps -a --format {{{{.Names}}}} --filter {filter}"),
        )
    };
    for (filter, expected) in [
        ("exited=1", "second\n"),
        ("volume=kept", "first\n"),
        ("volume=/kept", "first\n"),
        ("publish=80", "first\n"),
        ("expose=7000/udp", "first\n"),
        ("since=first", "second\n"),
        ("before=second", "first\n"),
    ] {
        assert_eq!(names(filter), expected, "{filter}");
    }
    let table = out(&lab, "ps -as");
    assert!(
        table
            .lines()
            .next()
            .is_some_and(|head| head.ends_with("NAMES     SIZE")),
        "{table}"
    );
    assert!(table.contains(" (virtual "), "{table}");
    let told = out(&lab, "system df -v");
    for part in [
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "Build cache usage: ",
        "kept ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    out(&lab, "rm first second");
}
