//! Private networks, names on them, and published ports.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::containers::{field, lab};
use crate::networks_default::{alone, assert_bare, assert_gone, on_the_host};
use crate::support::{Caller, Lab, Running};

/// How long a server in a container may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);
/// Answers each connection on port 80 with a word.
pub(crate) const SERVER: &str = "while true; do nc -l -p 80 -e echo hello; done";

/// Starts a server; more options may come before.
pub(crate) fn serve(lab: &Lab, options: &[&str], script: &str) {
    let command = ["app", "sh", "-c", script];
    lab.rbuild(&[&["run", "-d"], options, &command].concat())
        .success();
}

/// The host's port that leads to `port` of a container.
pub(crate) fn published(lab: &Lab, name: &str, port: &str) -> SocketAddr {
    let told = lab.rbuild(&["port", name, port]).success().stdout;
    let first = told.lines().next().expect("it is published");
    let number = first.rsplit(':').next().expect("a port");
    SocketAddr::from(([127, 0, 0, 1], number.parse().expect("a number")))
}

/// What a server says, once it listens.
pub(crate) fn ask(address: SocketAddr) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut text = String::new();
        let heard = TcpStream::connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.read_to_string(&mut text)
        });
        if heard.is_ok() && !text.is_empty() {
            return text;
        }
        assert!(
            Instant::now() < end,
            "nothing answers at {address}: {heard:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_published_port_leads_to_the_container_and_is_free_when_that_is_gone() {
    let Some(lab) = lab(Caller::Root) else { return };
    alone();
    serve(&lab, &["--name", "web", "-p", "127.0.0.1::80"], SERVER);
    let address = published(&lab, "web", "80");
    assert_eq!(ask(address), "hello\n");
    let number = address.port();
    let row = lab.rbuild(&["ps", "--format", "{{.Ports}}"]).success();
    assert_eq!(row.stdout, format!("127.0.0.1:{number}->80/tcp\n"));
    let all = lab.rbuild(&["port", "web"]).success().stdout;
    assert_eq!(all, format!("80/tcp -> 127.0.0.1:{number}\n"));
    let told = field(&lab, "web", "{{json .NetworkSettings.Ports}}");
    assert!(
        told.contains(&format!("\"HostPort\":\"{number}\"")),
        "{told}"
    );
    let own = field(&lab, "web", "{{.NetworkSettings.IPAddress}}");
    let inside = lab.rbuild(&["exec", "web", "cat", "/etc/hosts"]).success();
    assert!(
        inside.stdout.contains(&format!("{own}\t")),
        "{}",
        inside.stdout
    );

    let again = format!("127.0.0.1:{number}:80");
    let refused = lab.rbuild(&["run", "--rm", "-p", &again, "app", "true"]);
    let words = format!("Bind for 127.0.0.1:{number} failed: port is already allocated");
    assert!(refused.stderr.contains(&words), "{}", refused.stderr);
    assert_eq!(refused.status.code(), Some(125));

    lab.rbuild(&["rm", "-f", "web"]).success();
    TcpListener::bind(address).expect("it is free");
    assert_bare();
}

#[rstest]
fn all_exposed_ports_are_published_when_asked_for(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let options = [
        "--name",
        "all",
        "--expose",
        "53/udp",
        "--expose",
        "80",
        "-P",
        "-p",
        "127.0.0.1:0:81",
    ];
    serve(&lab, &options, SERVER);
    assert_ne!(published(&lab, "all", "53/udp").port(), 0);
    assert_eq!(ask(published(&lab, "all", "80")), "hello\n");
    assert_ne!(published(&lab, "all", "81").port(), 0);
    lab.rbuild(&["port", "all", "82"])
        .failure()
        .says("no public port '82/tcp' published for all");
    lab.rbuild(&["rm", "-f", "all"]).success();
}

