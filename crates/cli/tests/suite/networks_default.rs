//! The network of steps and containers that name none.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::containers::{field, lab};
use crate::networks::{SERVER, serve, supervisor};
use crate::support::{Caller, Lab};

/// How long what nobody needs any more may be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// From here on, this test and what it starts are on a machine without other networks.
pub(crate) fn alone() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root may");
    text_of("ip", &["link", "set", "lo", "up"]);
}

/// What of bridges and their rules is on this machine.
fn left() -> Vec<String> {
    let interfaces = text_of("ip", &["-br", "link"]);
    let rules = text_of("iptables-save", &[]);
    let lines = interfaces.lines().chain(rules.lines());
    lines
        .filter(|line| line.starts_with("rb") || line.starts_with("rv") || line.contains("RBUILD"))
        .map(str::to_owned)
        .collect()
}

/// Nothing is on this machine any more, soon.
#[track_caller]
pub(crate) fn assert_bare() {
    let end = Instant::now() + PATIENCE;
    while !left().is_empty() {
        assert!(Instant::now() < end, "{:#?}", left());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What of a lab's own networks is on the host: interfaces and rules.
pub(crate) fn on_the_host(lab: &Lab) -> Vec<String> {
    let ids = lab
        .rbuild(&["network", "ls", "-q", "-f", "type=custom"])
        .success();
    let interfaces = text_of("ip", &["-br", "link"]);
    let rules = text_of("iptables-save", &[]);
    let lines = interfaces.lines().chain(rules.lines());
    lines
        .filter(|line| ids.stdout.lines().any(|id| line.contains(id)))
        .map(str::to_owned)
        .collect()
}

pub(crate) fn text_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Nothing of a lab's own networks is on the host any more, soon.
#[track_caller]
pub(crate) fn assert_gone(lab: &Lab) {
    let end = Instant::now() + PATIENCE;
    while !on_the_host(lab).is_empty() {
        assert!(Instant::now() < end, "{:#?}", on_the_host(lab));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Answers connections from anywhere, and on which port.
fn answering() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // One who hears nothing says so.
            let _ = stream.write_all(b"from the host\n");
        }
    });
    port
}

#[test]
fn a_step_reaches_the_host_through_its_gateway_and_not_on_its_loopback() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let port = answering();
    let project = lab.project(&format!(
        "FROM busybox\n\
         RUN nc -w 5 $(ip route | awk '/default/ {{print $3}}') {port} && nc -w 5 $(awk '/up$/ {{print $1}}' /etc/hosts) {port}\n\
         RUN ! nc -w 5 127.0.0.1 {port}\n"
    ));
    let gateway = ["--add-host", "up:host-gateway"];
    let built = lab.build(&project, &gateway);
    assert_eq!(built.stderr.matches("from the host").count(), 2, "{built}");
    // Which network a step has does not change its result.
    lab.config("[network]\nbuild = \"host\"\nrun = \"host\"\n");
    let again = lab.build(&project, &gateway);
    assert!(!again.stderr.contains("from the host"), "{again}");
    let local = format!("nc -w 5 127.0.0.1 {port}");
    let steps = lab.project(&format!("FROM busybox\nRUN {local}\n"));
    lab.build(&steps, &["-t", "app"]).says("from the host");
    let run = ["run", "--rm", "app", "sh", "-c", &local];
    assert_eq!(lab.rbuild(&run).success().stdout, "from the host\n");
    // A proxy on the loopback interface can be reached from there only.
    lab.config("");
    let proxy = format!("http_proxy=http://127.0.0.1:{port}");
    let arguments = ["--no-cache", "--build-arg", &proxy];
    lab.build(&steps, &arguments).says("from the host");
}

#[test]
fn steps_that_follow_each_other_share_a_network_unless_something_is_left_in_it() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let own = "echo $(readlink /proc/self/ns/net)";
    let project = lab.project(&format!(
        "FROM busybox\nRUN echo 1; {own}\nRUN echo 2; {own}; (nc -l -p 80 -e true &); until nc 127.0.0.1 80; do sleep 0.01; done\nRUN echo 3; {own}\n"
    ));
    let built = lab.build(&project, &["--no-cache"]);
    let words = built.stderr.lines().filter(|line| line.contains(" net:["));
    let namespaces: Vec<&str> = words
        .filter(|line| !line.contains("RUN"))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(namespaces.len(), 3, "{}", built.stderr);
    assert_eq!(namespaces[0], namespaces[1]);
    assert_ne!(namespaces[1], namespaces[2]);
}

#[rstest]
fn the_steps_of_a_build_can_be_on_a_network_with_names(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    lab.rbuild(&["network", "create", "services"]).success();
    serve(&lab, &["--name", "db", "--network", "services"], SERVER);
    let project = lab.project("FROM busybox\nRUN until nc $(nslookup db | awk '/^Address/ {print $2}' | tail -n 1) 80; do sleep 0.01; done\n");
    let built = lab.build(&project, &["--network", "services"]);
    built.says("hello");
    lab.try_build(&project, &["--network", "nothing"])
        .failure()
        .says("network nothing not found");
    lab.rbuild(&["rm", "-f", "db"]).success();
    lab.rbuild(&["network", "rm", "services"]).success();
}

