//! `SOURCE_DATE_EPOCH`: the same image whoever builds it, and no step again for another epoch.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rstest::rstest;
use serde_json::Value;

use crate::support::{Caller, Lab};

const DOCKERFILE: &str = "\
FROM busybox
COPY data.txt /data.txt
RUN cat data.txt > made; mkdir -p dir; touch -d @1000000000 older
COPY --link data.txt /linked.txt
WORKDIR /work
ENTRYPOINT [\"true\"]
";
const EPOCH: &str = "SOURCE_DATE_EPOCH=1700000000";

/// The image's config and its manifest in the form of other tools.
fn image(lab: &Lab, arguments: &[&str], age: u64) -> (Value, Value) {
    let project = lab.project(DOCKERFILE);
    project.file("data.txt", "data");
    let modified = SystemTime::now() - Duration::from_secs(age);
    let file = fs::File::options()
        .write(true)
        .open(project.dir.join("data.txt"))
        .expect("it was written");
    file.set_modified(modified).expect("it is ours");
    let layout = lab.layout(&project, arguments);
    (layout.config(), layout.manifest())
}

#[rstest]
fn two_machines_build_the_same_image_under_an_epoch(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let (Some(used), Some(clean)) = (Lab::new(caller), Lab::new(caller)) else {
        return;
    };
    // This machine has built it before: without an epoch, under an earlier one, and from an older checkout.
    image(&used, &[], 90_000);
    image(
        &used,
        &["--build-arg", "SOURCE_DATE_EPOCH=1600000000"],
        80_000,
    );
    for epoch in [EPOCH, "SOURCE_DATE_EPOCH=4000000000"] {
        let arguments = ["--build-arg", epoch];
        assert_eq!(
            image(&used, &arguments, 70_000),
            image(&clean, &arguments, 1000),
            "{epoch}"
        );
    }
}

#[rstest]
fn another_epoch_runs_no_step_again(#[values(Caller::Root, Caller::Ranges)] caller: Caller) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(DOCKERFILE);
    project.file("data.txt", "data");
    let first = lab.build(&project, &["--build-arg", EPOCH]);
    let second = lab.build(&project, &["--build-arg", "SOURCE_DATE_EPOCH=1800000000"]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_ne!(first.image(), second.image());
}

#[test]
fn an_epoch_dates_what_is_new_and_leaves_the_base_alone() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let (base, _) = image(&lab, &[], 10);
    let (config, manifest) = image(&lab, &["--build-arg", EPOCH], 10);
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    let history = config["history"].as_array().expect("a history");
    let before = base["history"].as_array().expect("a history");
    let (old, new) = history.split_at(history.len() - 5);
    assert_eq!(old, &before[..old.len()]);
    assert!(
        new.iter()
            .all(|entry| entry["created"] == "2023-11-14T22:13:20Z")
    );
    let layers = manifest["layers"].as_array().expect("layers");
    assert!(layers.iter().all(|layer| layer["annotations"].is_null()));
}

#[test]
fn rewritten_timestamps_keep_what_is_older_and_are_told_in_the_manifest() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(DOCKERFILE);
    project.file("data.txt", "data");
    let path = lab.path("out/rewritten");
    let output = format!(
        "type=oci,tar=false,rewrite-timestamp=true,dest={}",
        path.display()
    );
    lab.build(&project, &["-o", &output, "--build-arg", EPOCH]);
    let layout = crate::support::Layout::new(&path);
    let manifest = layout.manifest();
    let layers = manifest["layers"].as_array().expect("layers");
    let (base, own) = layers.split_at(layers.len() - 4);
    assert!(base.iter().all(|layer| layer["annotations"].is_null()));
    for layer in own {
        let annotation = &layer["annotations"]["buildkit/rewritten-timestamp"];
        assert_eq!(annotation, "1700000000");
    }
    let run = layout.blob(&own[1]["digest"]);
    let listed = Command::new("tar")
        .args(["--full-time", "--utc", "-tvzf"])
        .arg(run)
        .output()
        .expect("tar is there");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let time_of = |name: &str| {
        let line = listed.lines().find(|line| line.ends_with(name));
        line.unwrap_or_default().contains("2023-11-14 22:13:20")
    };
    assert!(time_of("made") && time_of("dir/"), "{listed}");
    assert!(listed.contains("2001-09-09 01:46:40 older"), "{listed}");
}

#[test]
fn an_epoch_may_be_reset_for_one_output() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("ARG SOURCE_DATE_EPOCH=1445412480\nFROM scratch\nCOPY data.txt /\n");
    project.file("data.txt", "data");
    let layout = lab.layout(&project, &[]);
    assert_eq!(layout.config()["created"], "2015-10-21T07:28:00Z");
    let path = lab.path("out/reset");
    let output = format!(
        "type=oci,tar=false,rewrite-timestamp=true,source-date-epoch=,dest={}",
        path.display()
    );
    lab.build(&project, &["-o", &output]);
    let manifest = crate::support::Layout::new(&path).manifest();
    assert!(manifest["layers"][0]["annotations"].is_null(), "{manifest}");
}

#[test]
fn an_epoch_that_means_nothing_is_refused_where_it_stands() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("ARG SOURCE_DATE_EPOCH=soon\nFROM scratch\nCOPY data.txt /\n");
    project.file("data.txt", "data");
    let outcome = lab.try_build(&project, &[]).failure();
    let outcome = outcome.says("invalid SOURCE_DATE_EPOCH: soon");
    outcome.says("Dockerfile:1:23");
}
