//! Containers that share namespaces with the host or with each other: `--pid`, `--ipc`, `--uts`, `--cgroupns`.

use std::fs::read_link;

use rstest::rstest;

use crate::containers::lab;
use crate::support::{Caller, Lab, mark, processes_with};

/// What a namespace of this process is called.
fn of_host(kind: &str) -> String {
    let link = read_link(format!("/proc/self/ns/{kind}")).expect("the kernel has it");
    link.display().to_string()
}

/// What `command` prints in a container with these options.
fn told(lab: &Lab, options: &[&str], command: &[&str]) -> String {
    let run = [&["run", "--rm"], options, &["app"], command].concat();
    lab.rbuild(&run).success().stdout.trim().to_owned()
}

#[test]
fn a_container_that_sees_the_hosts_processes_leaves_none_of_its_own_behind() {
    let Some(lab) = lab(Caller::Root) else { return };
    let mark = mark();
    let own = std::process::id();
    let script = format!(
        "[ -d /proc/{own} ] && [ $$ != 1 ] && (sleep {mark} &) && readlink /proc/self/ns/pid"
    );
    for init in [&[][..], &["--init"]] {
        let options = [&["--pid", "host"], init].concat();
        assert_eq!(told(&lab, &options, &["sh", "-c", &script]), of_host("pid"));
        assert_eq!(processes_with(&mark), [""; 0]);
    }
    let script = format!("sleep {mark} & exec sleep {mark}");
    let start = [
        "run", "-d", "--pid", "host", "--name", "one", "app", "sh", "-c", &script,
    ];
    lab.rbuild(&start).success();
    let top = lab.rbuild(&["top", "one"]).success().stdout;
    let others = top.lines().filter(|line| !line.contains(&mark));
    assert_eq!(others.count(), 1, "{top}");
    lab.rbuild(&["rm", "-f", "one"]).success();
    assert_eq!(processes_with(&mark), [""; 0]);
    lab.assert_nothing_left();
}

#[test]
fn containers_can_share_processes_and_memory() {
    let Some(lab) = lab(Caller::Root) else { return };
    let (mark, other) = (mark(), format!("{}1", mark()));
    let script = format!("echo kept > /dev/shm/note; exec sleep {mark}");
    let start = [
        "run",
        "-d",
        "--ipc",
        "shareable",
        "--name",
        "one",
        "app",
        "sh",
        "-c",
        &script,
    ];
    lab.rbuild(&start).success();

    let script = format!("tr '\\0' ' ' < /proc/1/cmdline; (sleep {other} &)");
    let seen = told(&lab, &["--pid", "container:one"], &["sh", "-c", &script]);
    assert_eq!(seen, format!("sleep {mark}"));
    assert_eq!(processes_with(&other), [""; 0]);
    let script = "cat /dev/shm/note; echo more > /dev/shm/note; readlink /proc/self/ns/ipc";
    let seen = told(&lab, &["--ipc", "container:one"], &["sh", "-c", script]);
    let exec = [
        "exec",
        "one",
        "sh",
        "-c",
        "cat /dev/shm/note; readlink /proc/self/ns/ipc",
    ];
    let there = lab.rbuild(&exec).success().stdout;
    assert_eq!(seen.lines().next(), Some("kept"));
    assert_eq!(there.lines().next(), Some("more"));
    assert_eq!(seen.lines().nth(1), there.lines().nth(1));

    lab.rbuild(&["run", "-d", "--name", "two", "app", "sleep", &mark])
        .success();
    lab.rbuild(&["run", "--rm", "--ipc", "container:two", "app", "true"])
        .says("it was not started with --ipc shareable");
    lab.rbuild(&["rm", "-f", "one", "two"]).success();
    lab.rbuild(&["run", "--rm", "--pid", "container:one", "app", "true"])
        .says("one");
    lab.assert_nothing_left();
}

