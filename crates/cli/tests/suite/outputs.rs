//! What outputs look like from outside: indices, folders of platforms, and what a layout says of its images.

use serde_json::Value;

use crate::support::{Caller, Lab, Layout, Project, Tree};

fn lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

const MULTI_PLATFORM: &str = "--build-arg=BUILDKIT_MULTI_PLATFORM=1";

fn small(lab: &Lab) -> Project {
    let project = lab.project("FROM scratch\nARG TARGETARCH\nCOPY a /on-$TARGETARCH\n");
    project.file("a", "x");
    project
}

#[test]
fn a_single_platform_is_treated_as_several_where_asked_for() {
    let Some(lab) = lab() else { return };
    let project = small(&lab);
    let one = ["--platform=linux/amd64", MULTI_PLATFORM];
    let index = lab.layout(&project, &one).manifest();
    assert_eq!(
        index["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "amd64");

    assert_eq!(
        lab.tree(&project, &one).paths(),
        ["linux_amd64", "linux_amd64/on-amd64"]
    );
    let out = lab.path("out/files");
    lab.build(
        &project,
        &[&one[..], &["-o", &out.display().to_string()]].concat(),
    );
    assert!(out.join("linux_amd64/on-amd64").is_file());

    let metadata = lab.path("out/metadata.json");
    let file = format!("--metadata-file={}", metadata.display());
    lab.build(&project, &[&one[..], &["-t", "app", &file]].concat());
    let metadata: Value =
        serde_json::from_slice(&std::fs::read(&metadata).expect("metadata")).expect("JSON");
    assert_eq!(
        metadata["containerimage.descriptor"]["mediaType"],
        index["mediaType"]
    );
    assert_eq!(metadata["containerimage.config.digest"], Value::Null);

    let docker = format!("type=docker,dest={}", lab.path("out/docker.tar").display());
    let outcome = lab.try_build(&project, &[&one[..], &["-o", &docker]].concat());
    assert!(outcome.failure().stderr.contains("no index"));
}

#[test]
fn platforms_are_not_several_and_one_at_once() {
    let Some(lab) = lab() else { return };
    let project = small(&lab);
    let several = "--platform=linux/amd64,linux/arm64";
    let outcome = lab
        .try_build(
            &project,
            &[several, "--build-arg=BUILDKIT_MULTI_PLATFORM=false"],
        )
        .failure();
    assert!(outcome.stderr.contains("several platforms"), "{outcome}");
    let outcome = lab
        .try_build(&project, &["--build-arg=BUILDKIT_MULTI_PLATFORM=maybe"])
        .failure();
    assert!(outcome.stderr.contains("maybe"), "{outcome}");
}

#[test]
fn platforms_share_a_tree_as_long_as_no_file_is_overwritten() {
    let Some(lab) = lab() else { return };
    let project = small(&lab);
    let several = "--platform=linux/amd64,linux/arm64";
    let tar = lab.path("out/together.tar");
    let output = format!("type=tar,platform-split=false,dest={}", tar.display());
    lab.build(&project, &[several, "-o", &output]);
    assert_eq!(Tree::read(&tar).paths(), ["on-amd64", "on-arm64"]);
    let out = lab.path("out/together");
    let output = format!("type=local,platform-split=false,dest={}", out.display());
    lab.build(&project, &[several, "-o", &output]);
    assert!(out.join("on-amd64").is_file() && out.join("on-arm64").is_file());

    let same = lab.project("FROM scratch\nCOPY a /same\n");
    same.file("a", "x");
    let outcome = lab.try_build(&same, &[several, "-o", &output]).failure();
    assert!(
        outcome
            .stderr
            .contains("cannot overwrite same from linux/amd64 with linux/arm64"),
        "{outcome}"
    );
    assert!(!out.join("same").exists());
}

#[test]
fn a_layout_says_when_it_was_written_and_what_its_images_are_called() {
    let Some(lab) = lab() else { return };
    let project = small(&lab);
    let entries = |layout: &Layout| -> Vec<Value> {
        let index = layout.index();
        let images = index["manifests"].as_array().expect("images");
        images
            .iter()
            .map(|image| image["annotations"].clone())
            .collect()
    };
    let epoch = "--build-arg=SOURCE_DATE_EPOCH=1700000000";
    let named = lab.layout(
        &project,
        &["-t", "org/repo:one", "-t", "org/repo:two", epoch],
    );
    assert_eq!(
        entries(&named),
        ["one", "two"].map(|tag| serde_json::json!({
            "io.containerd.image.name": format!("docker.io/org/repo:{tag}"),
            "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
            "org.opencontainers.image.ref.name": tag,
        }))
    );
    let unnamed = entries(&lab.layout(&project, &[]));
    assert_eq!(unnamed.len(), 1);
    assert_eq!(unnamed[0]["org.opencontainers.image.ref.name"], "latest");
    let created = unnamed[0]["org.opencontainers.image.created"].as_str();
    assert!(
        created.is_some_and(|time| time.ends_with('Z') && time.len() == 20),
        "{created:?}"
    );
}
