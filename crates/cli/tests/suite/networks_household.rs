//! What the commands of a normal user share: one network, and the process that keeps it.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rbuild_network::way_out;
use rbuild_sys::Packets;
use rstest::rstest;

use crate::containers::{field, lab};
use crate::networks::{SERVER, serve};
use crate::networks_default::assert_gone;
use crate::networks_without_root::{open_tunnel, own_address};
use crate::support::{Caller, Lab, Running, note_skipped};

/// How long something may take that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The process that keeps a lab's network, as a directory of /proc.
fn keeper(lab: &Lab) -> Option<PathBuf> {
    let root = lab.path("root").to_string_lossy().into_owned();
    let is_it = |path: &Path| {
        let line = std::fs::read_to_string(path.join("cmdline"));
        line.is_ok_and(|line| line.contains("--rbuild-household") && line.contains(&root))
    };
    let mut processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.find_map(|process| is_it(&process.path()).then(|| process.path()))
}

fn number(process: &Path) -> Pid {
    let name = process.file_name().and_then(|name| name.to_str());
    Pid::from_raw(name.and_then(|name| name.parse().ok()).expect("a number"))
}

/// Waits until `probe` finds something.
#[track_caller]
fn until<T>(probe: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Has a lab's keeper stay as long as the result lives, although nobody is on a network. Somebody is, when this is called.
fn hold(lab: &Lab) -> Packets {
    let directory = lab.path("root/networks");
    let link = Packets::connect(&directory, "household").expect("we may");
    link.expect("somebody is on a network")
}

/// A command that waits until somebody at `address` answers.
fn asking(address: &str) -> String {
    format!("until nc {address} 80; do sleep 0.01; done")
}

#[rstest]
fn a_normal_users_containers_find_each_other_although_nothing_leads_out(
    #[values(Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    // As it is where the device is for root alone.
    std::fs::write(lab.path("tun"), "").expect("our own lab");
    let project = lab.project("FROM busybox\n");
    lab.build(&project, &["-t", "app"]);
    lab.rbuild(&["network", "create", "inner"]).success();
    let one = ["--name", "db", "--network", "inner", "-p", "127.0.0.1::80"];
    serve(&lab, &one, SERVER);
    let script = format!("nslookup db >/dev/null && {}", asking("db"));
    let run = [
        "run",
        "--rm",
        "--network",
        "inner",
        "app",
        "sh",
        "-c",
        &script,
    ];
    let told = lab.rbuild(&run).success();
    assert_eq!(told.stdout, "hello\n");
    told.says("WARNING: Nothing leads out of this container");
    // The default network is another one, and has no names.
    let address = field(&lab, "db", "{{.NetworkSettings.Networks.inner.IPAddress}}");
    for host in ["db", &address] {
        let script = format!("nc -w 1 {host} 80");
        let run = [
            "run",
            "--rm",
            "--network",
            "bridge",
            "app",
            "sh",
            "-c",
            &script,
        ];
        assert_ne!(lab.rbuild(&run).status.code(), Some(0), "{host}");
    }
    lab.rbuild(&["rm", "-f", "db"]).success();
    lab.rbuild(&["network", "rm", "inner"]).success();
    until(|| keeper(&lab).is_none().then_some(()));
    let left = std::fs::read_dir(lab.path("root/networks")).expect("a folder");
    let left = left.flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| name != "household"));
}

#[test]
fn the_network_of_a_normal_user_survives_the_death_of_its_keeper() {
    let Some(lab) = lab(Caller::Ranges) else {
        return;
    };
    lab.rbuild(&["network", "create", "inner"]).success();
    serve(&lab, &["--name", "db", "--network", "inner"], SERVER);
    let first = keeper(&lab).expect("somebody is on a network");
    kill(number(&first), Signal::SIGKILL).expect("ours");
    let second = until(|| keeper(&lab).filter(|second| *second != first));
    assert!(second.exists());
    let script = asking("db");
    let run = [
        "run",
        "--rm",
        "--network",
        "inner",
        "app",
        "sh",
        "-c",
        &script,
    ];
    assert_eq!(lab.rbuild(&run).success().stdout, "hello\n");
    assert_eq!(field(&lab, "db", "{{.State.Status}}"), "running");
    lab.rbuild(&["rm", "-f", "db"]).success();
}

#[test]
fn what_a_killed_keeper_leaves_keeps_nobody_from_networks() {
    let Some(lab) = lab(Caller::Ranges) else {
        return;
    };
    lab.rbuild(&["network", "create", "inner"]).success();
    serve(&lab, &["--name", "db", "--network", "inner"], "sleep 1000");
    let _link = hold(&lab);
    lab.rbuild(&["rm", "-f", "db"]).success();
    let run = ["run", "--rm", "--network", "inner", "app", "ip", "addr"];
    let first = keeper(&lab).expect("it is held");
    kill(number(&first), Signal::SIGKILL).expect("ours");
    until(|| (!first.join("ns/net").exists()).then_some(()));
    assert!(lab.path("root/networks/household").exists());
    assert!(lab.rbuild(&["ps", "-a"]).success().stdout.contains("NAMES"));
    let told = lab.rbuild(&run).success().stdout;
    assert!(told.contains("eth0"), "{told}");
}

