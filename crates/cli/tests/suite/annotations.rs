//! Annotations of what is built.

use rbuild_testkit::Registry;
use serde_json::{Value, json};

use crate::support::{Caller, Lab, Project};

const BOTH: &str = "--platform=linux/amd64,linux/arm64";

fn lab() -> Option<(Lab, Project)> {
    let lab = Lab::with_bases(Caller::Root, &[])?;
    let project = lab.project("FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n");
    project.file("a", "x");
    Some((lab, project))
}

#[test]
fn annotations_stand_on_manifests_indexes_and_what_describes_them() {
    let Some((lab, project)) = lab() else { return };
    let flags = [
        "--annotation=all=m",
        "--annotation=manifest[linux/arm64]:all=arm",
        "--annotation=index,manifest-descriptor[linux/amd64]:two=places",
        "--annotation=index-descriptor:outer=most",
    ];
    let layout = lab.layout(&project, &[&[BOTH][..], &flags].concat());
    let outer = &layout.index()["manifests"][0]["annotations"];
    assert_eq!(outer["outer"], "most");
    let index = layout.manifest();
    assert_eq!(index["annotations"], json!({ "two": "places" }));
    assert_eq!(
        index["manifests"][0]["annotations"],
        json!({ "two": "places" })
    );
    assert_eq!(index["manifests"][1]["annotations"], Value::Null);
    let of = |entry: usize| {
        let path = layout.blob(&index["manifests"][entry]["digest"]);
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(path).expect("a manifest")).expect("JSON");
        manifest["annotations"].clone()
    };
    assert_eq!(of(0), json!({ "all": "m" }));
    assert_eq!(of(1), json!({ "all": "arm" }));
}

#[test]
fn a_lone_image_has_its_annotations_in_registry_and_store_and_its_config_does_not_change() {
    let Some((lab, project)) = lab() else { return };
    let Some(registry) = Registry::start() else {
        return;
    };
    let name = format!("{}/app:1", registry.host());
    let output = format!(
        "type=image,name={name},push=true,annotation.from=output,annotation-manifest-descriptor.d=e"
    );
    let file = lab.path("metadata.json");
    let metadata = format!("--metadata-file={}", file.display());
    let both = "--annotation=from=flag";
    lab.build(
        &project,
        &[both, "--annotation=flag=kept", "-o", &output, &metadata],
    );
    let shown = lab
        .rbuild(&["imagetools", "inspect", "--raw", &name])
        .success();
    let manifest: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(
        manifest["annotations"],
        json!({ "flag": "kept", "from": "output" })
    );
    let metadata: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("metadata")).expect("JSON");
    let descriptor = &metadata["containerimage.descriptor"];
    assert_eq!(descriptor["annotations"]["d"], "e");
    assert_eq!(metadata["image.name"], name.as_str());

    let plain = lab.path("plain.json");
    let file = format!("--metadata-file={}", plain.display());
    lab.build(&project, &["-t", "plain", &file]);
    let plain: Value =
        serde_json::from_slice(&std::fs::read(&plain).expect("metadata")).expect("JSON");
    let config = "containerimage.config.digest";
    assert_eq!(plain[config], metadata[config]);
}

#[test]
fn what_has_nothing_to_stand_on_is_refused_before_anything_is_built() {
    let Some((lab, _)) = lab() else { return };
    let broken = lab.project("FROM scratch\nCOPY missing /\n");
    for (flags, says) in [
        (
            &["--annotation=index:a=b"][..],
            "index annotations not supported for single platform export",
        ),
        (
            &["-o", "type=image,annotation-index.a=b"],
            "index annotations not supported for single platform export",
        ),
        (
            &[BOTH, "--annotation=manifest[linux/riscv64]:a=b"],
            "no platform linux/riscv64",
        ),
        (&["--annotation=a"], "expected key=value"),
        (&["--annotation=else:a=b"], "unknown annotation type"),
    ] {
        lab.try_build(&broken, flags).failure().says(says);
    }
    // Files have no place for them.
    let out = format!("type=local,dest={}", lab.path("out").display());
    let project = lab.project("FROM scratch\nCOPY a /\n");
    project.file("a", "x");
    lab.build(&project, &["--annotation=index:a=b", "-o", &out]);
}
