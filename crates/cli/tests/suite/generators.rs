//! Images that look for packages (`--sbom=generator=IMAGE`), and what is found from an image alone.

use serde_json::Value;

use rbuild_testkit::{FaultProxy, Registry};

use crate::support::{Caller, Lab, Layout, run};

/// Says of each tree what is in it, and that it cannot be written to.
const SCANNER: &str = r#"set -e
trees=$BUILDKIT_SCAN_SOURCE
[ -z "$BUILDKIT_SCAN_SOURCE_EXTRAS" ] || trees="$trees $BUILDKIT_SCAN_SOURCE_EXTRAS/*"
for tree in $trees; do
  ! touch "$tree/x" 2>/dev/null
  name=$(basename "$tree")
  printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":[],"predicate":{"name":"%s","mode":"%s","files":"%s"}}' \
    "$name" "$BUILDKIT_SCAN_MODE" "$(echo $(ls "$tree"))" >"$BUILDKIT_SCAN_DESTINATION/$name.spdx.json"
done
"#;

fn lab() -> Option<Lab> {
    let lab = Lab::new(Caller::Root)?;
    let scanner = lab.project("FROM busybox\nCOPY scan /\nENTRYPOINT [\"/bin/sh\", \"/scan\"]\n");
    scanner.file("scan", SCANNER);
    lab.build(&scanner, &["-t", "scanner"]);
    Some(lab)
}

/// The predicates of the attestations of the first image.
fn predicates(layout: &Layout) -> Vec<Value> {
    let read = |digest: &Value| -> Value {
        let bytes = std::fs::read(layout.blob(digest)).expect("a blob");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let manifest = read(&layout.manifest()["manifests"][1]["digest"]);
    let statements = manifest["layers"].as_array().expect("statements").iter();
    statements
        .map(|layer| read(&layer["digest"])["predicate"].clone())
        .collect()
}

#[test]
fn a_generator_sees_the_image_and_what_else_arguments_ask_for() {
    let Some(lab) = lab() else { return };
    let project = lab.project(
        "ARG BUILDKIT_SBOM_SCAN_STAGE=tools\nFROM scratch AS tools\nCOPY tool /\n\
         FROM scratch AS other\nCOPY other /\n\
         FROM scratch\nARG BUILDKIT_SBOM_SCAN_CONTEXT=true\nCOPY --from=tools /tool /made\nCOPY --from=other /other /\n",
    );
    project.file("tool", "t");
    project.file("other", "o");
    let flags = ["--sbom=generator=scanner,mode=deep"];
    let layout = lab.layout(&project, &flags);
    let told: Vec<String> = predicates(&layout)
        .iter()
        .map(|one| format!("{} {} {}", one["name"], one["mode"], one["files"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "sbom deep made other",
            "sbom-context deep Dockerfile other tool",
            "sbom-tools deep tool",
        ]
    );
    // The same trees are not looked through again.
    let again = lab.build(&project, &[&flags[..], &["-o", "type=cacheonly"]].concat());
    assert!(again.ran().is_empty(), "{again}");

    // We look through the same ones ourselves.
    let own = predicates(&lab.layout(&project, &["--sbom=true"]));
    let names: Vec<_> = own.iter().map(|one| one["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            Some("image"),
            Some("image (context)"),
            Some("image (tools)")
        ]
    );
}

#[test]
fn a_generator_that_does_not_do_its_work_fails_the_build() {
    let Some(lab) = lab() else { return };
    let scanner = lab.project("FROM busybox\nENTRYPOINT [\"true\"]\n");
    lab.build(&scanner, &["-t", "idle"]);
    let project = lab.project("FROM scratch\nCOPY Dockerfile /\n");
    lab.try_build(&project, &["--sbom=generator=idle"])
        .failure()
        .says("the generator wrote nothing to /run/out");
    lab.try_build(&project, &["--sbom=mode=deep"])
        .failure()
        .says("none is named: give generator=IMAGE");
}

#[test]
fn referrers_are_found_from_an_image_that_is_as_if_nothing_were_attested() {
    let (Some(lab), Some(registry)) = (Lab::with_bases(Caller::Root, &[]), Registry::start())
    else {
        return;
    };
    let project = lab.project("FROM scratch\nCOPY Dockerfile /\n");
    let name = format!("{}/app:1", registry.host());
    // One whose registry has the API for referrers, and one whose has not.
    let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
    proxy.list_referrers(None);
    let listed = format!("{}/listed:1", proxy.host());
    let raw = |reference: &str| -> Value {
        let reference = format!("docker://{reference}");
        let arguments = ["inspect", "--raw", "--tls-verify=false", &reference];
        serde_json::from_str(&run("skopeo", &arguments).success().stdout).expect("JSON")
    };
    let plain = lab.build(&project, &["-q", "-t", &name, "--push"]);
    let output = format!("type=registry,name={name},attestations=referrers");
    for flag in ["--sbom=true", "--provenance=true"] {
        let attested = lab.build(&project, &["-q", flag, "-o", &output]);
        assert_eq!(attested.stdout, plain.stdout);
        let output = format!("type=registry,name={listed},attestations=referrers");
        lab.build(&project, &["-q", flag, "-o", &output]);
    }
    assert_eq!(proxy.count("PUT", "/manifests/sha256-"), 0);
    for name in [&name, &listed] {
        let format = "{{.SBOM.SPDX.spdxVersion}} {{.Provenance.SLSA.buildDefinition.buildType}}";
        let shown = lab.rbuild(&["imagetools", "inspect", "--format", format, name]);
        let shown = shown.success().stdout;
        assert!(shown.starts_with("SPDX-2.3 https://"), "{shown}");
    }
    let manifest = raw(&name);
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    let shown = lab.rbuild(&[
        "imagetools",
        "inspect",
        "--format",
        "{{json .Manifest}}",
        &name,
    ]);
    let shown: Value = serde_json::from_str(&shown.success().stdout).expect("JSON");
    let digest = shown["digest"].as_str().expect("a digest");
    let digest = digest.trim_start_matches("sha256:");
    // Debian's registry has no API for referrers.
    let index = raw(&format!("{}/app:sha256-{digest}", registry.host()));
    let entries = index["manifests"].as_array().expect("entries");
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let referrer = entry["digest"].as_str().expect("a digest");
        let referrer = raw(&format!("{}/app@{referrer}", registry.host()));
        assert_eq!(referrer["subject"]["digest"], format!("sha256:{digest}"));
        assert_eq!(referrer["artifactType"], entry["artifactType"]);
    }
    let nowhere = format!(
        "type=oci,attestations=referrers,dest={}",
        lab.path("x").display()
    );
    lab.try_build(&project, &["--sbom=true", "-o", &nowhere])
        .failure()
        .says("attestations=referrers is for what is pushed");
}