#[rstest]
fn containers_of_a_network_know_each_other_by_name_and_others_do_not(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    lab.rbuild(&["network", "create", "--label", "a=b", "inner"])
        .success();
    lab.rbuild(&["network", "create", "--internal", "other"])
        .success();
    let options = [
        "--name",
        "db",
        "--network",
        "inner",
        "--network-alias",
        "store",
    ];
    serve(&lab, &options, SERVER);
    let address = field(&lab, "db", "{{.NetworkSettings.Networks.inner.IPAddress}}");
    let ask = |network: &str, script: &str| {
        let run = [
            "run",
            "--rm",
            "--network",
            network,
            "app",
            "sh",
            "-c",
            script,
        ];
        lab.rbuild(&run)
    };
    for name in ["db", "store", "DB"] {
        let told = ask("inner", &format!("nslookup {name}")).success().stdout;
        assert!(told.contains(&address), "{name}: {told}");
    }
    let script =
        format!("until nc {address} 80; do sleep 0.01; done; grep nameserver /etc/resolv.conf");
    let told = ask("inner", &script).success().stdout;
    assert_eq!(told, "hello\nnameserver 127.0.0.11\n");
    assert_ne!(ask("other", "nslookup db").status.code(), Some(0));
    assert_ne!(
        ask("other", &format!("nc -w 1 {address} 80")).status.code(),
        Some(0)
    );
    let routes = ask("other", "ip route").success().stdout;
    assert!(!routes.contains("default"), "{routes}");

    lab.rbuild(&["network", "rm", "inner"])
        .failure()
        .says("network inner has active endpoints (db)");
    let shown = lab
        .rbuild(&["network", "inspect", "inner"])
        .success()
        .stdout;
    assert!(
        shown.contains(&format!("\"IPv4Address\": \"{address}/16\"")),
        "{shown}"
    );
    lab.rbuild(&["rm", "-f", "db"]).success();
    assert_gone(&lab);
    lab.rbuild(&["network", "rm", "inner", "other"]).success();
}

#[rstest]
#[case(Caller::Root, "10.213.3")]
#[case(Caller::Ranges, "10.213.4")]
fn networks_are_listed_in_dockers_shape_and_what_is_not_there_is_refused(
    #[case] caller: Caller,
    #[case] subnet: &str,
) {
    let Some(lab) = lab(caller) else { return };
    let (range, gateway) = (format!("{subnet}.0/24"), format!("{subnet}.9"));
    let address = format!("{subnet}.77");
    let created = [
        "network",
        "create",
        "--subnet",
        &range,
        "--gateway",
        &gateway,
        "app",
    ];
    let id = lab.rbuild(&created).success().stdout;
    assert_eq!(id.trim().len(), 64);
    let table = lab.rbuild(&["network", "ls"]).success().stdout;
    let columns: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(columns[0], ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]);
    assert_eq!(columns[1], [&id[..12], "app", "bridge", "local"]);
    assert_eq!(
        columns[2..].iter().map(|row| row[1]).collect::<Vec<_>>(),
        ["bridge", "host", "none"]
    );
    let fixed = [
        "run",
        "--rm",
        "--network",
        "app",
        "--ip",
        &address,
        "app",
        "ip",
        "-4",
        "addr",
    ];
    let inside = lab.rbuild(&fixed).success().stdout;
    assert!(inside.contains(&format!("{address}/24")), "{inside}");
    let beyond = [
        "run",
        "--rm",
        "--network",
        "app",
        "--ip",
        "10.9.9.9",
        "app",
        "true",
    ];
    lab.rbuild(&beyond).says("none of the network's subnet");
    lab.rbuild(&["network", "create", "app"])
        .failure()
        .says("network with name app already exists");
    lab.rbuild(&["run", "--network", "nope", "app", "true"])
        .says("network nope not found");
    lab.rbuild(&["network", "create", "--ipv6", "six"])
        .failure()
        .says("--ipv6 is not supported");
    lab.rbuild(&["network", "create", "--subnet", "fd00::/64", "six"])
        .failure()
        .says("IPv4 addresses only");
    lab.rbuild(&["network", "rm", "bridge"])
        .failure()
        .says("bridge is a pre-defined network and cannot be removed");
    let pruned = lab.rbuild(&["network", "prune", "-f"]).success().stdout;
    assert_eq!(pruned, "Deleted Networks:\napp\n\n");
}

