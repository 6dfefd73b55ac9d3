//! Images in registries, put together and looked at without pulling them.

use rbuild_testkit::Registry;
use serde_json::Value;

use crate::support::{Caller, Lab, run};

const TWO: &[(&str, &str)] = &[("linux/amd64", "amd"), ("linux/arm64", "arm")];

/// A place, a registry, and images for two platforms in it, each under a tag of its own, as the jobs of a matrix push them.
fn matrix() -> Option<(Lab, Registry)> {
    let lab = Lab::with_bases(Caller::Root, &[])?;
    let registry = Registry::start()?;
    for (platform, tag) in TWO {
        let project = lab.project("FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n");
        project.file("a", tag);
        let name = format!("{}/app:{tag}", registry.host());
        lab.build(&project, &["--platform", platform, "--push", "-t", &name]);
    }
    Some((lab, registry))
}

fn raw(lab: &Lab, name: &str) -> Value {
    let shown = lab
        .rbuild(&["imagetools", "inspect", "--raw", name])
        .success();
    serde_json::from_str(&shown.stdout).expect("JSON")
}

fn platforms(index: &Value) -> Vec<String> {
    let entries = index["manifests"].as_array().expect("entries").iter();
    let platform = |entry: &Value| {
        entry["platform"]["architecture"]
            .as_str()
            .map(str::to_owned)
    };
    entries.filter_map(platform).collect()
}

fn digest(lab: &Lab, name: &str) -> String {
    let format = "{{.Manifest.digest}}";
    let shown = lab
        .rbuild(&["imagetools", "inspect", "--format", format, name])
        .success();
    shown.stdout.trim().to_owned()
}

#[test]
fn images_of_a_matrix_become_one_image_for_all_platforms() {
    let Some((lab, registry)) = matrix() else {
        return;
    };
    let host = registry.host();
    let (app, amd, arm) = (
        format!("{host}/app:1"),
        format!("{host}/app:amd"),
        format!("{host}/app:arm"),
    );
    // By name and by digest: both are in one repository.
    let create = [
        "imagetools",
        "create",
        "-t",
        &app,
        &amd,
        &digest(&lab, &arm),
    ];
    let created = lab.rbuild(&create).success();
    assert_eq!(
        created.stdout.trim(),
        format!("{app}@{}", digest(&lab, &app))
    );
    assert_eq!(platforms(&raw(&lab, &app)), ["amd64", "arm64"]);
    // What others make of it.
    let source = format!("docker://{app}");
    let arguments = [
        "inspect",
        "--tls-verify=false",
        "--override-arch=arm64",
        "--format={{.Architecture}}",
        &source,
    ];
    assert_eq!(run("skopeo", &arguments).success().stdout.trim(), "arm64");
    let listed = lab
        .rbuild(&["imagetools", "inspect", &app])
        .success()
        .stdout;
    for line in [
        "Name:      ",
        "MediaType: application/vnd.oci.image.index.v1+json",
        "  Platform:   linux/arm64",
    ] {
        assert!(listed.contains(line), "{line:?} is not in\n{listed}");
    }
}

#[test]
fn an_image_is_copied_with_all_its_blobs_to_another_registry() {
    let (Some((lab, registry)), Some(other)) = (matrix(), Registry::start()) else {
        return;
    };
    let (amd, arm) = (
        format!("{}/app:amd", registry.host()),
        format!("{}/app:arm", registry.host()),
    );
    let both = format!("{}/mirror/app:both", other.host());
    lab.rbuild(&["imagetools", "create", "-t", &both, &amd, &arm])
        .success();
    let copy = format!("{}/mirror/app:amd", other.host());
    lab.rbuild(&[
        "imagetools",
        "create",
        "--prefer-index=false",
        "-t",
        &copy,
        &amd,
    ])
    .success();
    assert_eq!(digest(&lab, &copy), digest(&lab, &amd));
    drop(registry);
    let second = Lab::with_bases(Caller::Root, &[]).expect("as before");
    second
        .rbuild(&["pull", "--platform", "linux/arm64", &both])
        .success();
    second.rbuild(&["pull", &copy]).success();
}