#[test]
fn the_default_bridge_is_one_for_all_and_goes_with_its_last_user() {
    let (Some(lab), Some(other)) = (lab(Caller::Root), lab(Caller::Root)) else {
        return;
    };
    alone();
    let bridges = || left().into_iter().filter(|line| line.starts_with("rb"));
    let address = |lab: &Lab| {
        let run = ["run", "--rm", "app", "ip", "-4", "addr", "show", "eth0"];
        lab.rbuild(&run).success().stdout
    };
    lab.rbuild(&["run", "-d", "--name", "one", "app", "sleep", "1000"])
        .success();
    let first = field(&lab, "one", "{{.NetworkSettings.IPAddress}}");
    assert_eq!(first, "172.17.0.2");
    for store in [&lab, &other] {
        let told = address(store);
        assert!(told.contains("inet 172.17.0.3/16"), "{told}");
        assert_eq!(bridges().count(), 1);
    }
    lab.rbuild(&["rm", "-f", "one"]).success();
    assert_bare();
}

#[test]
fn what_a_killed_keeper_leaves_is_swept_by_the_next_command() {
    let Some(lab) = lab(Caller::Root) else { return };
    alone();
    lab.rbuild(&["run", "-d", "--name", "one", "app", "sleep", "1000"])
        .success();
    let network = std::fs::read_link("/proc/thread-self/ns/net").expect("a link");
    let network = network.to_string_lossy().into_owned();
    let number = network.trim_matches(|other: char| !other.is_ascii_digit());
    let keeper = format!("--rbuild-network-keeper\0/run/rbuild/networks/{number}\0");
    let is_keeper = |process: &Path| {
        std::fs::read_to_string(process.join("cmdline")).is_ok_and(|line| line.contains(&keeper))
    };
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let found = processes
        .map(|process| process.path())
        .find(|path| is_keeper(path));
    let name = found.and_then(|path| path.file_name()?.to_str()?.parse().ok());
    kill(Pid::from_raw(name.expect("it lives")), Signal::SIGKILL).expect("ours");
    let id = field(&lab, "one", "{{.Id}}");
    kill(supervisor(&id), Signal::SIGKILL).expect("ours");
    let end = Instant::now() + PATIENCE;
    while field(&lab, "one", "{{.State.Status}}") != "exited" {
        assert!(Instant::now() < end, "it goes on");
    }
    assert_ne!(left(), [""; 0]);
    lab.rbuild(&["rm", "one"]).success();
    assert_eq!(left(), [""; 0]);
}

#[test]
fn where_no_bridge_can_be_had_the_hosts_network_is_used() {
    let Some(lab) = lab(Caller::Root) else { return };
    let port = answering();
    let script = format!("nc -w 5 127.0.0.1 {port}");
    let project = lab.project(&format!("FROM busybox\nRUN {script}\n"));
    // Neither may make interfaces.
    let denied = |mut command: Command| {
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
        without.arg(command.get_program()).args(command.get_args());
        without.current_dir(lab.path("out")).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                without.env(name, value);
            }
        }
        command = without;
        let output = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text + &String::from_utf8_lossy(&output.stderr)
    };
    let mut build = lab.build_command(&["--debug"]);
    build.arg(&project.dir);
    let told = denied(build);
    assert!(told.contains("from the host"), "{told}");
    assert!(told.contains("RUN has the host's network: "), "{told}");
    let told = denied(lab.command(&["run", "--rm", "app", "sh", "-c", &script]));
    assert_eq!(told, "from the host\n");
    let told = denied(lab.command(&["run", "--rm", "--network", "bridge", "app", "true"]));
    assert!(told.contains("Operation not permitted"), "{told}");
}

#[test]
fn the_bridge_of_a_store_that_was_removed_goes_all_the_same() {
    let Some(lab) = lab(Caller::Root) else { return };
    alone();
    lab.rbuild(&["network", "create", "inner"]).success();
    let run = ["run", "-d", "--name", "one", "--network", "inner"];
    lab.rbuild(&[&run[..], &["app", "sleep", "1000"]].concat())
        .success();
    assert_ne!(left(), [""; 0]);
    // Before anything of it is taken down, as its user sees it.
    std::fs::remove_dir_all(lab.path("root/networks")).expect("ours");
    lab.rbuild(&["rm", "-f", "one"]).success();
    assert_bare();
}

#[test]
fn what_ended_namespaces_leave_of_networks_is_forgotten() {
    let Some(lab) = lab(Caller::Root) else { return };
    alone();
    // No namespace has a number as small as this.
    let dead = Path::new("/run/rbuild/networks/7");
    std::fs::create_dir_all(dead.join("1234/members")).expect("root may");
    let run = ["run", "--rm", "--network", "bridge", "app", "true"];
    lab.rbuild(&run).success();
    let end = Instant::now() + PATIENCE;
    while dead.exists() {
        assert!(Instant::now() < end, "it is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    let own = std::fs::metadata("/proc/thread-self/ns/net").expect("a namespace");
    let own = std::os::unix::fs::MetadataExt::ino(&own).to_string();
    assert!(Path::new("/run/rbuild/networks").join(own).exists());
}
