//! Of an image for several platforms one, of a repository all tags: what docker's `--platform` and `--all-tags` choose.

use rbuild_testkit::Registry;
use serde_json::Value;

use crate::support::{Caller, Lab};

/// A place with an image `app` for two platforms, each with its name in a label.
fn lab() -> Option<Lab> {
    let lab = Lab::new(Caller::Root)?;
    let project = lab
        .project("FROM scratch\nARG TARGETARCH\nLABEL made-for=$TARGETARCH\nCOPY Dockerfile /\n");
    lab.build(
        &project,
        &["-t", "app", "--platform", "linux/amd64,linux/arm64"],
    );
    Some(lab)
}

#[test]
fn one_platform_of_an_image_is_looked_at() {
    let Some(lab) = lab() else { return };
    let out = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        lab.rbuild(&words).success().stdout
    };
    for architecture in ["amd64", "arm64"] {
        let platform = format!("--platform linux/{architecture}");
        let told = out(&format!(
            "image inspect {platform} -f {{{{.Architecture}}}} app"
        ));
        assert_eq!(told, format!("{architecture}\n"));
        let told = out(&format!("history --no-trunc {platform} app"));
        assert!(told.contains(&format!("made-for={architecture}")), "{told}");
    }
    for verb in [&["image", "inspect"][..], &["history"]] {
        lab.rbuild(&[verb, &["--platform", "linux/s390x", "app"]].concat())
            .failure()
            .says("image app is not here for linux/s390x");
    }
}

#[test]
fn one_platform_or_all_tags_are_pushed() {
    let Some(lab) = lab() else { return };
    let Some(registry) = Registry::start() else {
        return;
    };
    let manifest = |name: &str| -> Value {
        let raw = registry.inspect_raw(name).expect("a manifest");
        serde_json::from_slice(&raw).expect("JSON")
    };
    let team = format!("{}/team/app", registry.host());
    for name in ["one", "two"] {
        lab.rbuild(&["tag", "app", &format!("{team}:{name}")])
            .success();
    }
    lab.rbuild(&["tag", "app", &format!("{team}-other:one")])
        .success();
    let told = lab.rbuild(&["push", "-a", &team]).success().stdout;
    for tag in ["one", "two"] {
        assert!(told.contains(&format!("{tag}: digest: sha256:")), "{told}");
        assert!(manifest(&format!("team/app:{tag}"))["manifests"].is_array());
    }
    assert!(registry.inspect_raw("team/app-other:one").is_err());

    let only = format!("{team}:only");
    lab.rbuild(&["tag", "app", &only]).success();
    lab.rbuild(&["push", "--platform", "linux/arm64", &only])
        .success();
    assert!(manifest("team/app:only")["layers"].is_array());
    lab.rbuild(&["push", "--platform", "linux/s390x", &only])
        .failure()
        .says("is not here for linux/s390x");
    lab.rbuild(&["push", "-a", &only])
        .failure()
        .says("tag can't be used with --all-tags/-a");
    lab.rbuild(&["pull", "-a", &team])
        .says("--all-tags is refused: name the tags");
}
