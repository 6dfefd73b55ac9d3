//! Containers that come to networks and leave them.

use rstest::rstest;

use crate::containers::{field, lab};
use crate::networks::{SERVER, ask, published, serve};
use crate::networks_default::assert_gone;
use crate::support::{Caller, Lab};

/// What a command in a container prints.
fn inside(lab: &Lab, container: &str, script: &str) -> String {
    let run = ["exec", container, "sh", "-c", script];
    lab.rbuild(&run).success().stdout
}

#[rstest]
#[case(Caller::Root, "10.213.5")]
#[case(Caller::Ranges, "10.213.6")]
fn a_running_container_comes_to_a_network_and_leaves_it(
    #[case] caller: Caller,
    #[case] subnet: &str,
) {
    let Some(lab) = lab(caller) else { return };
    lab.rbuild(&[
        "network",
        "create",
        "--subnet",
        &format!("{subnet}.0/24"),
        "inner",
    ])
    .success();
    let options = [
        "--name",
        "web",
        "--hostname",
        "h",
        "--network",
        "bridge",
        "-p",
        "127.0.0.1::80",
    ];
    serve(&lab, &options, SERVER);
    let address = format!("{subnet}.9");
    let connect = [
        "network", "connect", "--ip", &address, "--alias", "www", "inner", "web",
    ];
    lab.rbuild(&connect).success();
    lab.rbuild(&connect)
        .failure()
        .says("endpoint with name web already exists in network inner");
    // It has names from now on, and others find it by its own.
    let told = inside(&lab, "web", "cat /etc/hosts /etc/resolv.conf");
    assert!(told.contains(&format!("{address}\th\n")), "{told}");
    assert!(told.contains("nameserver 127.0.0.11\n"), "{told}");
    lab.rbuild(&["rename", "web", "site"]).success();
    let script = "nslookup www && nslookup site && ! nslookup web";
    let found = lab.rbuild(&[
        "run",
        "--rm",
        "--network",
        "inner",
        "app",
        "sh",
        "-c",
        script,
    ]);
    assert!(found.success().stdout.contains(&address));
    let shown = field(
        &lab,
        "site",
        "{{.NetworkSettings.Networks.inner.IPAddress}}",
    );
    assert_eq!(shown, address);
    let members = field(&lab, "inner", "{{json .Containers}}");
    assert!(members.contains("\"Name\":\"site\""), "{members}");

    // The port leads to the network that is left; so does the way out.
    lab.rbuild(&["network", "disconnect", "bridge", "site"])
        .success();
    assert_eq!(ask(published(&lab, "site", "80")), "hello\n");
    let routes = inside(&lab, "site", "ip route");
    assert!(
        routes.contains(&format!("default via {subnet}.1 ")),
        "{routes}"
    );
    lab.rbuild(&["network", "disconnect", "bridge", "site"])
        .failure()
        .says("is not connected to network bridge");
    lab.rbuild(&["network", "disconnect", "-f", "inner", "site"])
        .success();
    let told = inside(&lab, "site", "ip -o link; cat /etc/hosts");
    assert!(!told.contains("eth") && !told.contains(&address), "{told}");
    assert_eq!(field(&lab, "inner", "{{json .Containers}}"), "{}");
    lab.rbuild(&["rm", "-f", "site"]).success();
    assert_gone(&lab);
}

#[rstest]
fn what_a_container_wrote_over_its_names_is_left_to_it(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    lab.rbuild(&["network", "create", "inner"]).success();
    serve(&lab, &["--name", "web", "--network", "bridge"], SERVER);
    let script = r"printf '\377mine\n' > /etc/hosts";
    lab.rbuild(&["exec", "-u", "0", "web", "sh", "-c", script])
        .success();
    lab.rbuild(&["network", "connect", "inner", "web"])
        .success();
    let left = inside(&lab, "web", "od -An -tx1 /etc/hosts");
    assert_eq!(left.trim(), "ff 6d 69 6e 65 0a");
    lab.rbuild(&["rm", "-f", "web"]).success();
}

#[rstest]
fn a_stopped_container_is_on_a_network_when_it_starts(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    lab.rbuild(&["network", "create", "Later"]).success();
    let script = "ip -o -4 addr";
    let command = [
        "create",
        "--name",
        "one",
        "--network",
        "bridge",
        "app",
        "sh",
        "-c",
        script,
    ];
    lab.rbuild(&command).success();
    lab.rbuild(&["network", "connect", "Later", "one"])
        .success();
    let told = lab.rbuild(&["start", "-a", "one"]).success().stdout;
    assert!(told.contains("eth0") && told.contains("eth1"), "{told}");
    lab.rbuild(&["network", "disconnect", "bridge", "one"])
        .success();
    let told = lab.rbuild(&["start", "-a", "one"]).success().stdout;
    assert!(told.contains("eth0") && !told.contains("eth1"), "{told}");
    lab.rbuild(&["create", "--name", "two", "--network", "host", "app"])
        .success();
    lab.rbuild(&["network", "connect", "Later", "two"])
        .failure()
        .says("connected to host network");
    lab.rbuild(&["network", "disconnect", "-f", "Later", "gone"])
        .success();
}