#[test]
fn nobody_founds_a_second_network_beside_one_whose_keeper_is_stopped() {
    let Some(lab) = lab(Caller::Ranges) else {
        return;
    };
    lab.rbuild(&["network", "create", "inner"]).success();
    serve(&lab, &["--name", "db", "--network", "inner"], SERVER);
    let keeper = keeper(&lab).expect("somebody is on a network");
    kill(number(&keeper), Signal::SIGSTOP).expect("ours");
    let script = asking("db");
    let run = ["run", "--rm", "--network", "inner", "app", "sh", "-c"];
    let run = [&run[..], &[&script]].concat();
    let told = lab.rbuild(&run);
    kill(number(&keeper), Signal::SIGCONT).expect("ours");
    told.says("does not answer");
    assert_eq!(lab.rbuild(&run).success().stdout, "hello\n");
    lab.rbuild(&["rm", "-f", "db"]).success();
}

#[test]
fn who_has_fewer_ids_than_it_wanted_says_so_to_others() {
    let Some(lab) = lab(Caller::Ranges) else {
        return;
    };
    lab.rbuild(&["network", "create", "inner"]).success();
    // No program that gives ids may do so.
    let run = ["run", "-d", "-u", "0", "--name", "db", "--network", "inner"];
    let full = lab.command(&[&run[..], &["app", "sleep", "1000"]].concat());
    let mut fewer = Command::new("setpriv");
    fewer.arg("--no-new-privs").arg(full.get_program());
    fewer.args(full.get_args()).env_clear();
    for (name, value) in full.get_envs() {
        if let Some(value) = value {
            fewer.env(name, value);
        }
    }
    let output = fewer.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let run = ["run", "--rm", "--network", "inner", "app", "true"];
    lab.rbuild(&run)
        .says("they belong to another user namespace");
    lab.rbuild(&["rm", "-f", "db"]).success();
    until(|| keeper(&lab).is_none().then_some(()));
    lab.rbuild(&run).success();
}

#[test]
fn who_has_other_ids_by_now_does_not_come_to_a_users_networks() {
    let Some(lab) = lab(Caller::Ranges) else {
        return;
    };
    let tables = ["subuid", "subgid"].map(|table| lab.path(&format!("etc/{table}")));
    if !tables[0].exists() {
        note_skipped("other subordinate ids", "the user is the machine's");
        return;
    }
    lab.rbuild(&["network", "create", "inner"]).success();
    serve(&lab, &["--name", "db", "--network", "inner"], "sleep 1000");
    let before = std::fs::read_to_string(&tables[0]).expect("our own lab");
    let give = |text: &str| {
        for table in &tables {
            std::fs::write(table, text).expect("our own lab");
        }
    };
    give(&before.replace("300000", "500000"));
    lab.rbuild(&["run", "--rm", "--network", "inner", "app", "true"])
        .says("they belong to another user namespace");
    if open_tunnel(&lab) && way_out().is_ok() {
        // What would be on a network of its own is not on the host's instead.
        lab.rbuild(&["run", "--rm", "app", "true"])
            .says("they belong to another user namespace")
            .says("--network host");
        let steps = lab.project("FROM busybox\nRUN true\n");
        lab.try_build(&steps, &[])
            .failure()
            .says("they belong to another user namespace");
    }
    give(&before);
    lab.rbuild(&["run", "--rm", "--network", "inner", "app", "true"])
        .success();
    lab.rbuild(&["rm", "-f", "db"]).success();
}

#[test]
fn no_container_gets_hold_of_the_network_that_all_are_connected_with() {
    let Some(lab) = lab(Caller::Ranges) else {
        return;
    };
    lab.rbuild(&["network", "create", "inner"]).success();
    serve(&lab, &["--name", "db", "--network", "inner"], "sleep 1000");
    let keeper = keeper(&lab).expect("somebody is on a network");
    let descriptors = std::fs::read_dir(keeper.join("fd")).expect("we may look");
    let links = descriptors
        .flatten()
        .map(|one| std::fs::read_link(one.path()));
    let links = links.map(|link| link.expect("a link").to_string_lossy().into_owned());
    let network = links.into_iter().find(|link| link.starts_with("net:["));
    let network = network.expect("it holds the network");
    let script = "for link in /proc/[0-9]*/ns/net /proc/[0-9]*/fd/*; do readlink $link; done; true";
    for options in [&["--cap-add", "ALL"][..], &["--privileged"]] {
        let run = ["run", "--rm", "--network", "inner", "-u", "0"];
        let command = ["app", "sh", "-c", script];
        let told = lab
            .rbuild(&[&run[..], options, &command].concat())
            .success();
        assert!(told.stdout.contains("net:["), "{}", told.stdout);
        assert!(
            !told.stdout.contains(&network),
            "{options:?}: {}",
            told.stdout
        );
    }
    lab.rbuild(&["rm", "-f", "db"]).success();
}