#[rstest]
fn a_container_shares_the_network_of_another(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    serve(&lab, &["--name", "one", "--network", "bridge"], SERVER);
    let script = "until nc 127.0.0.1 80; do sleep 0.01; done";
    let run = [
        "run",
        "--rm",
        "--network",
        "container:one",
        "app",
        "sh",
        "-c",
        script,
    ];
    assert_eq!(lab.rbuild(&run).success().stdout, "hello\n");
    let resolver = [
        "run",
        "--rm",
        "--network",
        "bridge",
        "app",
        "cat",
        "/etc/resolv.conf",
    ];
    let servers = lab.rbuild(&resolver).success().stdout;
    assert!(!servers.contains("nameserver 127.0.0.53"), "{servers}");
    lab.rbuild(&["rm", "-f", "one"]).success();
}

/// The supervisor of a container.
pub(crate) fn supervisor(id: &str) -> Pid {
    let has_it = |line: &str| line.contains("rbuild-supervisor") && line.contains(id);
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let found = processes.map(|process| process.path()).find(|path| {
        let line = std::fs::read_to_string(path.join("cmdline"));
        line.is_ok_and(|line| has_it(&line))
    });
    let path = found.expect("it lives");
    let number = path
        .file_name()
        .and_then(|name| name.to_str()?.parse().ok());
    Pid::from_raw(number.expect("a number"))
}

#[test]
fn what_a_killed_supervisor_leaves_is_swept_by_the_next_command() {
    let Some(lab) = lab(Caller::Root) else { return };
    lab.rbuild(&["network", "create", "app"]).success();
    let options = ["--name", "one", "--network", "app", "-p", "127.0.0.1::80"];
    serve(&lab, &options, "sleep 1000");
    let id = field(&lab, "one", "{{.Id}}");
    assert_ne!(on_the_host(&lab), [""; 0]);
    kill(supervisor(&id), Signal::SIGKILL).expect("ours");
    // The keeper takes the container along, and the kernel its interface.
    let end = Instant::now() + PATIENCE;
    while field(&lab, "one", "{{.State.Status}}") != "exited" {
        assert!(Instant::now() < end, "it goes on");
    }
    lab.rbuild(&["rm", "one"]).success();
    assert_gone(&lab);
}

#[rstest]
fn twenty_containers_with_ports_leave_nothing_behind(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    lab.rbuild(&["network", "create", "crowd"]).success();
    let names: Vec<String> = (0..20).map(|number| format!("c{number:02}")).collect();
    let run = |name: &String| {
        let options = ["--name", name, "--network", "crowd", "-p", "127.0.0.1::80"];
        let command = ["app", "sleep", "1000"];
        let arguments = [&["run", "-d"][..], &options, &command].concat();
        Running::start(&mut lab.command(&arguments))
    };
    let started: Vec<Running> = names.iter().map(run).collect();
    for one in started {
        one.wait().success();
    }
    let shown = lab
        .rbuild(&["network", "inspect", "crowd"])
        .success()
        .stdout;
    assert_eq!(shown.matches("IPv4Address").count(), 20);
    let removed: Vec<Running> = names
        .chunks(5)
        .map(|some| Running::start(lab.command(&["rm", "-f"]).args(some)))
        .collect();
    for one in removed {
        one.wait().success();
    }
    assert_gone(&lab);
    lab.rbuild(&["network", "rm", "crowd"]).success();
}

#[rstest]
fn what_is_sent_through_a_published_port_arrives_whole(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    serve(
        &lab,
        &["--name", "echo", "-p", "127.0.0.1::80"],
        "while true; do nc -l -p 80 -e cat; done",
    );
    let address = published(&lab, "echo", "80");
    let sent: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let end = Instant::now() + PATIENCE;
    let mut received = Vec::new();
    // Until it listens, connections are closed without a word.
    while received.is_empty() {
        assert!(Instant::now() < end, "nothing answers");
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        let mut writer = stream.try_clone().expect("a second handle");
        let data = sent.clone();
        let writing = std::thread::spawn(move || {
            let written = writer.write_all(&data);
            // The end is passed on, too: only then does the other side end.
            let _ = writer.shutdown(std::net::Shutdown::Write);
            written
        });
        let _ = stream.read_to_end(&mut received);
        let _ = writing.join().expect("it does not panic");
    }
    assert!(
        received == sent,
        "{} of {} bytes",
        received.len(),
        sent.len()
    );
    lab.rbuild(&["rm", "-f", "echo"]).success();
}
