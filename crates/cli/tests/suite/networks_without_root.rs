//! Networks of normal users.

use std::fs::{OpenOptions, Permissions, set_permissions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use rstest::rstest;

use crate::containers::{field, lab};
use crate::networks::{SERVER, ask, published, serve};
use crate::support::{Caller, Lab, am_root, note_skipped};

/// Has the caller see /dev/net/tun as it is on machines for people: open to everybody. Whether that can be had here.
pub(crate) fn open_tunnel(lab: &Lab) -> bool {
    if !am_root() {
        return true;
    }
    let path = lab.path("tun");
    let everybody = Mode::from_bits_truncate(0o666);
    let made = mknod(&path, SFlag::S_IFCHR, everybody, makedev(10, 200));
    let opened = made.is_ok()
        && Path::new("/dev/net/tun").exists()
        && set_permissions(&path, Permissions::from_mode(0o666)).is_ok()
        && OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .is_ok();
    if !opened {
        note_skipped("the way out of normal users", "no /dev/net/tun here");
    }
    opened
}

/// The address of this machine from which it reaches others, if it has such.
pub(crate) fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent by this.
    socket.connect("198.51.100.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

#[test]
fn a_normal_users_container_with_a_port_reaches_others_and_not_the_hosts_loopback() {
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
    let project = lab.project("FROM busybox\n");
    lab.build(&project, &["-t", "app"]);
    let listener = TcpListener::bind((address, 0)).expect("our own address");
    let port = listener.local_addr().expect("bound").port().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"from outside\n")
    });
    serve(&lab, &["--name", "web", "-p", "127.0.0.1::80"], SERVER);
    assert_eq!(ask(published(&lab, "web", "80")), "hello\n");
    let shown = field(&lab, "web", "{{.NetworkSettings.IPAddress}}");
    let gateway = field(&lab, "web", "{{.NetworkSettings.Gateway}}");
    let inside = lab
        .rbuild(&["exec", "web", "ip", "addr", "show", "eth0"])
        .success()
        .stdout;
    let mac = field(&lab, "web", "{{.NetworkSettings.MacAddress}}");
    assert!(
        inside.contains(&mac) && inside.contains(&format!("{shown}/16")),
        "{inside}"
    );
    let address = address.to_string();
    let out = lab.rbuild(&["exec", "web", "nc", "-w", "5", &address, &port]);
    assert_eq!(out.success().stdout, "from outside\n");
    answering
        .join()
        .expect("it does not panic")
        .expect("it was heard");
    let own = TcpListener::bind("127.0.0.1:0").expect("a port");
    let number = own.local_addr().expect("bound").port().to_string();
    for host in ["127.0.0.1", "10.0.2.2", &gateway] {
        let run = ["exec", "web", "nc", "-w", "1", host, &number];
        assert_ne!(lab.rbuild(&run).status.code(), Some(0));
    }
    lab.rbuild(&["rm", "-f", "web"]).success();
}

#[test]
fn a_normal_user_is_told_why_nothing_leads_out() {
    let Some(lab) = Lab::new(Caller::SingleId) else {
        return;
    };
    // As it is where the device is for root alone.
    std::fs::write(lab.path("tun"), "").expect("our own lab");
    let project = lab.project("FROM busybox\n");
    lab.build(&project, &["-t", "app"]);
    let run = ["run", "--rm", "-p", "127.0.0.1::80", "app", "true"];
    lab.rbuild(&run)
        .success()
        .says("WARNING: Nothing leads out of this container: /dev/net/tun cannot be opened");
}

#[rstest]
fn a_normal_users_port_is_published_without_any_right(
    #[values(Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project("FROM busybox\n");
    lab.build(&project, &["-t", "app"]);
    serve(&lab, &["--name", "web", "-p", "127.0.0.1::80"], SERVER);
    let address = published(&lab, "web", "80/tcp");
    assert_eq!(ask(address), "hello\n");
    // The host's loopback is not the container's.
    let own = TcpListener::bind("127.0.0.1:0").expect("a port");
    let number = own.local_addr().expect("bound").port().to_string();
    let reached = lab.rbuild(&["exec", "web", "nc", "-w", "1", "127.0.0.1", &number]);
    assert_ne!(reached.status.code(), Some(0));
    lab.rbuild(&["rm", "-f", "web"]).success();
    TcpListener::bind(address).expect("it is free");
}

#[test]
fn containers_of_a_normal_user_can_share_memory() {
    let Some(lab) = lab(Caller::Ranges) else {
        return;
    };
    let script = "echo kept > /dev/shm/note; sleep 1000";
    let options = ["--name", "one", "--ipc", "shareable", "--network", "bridge"];
    serve(&lab, &options, script);
    let script = "until cat /dev/shm/note; do sleep 0.01; done";
    let run = ["run", "--rm", "--ipc", "container:one", "app", "sh", "-c"];
    let told = lab.rbuild(&[&run[..], &[script]].concat()).success();
    assert_eq!(told.stdout, "kept\n");
    lab.rbuild(&["rm", "-f", "one"]).success();
}