#[test]
fn a_step_of_a_normal_user_reaches_others_and_not_the_hosts_loopback() {
    let Some(lab) = Lab::new(Caller::Ranges) else {
        return;
    };
    if !open_tunnel(&lab) {
        return;
    }
    let Some(address) = own_address() else {
        note_skipped("the way out of normal users", "no network here");
        return;
    };
    let answering = |address: std::net::IpAddr| {
        let listener = TcpListener::bind((address, 0)).expect("our own address");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // One who hears nothing says so.
                let _ = stream.write_all(b"from the host\n");
            }
        });
        port
    };
    let outside = answering(address.into());
    let own = answering(std::net::Ipv4Addr::LOCALHOST.into());
    let project = lab.project(&format!(
        "FROM busybox\nRUN nc -w 5 {address} {outside}\nRUN ! nc -w 1 127.0.0.1 {own} && ! nc -w 1 10.0.2.2 {own} && ip -4 -o addr\n"
    ));
    let image = lab.project("FROM busybox\n");
    lab.build(&image, &["-t", "app"]);
    serve(&lab, &["--name", "db", "--network", "bridge"], "sleep 1000");
    let _link = hold(&lab);
    lab.rbuild(&["rm", "-f", "db"]).success();
    let built = lab.build(&project, &[]);
    built.says("from the host").says("172.");
    // What leads out ends with its keeper, however that ends.
    let keeper = keeper(&lab).expect("it is held");
    let mine = children(number(&keeper));
    assert_eq!(mine.len(), 1);
    let line = std::fs::read_to_string(mine[0].join("cmdline")).expect("it runs");
    assert!(line.contains("slirp4netns"), "{line}");
    kill(number(&keeper), Signal::SIGKILL).expect("ours");
    until(|| (!mine[0].join("ns/net").exists()).then_some(()));
}

/// The processes that `parent` has started and not yet seen the end of.
fn children(parent: Pid) -> Vec<PathBuf> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let told = std::fs::read_to_string(path).expect("it lives");
    let numbers = told.split_whitespace();
    numbers
        .map(|number| Path::new("/proc").join(number))
        .collect()
}

/// Runs commands side by side.
fn at_once(lab: &Lab, commands: impl Iterator<Item = String>) {
    let start = |text: String| Running::start(lab.command(&[]).args(text.split(' ')));
    let started: Vec<Running> = commands.map(start).collect();
    for one in started {
        one.wait().success();
    }
}

#[rstest]
fn a_crowd_comes_and_goes_on_one_network_and_none_is_lost(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    const THIRD: usize = 8;
    let Some(lab) = lab(caller) else { return };
    lab.rbuild(&["network", "create", "crowd"]).success();
    let all = 0..THIRD * 3;
    let run = |number| format!("run -d --name c{number} --network crowd app sleep 1000");
    at_once(&lab, all.clone().map(run));
    let members = || {
        field(
            &lab,
            "crowd",
            "{{range .Containers}}{{.IPv4Address}} {{end}}",
        )
    };
    let addresses = || members().split_whitespace().collect::<HashSet<_>>().len();
    assert_eq!(addresses(), THIRD * 3);
    // Some end, some end and come back, some go, all at the same time.
    let change = |number| match number % 3 {
        0 => format!("stop -t 0 c{number}"),
        1 => format!("restart -t 0 c{number}"),
        _ => format!("rm -f c{number}"),
    };
    at_once(&lab, all.clone().map(change));
    assert_eq!(addresses(), THIRD);
    let known = lab.rbuild(&["ps", "-aq"]).success().stdout;
    assert_eq!(known.lines().count(), THIRD * 2);
    let ended = all.clone().filter(|number| number % 3 == 0);
    at_once(&lab, ended.map(|number| format!("start c{number}")));
    assert_eq!(addresses(), THIRD * 2);
    let left: Vec<usize> = all.filter(|number| number % 3 != 2).collect();
    let ask = |number: &usize| format!("nslookup c{number} >/dev/null");
    let script: Vec<String> = left.iter().map(ask).collect();
    let script = script.join(" && ");
    let run = ["run", "--rm", "--network", "crowd", "app", "sh", "-c"];
    lab.rbuild(&[&run[..], &[&script]].concat()).success();
    at_once(&lab, left.iter().map(|number| format!("rm -f c{number}")));
    assert_eq!(members(), "");
    assert_gone(&lab);
    lab.rbuild(&["network", "rm", "crowd"]).success();
    let left = std::fs::read_dir(lab.path("root/containers")).expect("a folder");
    assert_eq!(left.count(), 0);
}