#[rstest]
fn memory_host_name_and_groups_can_be_the_hosts(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    for (option, kind) in [("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")] {
        let link = format!("/proc/self/ns/{kind}");
        assert_ne!(
            told(&lab, &[], &["readlink", &link]),
            of_host(kind),
            "{kind}"
        );
        let shared = told(&lab, &[option, "host"], &["readlink", &link]);
        assert_eq!(shared, of_host(kind), "{kind}");
    }
    let names = rustix::system::uname();
    let script = "[ $(hostname) = $HOSTNAME ] && cat /etc/hostname";
    let name = told(&lab, &["--uts", "host"], &["sh", "-c", script]);
    assert_eq!(name, names.nodename().to_string_lossy());
    let mounted = "grep -c ' /dev/shm ' /proc/mounts";
    let script = format!("{mounted}; [ -d /dev/shm ] && echo there");
    assert_eq!(
        told(&lab, &["--ipc", "none"], &["sh", "-c", &script]),
        "0\nthere"
    );

    for (options, why) in [
        (
            &["--uts", "host", "--hostname", "x"][..],
            "hostname and the UTS mode",
        ),
        (
            &["--ipc", "host", "--sysctl", "kernel.shmmax=1"],
            "--ipc makes it somebody else's",
        ),
        (
            &["--pid", "ns:/proc/1/ns/pid"],
            "private, host or container:NAME",
        ),
    ] {
        let run = [&["run", "--rm"], options, &["app", "true"]].concat();
        lab.rbuild(&run).says(why);
    }
    told(&lab, &["--userns", "host"], &["true"]);
    lab.assert_nothing_left();
}

/// Where the machine's kernel has `AppArmor`, and its tools are installed.
fn has_apparmor() -> bool {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
    enabled.is_ok_and(|value| value.starts_with(b"Y"))
        && std::path::Path::new("/usr/sbin/apparmor_parser").exists()
}

#[test]
fn where_the_host_has_apparmor_root_is_confined_by_it_unless_it_says_otherwise() {
    let Some(lab) = lab(Caller::Root) else { return };
    let with = |option: &str| lab.rbuild(&["run", "--rm", "--security-opt", option, "app", "true"]);
    if !has_apparmor() {
        with("apparmor=x").says("this machine's kernel has no AppArmor");
        return;
    }
    let create = "create --name one --security-opt no-new-privileges app";
    lab.rbuild(&create.split(' ').collect::<Vec<_>>()).success();
    let format = "{{.AppArmorProfile}} {{.HostConfig.SecurityOpt}}";
    let inspected = lab.rbuild(&["inspect", "-f", format, "one"]).success();
    assert_eq!(inspected.stdout, "rbuild-default [no-new-privileges]\n");
    lab.rbuild(&["rm", "one"]).success();
    let profile = ["cat", "/proc/self/attr/current"];
    assert_eq!(told(&lab, &[], &profile), "rbuild-default (enforce)");
    for lifted in [
        ["--security-opt", "apparmor=unconfined"].as_slice(),
        &["--privileged"],
    ] {
        assert_eq!(told(&lab, lifted, &profile), "unconfined");
    }
    let mount = [
        "--cap-add",
        "SYS_ADMIN",
        "--security-opt",
        "seccomp=unconfined",
    ];
    let tried = "mount -t tmpfs x /tmp || echo refused";
    assert_eq!(told(&lab, &mount, &["sh", "-c", tried]), "refused");
    with("apparmor=not-loaded").says("aa-status tells which are loaded");
    lab.assert_nothing_left();
}

#[test]
fn a_container_on_the_hosts_network_is_called_as_the_host_is() {
    let Some(lab) = lab(Caller::Root) else { return };
    let names = rustix::system::uname();
    let host = names.nodename().to_string_lossy();
    let on_host = ["--network", "host"];
    assert_eq!(told(&lab, &on_host, &["hostname"]), host);
    let other = ["--network", "host", "--hostname", "other"];
    assert_eq!(told(&lab, &other, &["hostname"]), "other");
    let own = told(&lab, &["--network", "none"], &["hostname"]);
    assert!(
        own.len() == 12 && own.chars().all(|digit| digit.is_ascii_hexdigit()),
        "{own}"
    );
    lab.assert_nothing_left();
}
