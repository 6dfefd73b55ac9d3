//! docker's management commands: `image …`, `container …`, `system …`, `builder …`, and what they remove.

use rstest::rstest;

use crate::containers::lab;
use crate::support::{Caller, Lab};

/// What a command prints.
fn out(lab: &Lab, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    lab.rbuild(&words).success().stdout
}

#[test]
fn the_longer_commands_do_what_the_short_ones_do() {
    let Some(lab) = lab(Caller::Root) else { return };
    let id = out(&lab, "container create --name one -l kind=web app true");
    for (long, short) in [
        ("image ls --format {{.Tag}}", "images --format {{.Tag}}"),
        ("image list -q", "images -q"),
        ("image history -q app", "history -q app"),
        ("image inspect app", "inspect app"),
        ("container list -aq", "ps -aq"),
        ("container ps -aq --no-trunc", "ps -aq --no-trunc"),
        ("container inspect one", "inspect one"),
        ("container logs one", "logs one"),
    ] {
        assert_eq!(out(&lab, long), out(&lab, short), "{long}");
    }
    // Each looks only for its own kind.
    let of_image = lab.rbuild(&["image", "inspect", "one"]).failure();
    of_image.says("No such image: one");
    let of_container = lab.rbuild(&["container", "inspect", "app"]).failure();
    of_container.says("No such container: app");
    out(&lab, "image tag app again");
    assert_eq!(out(&lab, "image rm again"), "Untagged: again:latest\n");
    assert_eq!(out(&lab, "container remove one"), "one\n");
    assert_eq!(id.trim().len(), 64);
    let help = lab.rbuild(&["container"]);
    assert_eq!(help.status.code(), Some(2));
    help.says("Usage: rbuild container");
}

#[rstest]
fn stopped_containers_go_with_a_prune_and_those_that_run_stay(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    out(&lab, "run -d --name busy app sleep 1000");
    let named = |name: &str| {
        let id = out(
            &lab,
            &format!("create --name {name} --label kind={name} app"),
        );
        id.trim().to_owned()
    };
    let (kept, gone) = (named("kept"), named("gone"));
    let refused = lab.rbuild(&["container", "prune"]).failure();
    refused.says("give -f");
    assert_eq!(
        out(&lab, "container prune -f --filter until=24h"),
        "Total reclaimed space: 0B\n"
    );
    let pruned = out(&lab, "container prune -f --filter label!=kind=kept");
    let rest = pruned.strip_prefix(&format!("Deleted Containers:\n{gone}\n\nTotal reclaimed"));
    assert!(
        rest.is_some_and(|rest| rest.starts_with(" space: ")),
        "{pruned}"
    );
    let pruned = out(&lab, "container prune --force --filter label=kind");
    assert!(
        pruned.starts_with(&format!("Deleted Containers:\n{kept}\n\n")),
        "{pruned}"
    );
    assert_eq!(out(&lab, "container ls -a --format {{.Names}}"), "busy\n");
    out(&lab, "rm -f busy");
}

#[test]
fn images_without_a_name_go_with_a_prune_and_all_unused_ones_on_request() {
    let Some(lab) = lab(Caller::Root) else { return };
    let first = out(&lab, "images -q --no-trunc app");
    let project = lab.project("FROM busybox\nLABEL turn=2\n");
    lab.build(&project, &["-t", "app"]);
    assert_eq!(
        out(&lab, "image prune -f --filter label=turn"),
        "Total reclaimed space: 0B\n"
    );
    let pruned = out(&lab, "image prune -f");
    let expected = format!("Deleted Images:\ndeleted: {first}\nTotal reclaimed space: ");
    assert!(pruned.starts_with(&expected), "{pruned}");
    out(&lab, "create --name user app");
    let project = lab.project("FROM busybox\nLABEL turn=3\n");
    lab.build(&project, &["-t", "spare"]);
    let pruned = out(&lab, "image prune -af");
    assert!(pruned.contains("untagged: spare:latest\n"), "{pruned}");
    let left = out(&lab, "image ls --format {{.Repository}}");
    assert!(
        left.lines().any(|name| name == "app"),
        "a container uses it"
    );
    // The cache alone: images stay.
    assert!(out(&lab, "builder prune -af").ends_with('\n'));
    assert_eq!(out(&lab, "image ls --format {{.Repository}}"), left);
    assert!(out(&lab, "container run --rm app true").is_empty());
}

#[test]
fn disk_usage_is_told_in_dockers_four_lines() {
    let Some(lab) = lab(Caller::Root) else { return };
    out(&lab, "volume create data");
    let told = out(&lab, "system df");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE"
    );
    let kinds: Vec<&str> = lines[1..].iter().map(|line| line[..16].trim()).collect();
    assert_eq!(
        kinds,
        ["Images", "Containers", "Local Volumes", "Build Cache"]
    );
    let columns = "Local Volumes   1         0         ";
    assert!(lines[3].starts_with(columns), "{told}");
    let json = out(&lab, "system df --format json");
    let first: serde_json::Value =
        serde_json::from_str(json.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(first["Type"], "Images");
}
