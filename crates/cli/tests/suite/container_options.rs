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

#[test]
fn what_docker_tells_on_request_is_told() {
    let Some(lab) = lab(Caller::Root) else { return };
    let script = "echo line; echo 12345 > /tmp/file; exec sleep 1000";
    let run = [
        "run",
        "-d=true",
        "-t=false",
        "--rm=false",
        "--name",
        "one",
        "app",
        "sh",
        "-c",
        script,
    ];
    lab.rbuild(&run).success();
    while out(&lab, "logs one") != "line\n" {}
    assert_eq!(out(&lab, "logs --details one"), " line\n");
    let stamped = out(&lab, "logs --details=true -t one");
    assert!(stamped.ends_with("Z  line\n"), "{stamped}");

    let top = out(&lab, "top one");
    let titles = "UID                 PID                 PPID                C                   STIME               TTY                 TIME                CMD\n";
    assert!(top.starts_with(titles), "{top}");
    let pid = out(&lab, "inspect -f {{.State.Pid}} one");
    let top = out(&lab, "top one -o pid,args");
    assert_eq!(
        top,
        format!(
            "PID                 COMMAND\n{:<20}sleep 1000\n",
            pid.trim()
        )
    );
    let top = out(&lab, "top one aux");
    assert!(
        top.starts_with("USER ") && top.lines().count() == 2,
        "{top}"
    );
    lab.rbuild(&["top", "one", "-o", "args"])
        .says("couldn't find PID field");
    lab.rbuild(&["top", "one", "-o", "nothing"])
        .says("ps -o nothing: ");

    let sizes = out(&lab, "inspect -s -f {{.SizeRw}} one");
    assert!(
        sizes.trim().parse::<u64>().expect("a number") >= 6,
        "{sizes}"
    );
    let whole = out(&lab, "container inspect --size one");
    assert!(whole.contains("\"SizeRootFs\": "), "{whole}");
    assert!(!out(&lab, "inspect one").contains("SizeRw"));

    let told = out(&lab, "info");
    for line in [
        "Server:\n Containers: 1\n  Running: 1\n",
        " OSType: linux\n",
        " Swarm: inactive\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert_eq!(
        out(&lab, "system info --format {{.ContainersRunning}}"),
        "1\n"
    );
    lab.rbuild(&["events", "--since", "1h"])
        .failure()
        .says("there is none");
    lab.rbuild(&["rm", "-f", "one"]).success();
}

#[test]
fn containers_are_found_by_patterns_and_several_values() {
    let Some(lab) = lab(Caller::Root) else { return };
    for name in ["web", "web-two", "db"] {
        let label = format!("role={name}");
        lab.rbuild(&[
            "create", "--name", name, "--label", &label, "--label", "kept", "app", "true",
        ])
        .success();
    }
    let listed = |filters: &[&str]| {
        let mut line = vec!["ps", "-a", "--format", "{{.Names}}"];
        line.extend(filters.iter().flat_map(|filter| ["-f", filter]));
        lab.rbuild(&line).success().stdout
    };
    assert_eq!(listed(&["name=^web$"]), "web\n");
    assert_eq!(listed(&["name=web"]), "web-two\nweb\n");
    assert_eq!(listed(&["name=^web$", "name=db"]), "db\nweb\n");
    assert_eq!(listed(&["label=kept", "label=role=db"]), "db\n");
    assert_eq!(
        listed(&["label!=role=db", "status=created", "status=exited"]),
        "web-two\nweb\n"
    );
    lab.rbuild(&["ps", "-f", "status=up"])
        .says("there are created, restarting");
    lab.rbuild(&["ps", "-f", "color=red"])
        .says("there are name, id, status");
    lab.rbuild(&["volume", "create", "--label", "a=1", "one"])
        .success();
    lab.rbuild(&["volume", "create", "two"]).success();
    assert_eq!(out(&lab, "volume ls -q -f label=a"), "one\n");
    assert_eq!(out(&lab, "volume ls -q -f dangling=1 -f name=tw"), "two\n");
    let pruned = out(&lab, "volume prune -af --filter label!=a");
    assert!(pruned.starts_with("Deleted Volumes:\ntwo\n\n"), "{pruned}");
}