#[test]
fn an_image_is_added_to_what_the_name_stands_for() {
    let Some((lab, registry)) = matrix() else {
        return;
    };
    let host = registry.host();
    let (app, amd, arm) = (
        format!("{host}/app:1"),
        format!("{host}/app:amd"),
        format!("{host}/app:arm"),
    );
    lab.rbuild(&["imagetools", "create", "-t", &app, &amd])
        .success();
    assert_eq!(platforms(&raw(&lab, &app)), ["amd64"]);
    lab.rbuild(&["imagetools", "create", "--append", "-t", &app, &arm])
        .success();
    lab.rbuild(&["imagetools", "create", "--append", "-t", &app, &amd])
        .success();
    assert_eq!(platforms(&raw(&lab, &app)), ["amd64", "arm64"]);
}

#[test]
fn annotations_are_on_the_index_or_on_its_entries() {
    let Some((lab, registry)) = matrix() else {
        return;
    };
    let host = registry.host();
    let (app, amd, arm) = (
        format!("{host}/app:1"),
        format!("{host}/app:amd"),
        format!("{host}/app:arm"),
    );
    let entry = "manifest-descriptor[linux/arm64]:only=arm";
    let create = [
        "imagetools",
        "create",
        "-t",
        &app,
        "--annotation",
        "index:a=b",
        "--annotation",
        entry,
        &amd,
        &arm,
    ];
    let shown = lab
        .rbuild(&[&create[..], &["--dry-run"]].concat())
        .success();
    lab.rbuild(&create).success();
    let index = raw(&lab, &app);
    assert_eq!(
        serde_json::from_str::<Value>(&shown.stdout).expect("JSON"),
        index
    );
    assert_eq!(index["annotations"]["a"], "b");
    assert_eq!(index["manifests"][0]["annotations"], Value::Null);
    assert_eq!(index["manifests"][1]["annotations"]["only"], "arm");
}

#[test]
fn what_cannot_be_put_together_is_refused_and_nothing_is_pushed() {
    let Some((lab, registry)) = matrix() else {
        return;
    };
    let host = registry.host();
    let (app, amd) = (format!("{host}/app:1"), format!("{host}/app:amd"));
    let missing = format!("{host}/app:missing");
    lab.rbuild(&["imagetools", "create", "-t", &app, &amd, &missing])
        .failure()
        .says("app:missing");
    lab.rbuild(&["imagetools", "create", &amd])
        .failure()
        .says("--tag");
    lab.rbuild(&["imagetools", "create", "-t", &app])
        .failure()
        .says("no sources specified");
    let other = format!("{host}/other:1");
    let digest = digest(&lab, &amd);
    lab.rbuild(&["imagetools", "create", "-t", &other, &amd, &digest])
        .failure()
        .says("the repository of");
    lab.rbuild(&["imagetools", "inspect", &app]).failure();
}

#[test]
fn the_jobs_of_a_matrix_push_by_digest_and_leave_no_tag_behind() {
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let name = format!("{}/app", registry.host());
    let project = lab.project("FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n");
    project.file("a", "x");
    let output =
        format!("type=image,name={name},push-by-digest=true,name-canonical=true,push=true");
    let pushed: Vec<String> = ["linux/amd64", "linux/arm64"]
        .iter()
        .map(|platform| {
            let file = lab.path("metadata.json");
            let metadata = format!("--metadata-file={}", file.display());
            lab.build(
                &project,
                &["--platform", platform, "-o", &output, &metadata],
            );
            let metadata: Value =
                serde_json::from_slice(&std::fs::read(file).expect("metadata")).expect("JSON");
            let digest = &metadata["containerimage.digest"];
            format!("{name}@{}", digest.as_str().expect("a digest"))
        })
        .collect();
    lab.rbuild(&["imagetools", "inspect", &name]).failure();
    let app = format!("{name}:1");
    lab.rbuild(&["imagetools", "create", "-t", &app, &pushed[0], &pushed[1]])
        .success();
    assert_eq!(platforms(&raw(&lab, &app)), ["amd64", "arm64"]);
    assert!(!lab.rbuild(&["images"]).success().stdout.contains("/app"));

    let tagged = format!("type=image,name={app},push-by-digest=true,push=true");
    lab.try_build(&project, &["-o", &tagged])
        .failure()
        .says("can't push tagged ref");
}
