//! Limits by control groups.

use rstest::rstest;

use crate::containers::{detached, field, lab};
use crate::support::Caller;

/// Whether the caller can have control groups: root, and a normal user for whom a systemd runs and the groups are of
/// version 2.
fn has_groups(caller: Caller) -> bool {
    let user = caller.user().unwrap_or(rustix::process::geteuid().as_raw());
    let bus = format!("/run/user/{user}/bus");
    caller == Caller::Root
        || [bus.as_str(), "/sys/fs/cgroup/cgroup.controllers"]
            .iter()
            .all(|path| std::path::Path::new(path).exists())
}

#[rstest]
#[case(Caller::Root)]
#[case(Caller::Ranges)]
fn limits_are_applied_or_refused_and_a_paused_container_stands_still(#[case] caller: Caller) {
    let Some(lab) = lab(caller) else { return };
    if !has_groups(caller) {
        let refused = lab.rbuild(&["run", "--rm", "--memory", "32m", "app", "true"]);
        assert_eq!(refused.status.code(), Some(125), "{refused}");
        refused.says("--memory");
        return;
    }
    let options = ["--name", "small", "--memory", "32m", "--pids-limit", "20"];
    detached(&lab, &options, "sleep 1000");
    lab.rbuild(&["pause", "small"]).success();
    assert_eq!(field(&lab, "small", "{{.State.Status}}"), "paused");
    let twice = lab.rbuild(&["pause", "small"]).failure();
    twice.says("is already paused");
    let listed = lab.rbuild(&["ps"]).success().stdout;
    assert!(listed.contains("(Paused)"), "{listed}");
    lab.rbuild(&["unpause", "small"]).success();
    assert_eq!(field(&lab, "small", "{{.State.Status}}"), "running");
    let twice = lab.rbuild(&["unpause", "small"]).failure();
    twice.says("is not paused");
    let told = lab
        .rbuild(&["stats", "--no-stream", "--format", "{{.MemUsage}}"])
        .success();
    assert!(told.stdout.contains("/ 32MiB"), "{told}");
    lab.rbuild(&["rm", "-f", "small"]).success();

    let hungry = "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done";
    let run = [
        "run", "--name", "hungry", "--memory", "16m", "app", "sh", "-c", hungry,
    ];
    assert_eq!(lab.rbuild(&run).status.code(), Some(137));
    assert_eq!(field(&lab, "hungry", "{{.State.OOMKilled}}"), "true");
    lab.rbuild(&["rm", "hungry"]).success();
    lab.assert_nothing_left();
}

#[test]
fn stats_count_what_went_over_a_containers_own_network_and_to_its_disks() {
    let Some(lab) = lab(Caller::Root) else { return };
    let traffic = |name: &str| {
        let format = "{{.NetIO}}, {{.BlockIO}}";
        let told = lab.rbuild(&["stats", "--no-stream", "--format", format, name]);
        told.success().stdout
    };
    detached(&lab, &["--name", "own"], "sleep 1000");
    let ping = "ping -c 3 $(ip route | awk '/default/ { print $3 }')";
    lab.rbuild(&["exec", "-u", "0", "own", "sh", "-c", ping])
        .success();
    let write = "dd if=/dev/zero of=/file bs=1M count=3 && sync";
    lab.rbuild(&["exec", "-u", "0", "own", "sh", "-c", write])
        .success();
    let told = traffic("own");
    assert!(!told.starts_with("0B"), "{told}");
    assert!(!told.contains("--"), "{told}");
    detached(
        &lab,
        &["--name", "hosts", "--network", "host"],
        "sleep 1000",
    );
    let told = traffic("hosts");
    assert!(told.starts_with("0B / 0B, "), "{told}");
    lab.rbuild(&["rm", "-f", "own", "hosts"]).success();
    lab.assert_nothing_left();
}
