//! Cache mounts as things of their own: listed, removed, taken elsewhere, kept in a place of the user's.

use std::process::Stdio;

use rstest::rstest;
use serde_json::Value;

use crate::support::{Caller, Lab, Project, Running};

/// A step that adds a line to its cache mount and tells how many there are.
fn counting(lab: &Lab, options: &str) -> Project {
    lab.project(&format!(
        "FROM busybox\nARG CACHE=go\nRUN --mount=type=cache,id=$CACHE,target=/c{options} echo run >> /c/runs && wc -l < /c/runs > /count\n"
    ))
}

fn count(lab: &Lab, project: &Project, arguments: &[&str]) -> String {
    let tree = lab.tree(project, &[&["--no-cache"], arguments].concat());
    tree.text("count").trim().to_owned()
}

fn listed(lab: &Lab) -> Vec<Value> {
    let list = lab
        .rbuild(&["cache", "mounts", "ls", "--format", "json"])
        .success();
    let lines = list.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn cache_mounts_are_listed_and_removed_by_id_but_not_while_a_build_uses_them() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = counting(&lab, ",sharing=locked");
    lab.build(&project, &[]);
    lab.build(&project, &["--build-arg=CACHE=npm"]);
    let rows = listed(&lab);
    let ids: Vec<_> = rows.iter().map(|row| row["ID"].as_str()).collect();
    assert_eq!(ids, [Some("go"), Some("npm")]);
    assert_eq!(rows[0]["Sharing"], "locked");
    assert_eq!(rows[0]["InUse"], false);
    let text = lab.rbuild(&["cache", "mounts", "ls"]).success();
    assert!(text.stdout.starts_with("ID "), "{text}");

    let busy = lab.project("FROM busybox\nRUN --mount=type=cache,id=go,target=/c echo be'gun' && until test -e /c/stop; do sleep 0.05; done\n");
    let mut running = lab.start_build(&busy, &[]);
    running.until_stderr_has("begun");
    assert_eq!(listed(&lab)[0]["InUse"], true);
    for command in [
        &["rm", "npm", "go"][..],
        &["export", "go"],
        &["import", "go", "/dev/null"],
    ] {
        let refused = lab.rbuild(&[&["cache", "mounts"], command].concat());
        assert!(!refused.status.success(), "{refused}");
    }
    assert_eq!(listed(&lab).len(), 2, "nothing was removed");
    let data = listed(&lab)[0]["Directories"][0]
        .as_str()
        .map(str::to_owned);
    std::fs::write(format!("{}/stop", data.expect("a path")), "").expect("a written file");
    running.wait().success();
    lab.rbuild(&["cache", "mounts", "rm", "go"]).success();
    assert_eq!(listed(&lab).len(), 1);
    lab.rbuild(&["cache", "mounts", "rm", "go"])
        .failure()
        .says("no cache mount \"go\"");
    lab.rbuild(&["cache", "mounts", "rm", "--all"]).success();
    assert_eq!(listed(&lab).len(), 0);
}

#[rstest]
fn a_cache_mount_moves_to_another_machine_in_a_tar(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let (Some(one), Some(other)) = (Lab::new(caller), Lab::new(caller)) else {
        return;
    };
    let project = counting(&one, "");
    assert_eq!(count(&one, &project, &[]), "1");
    let exchange = other.path("home/go.tar.zst");
    let tar = one.path("home/go.tar.zst");
    let words = |verb: &'static str, tar: &std::path::Path| {
        ["cache", "mounts", verb, "go"]
            .map(str::to_owned)
            .into_iter()
            .chain([tar.to_string_lossy().into_owned()])
            .collect::<Vec<_>>()
    };
    let run = |lab: &Lab, words: Vec<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        lab.rbuild(&words)
    };
    run(&one, words("export", &tar)).success();
    let first = std::fs::read(&tar).expect("a tar");
    assert_eq!(first[..4], [0x28, 0xb5, 0x2f, 0xfd], "zstd");
    run(&one, words("export", &tar)).success();
    assert_eq!(first, std::fs::read(&tar).expect("a tar"));
    std::fs::write(&exchange, &first).expect("a written file");
    run(&other, words("import", &exchange)).success();
    let there = counting(&other, "");
    assert_eq!(count(&other, &there, &[]), "2");
    std::fs::write(&exchange, "no tar").expect("a written file");
    run(&other, words("import", &exchange)).failure();
    assert_eq!(count(&other, &there, &[]), "3", "it is as it was");
}

#[test]
fn a_tar_goes_through_pipes() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = counting(&lab, "");
    lab.build(&project, &[]);
    let mut export = lab.command(&["cache", "mounts", "export", "go", "-"]);
    let packed = export.stdout(Stdio::piped()).output().expect("it runs");
    assert!(packed.status.success());
    let mut import = lab.command(&["cache", "mounts", "import", "copy"]);
    Running::with_input(&mut import, &packed.stdout)
        .wait()
        .success();
    assert_eq!(count(&lab, &project, &["--build-arg=CACHE=copy"]), "2");
}

#[rstest]
fn a_cache_mount_is_kept_where_the_user_wants_it(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = counting(&lab, "");
    let place = lab.path("home/kept/go");
    let option = format!("--cache-mount=/go/={}", place.display());
    assert_eq!(count(&lab, &project, &[&option]), "1");
    assert_eq!(count(&lab, &project, &[&option]), "2");
    let runs = std::fs::read_to_string(place.join("runs"));
    assert_eq!(runs.expect("a file"), "run\nrun\n");
    assert_eq!(listed(&lab).len(), 0, "the store has none");
    assert_eq!(count(&lab, &project, &["--no-cache-mounts", &option]), "1");
    let other = lab.build(&project, &["--cache-mount=gone=/nowhere"]);
    other.says("--cache-mount gone: no step of this build mounts it");
    lab.try_build(&project, &["--cache-mount=go"])
        .failure()
        .says("it is ID=PATH");
}

#[test]
fn cache_mounts_are_emptied_only_when_that_is_asked_for() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = counting(&lab, "");
    let other = counting(&lab, ",mode=0700");
    assert_eq!(count(&lab, &project, &[]), "1");
    assert_eq!(count(&lab, &project, &[]), "2");
    assert_eq!(count(&lab, &other, &[]), "1");
    assert_eq!(count(&lab, &other, &["--no-cache-mounts"]), "1");
    assert_eq!(count(&lab, &project, &[]), "1", "every mount of the id");
    let npm = ["--build-arg=CACHE=npm"];
    assert_eq!(count(&lab, &project, &npm), "1");
    assert_eq!(count(&lab, &project, &["--no-cache-mounts"]), "1");
    assert_eq!(count(&lab, &project, &npm), "2", "another build's is left");
}
