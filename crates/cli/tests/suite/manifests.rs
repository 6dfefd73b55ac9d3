//! `rbuild manifest`: lists that are put together here and pushed when they are complete.

use rbuild_testkit::{Registry, RegistrySetup, TestCertificates};
use serde_json::Value;

use crate::support::{Caller, Lab, require, run};

/// A place, a registry, and an image for each of two architectures in it.
fn matrix(setup: &RegistrySetup) -> Option<(Lab, Registry)> {
    let lab = Lab::with_bases(Caller::Root, &[])?;
    let registry = Registry::start_with(setup)?;
    for arch in ["amd64", "arm64"] {
        let project = lab.project("FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n");
        project.file("a", arch);
        let output = format!(
            "type=registry,name={}/app:{arch},registry.insecure=true",
            registry.host()
        );
        let platform = format!("--platform=linux/{arch}");
        lab.build(&project, &[&platform, "-o", &output]);
    }
    Some((lab, registry))
}

fn manifest(lab: &Lab, arguments: &[&str]) -> String {
    let all = [&["manifest"], arguments].concat();
    lab.rbuild(&all).success().stdout
}

fn index(lab: &Lab, name: &str) -> Value {
    serde_json::from_str(&manifest(lab, &["inspect", name])).expect("JSON")
}

#[test]
fn a_list_is_put_together_annotated_and_pushed_as_docker_does_it() {
    let Some((lab, registry)) = matrix(&RegistrySetup::default()) else {
        return;
    };
    let host = registry.host();
    let (list, amd, arm) = (
        format!("{host}/app:1"),
        format!("{host}/app:amd64"),
        format!("{host}/app:arm64"),
    );
    let created = manifest(&lab, &["create", &list, &amd]);
    assert_eq!(created, format!("Created manifest list {list}\n"));
    let again = lab.rbuild(&["manifest", "create", &list, &arm]).failure();
    assert!(again.stderr.contains("--amend"), "{again}");
    manifest(&lab, &["create", "--amend", &list, &arm]);
    let annotate = ["--variant=v8", "--os-features=a,b", "--os-version=1"];
    manifest(
        &lab,
        &[&["annotate", &list, &arm][..], &annotate[..]].concat(),
    );
    assert_eq!(manifest(&lab, &["ls"]), format!("{list}\n"));

    let here = index(&lab, &list);
    let platform = &here["manifests"][1]["platform"];
    let expected = serde_json::json!({
        "architecture": "arm64", "os": "linux", "variant": "v8",
        "os.version": "1", "os.features": ["a", "b"],
    });
    assert_eq!(*platform, expected);
    let digest = manifest(&lab, &["push", "-p", &list]);
    assert_eq!(manifest(&lab, &["ls"]), "");
    // What is there is what was here, and others read it.
    assert_eq!(index(&lab, &list), here);
    let raw = registry.inspect_raw("app:1").expect("an index");
    assert_eq!(serde_json::from_slice::<Value>(&raw).expect("JSON"), here);
    let source = format!("docker://{list}");
    let inspect = [
        "inspect",
        "--tls-verify=false",
        "--override-arch=arm64",
        "--override-variant=v8",
        "--format={{.Architecture}}",
        &source,
    ];
    assert_eq!(run("skopeo", &inspect).success().stdout, "arm64\n");
    let by_digest = format!("{host}/app@{}", digest.trim());
    assert_eq!(index(&lab, &by_digest), here);
    let verbose: Value =
        serde_json::from_str(&manifest(&lab, &["inspect", "-v", &list])).expect("JSON");
    assert_eq!(verbose[1]["Descriptor"]["platform"]["variant"], "v8");
    assert!(verbose[1]["OCIManifest"]["layers"].is_array(), "{verbose}");
}

#[test]
fn images_from_elsewhere_travel_with_the_list_and_an_index_gives_all_it_has() {
    let (Some((lab, registry)), Some(other)) =
        (matrix(&RegistrySetup::default()), Registry::start())
    else {
        return;
    };
    let name = |tag: &str| format!("{}/app:{tag}", registry.host());
    let both = name("both");
    manifest(&lab, &["create", &both, &name("amd64"), &name("arm64")]);
    manifest(&lab, &["push", &both]);
    let there = format!("{}/mirror/app:1", other.host());
    manifest(&lab, &["create", &there, &both]);
    let pushed = manifest(&lab, &["push", &there]);
    assert_eq!(pushed.matches("Pushed ref ").count(), 2, "{pushed}");
    drop(registry);
    let wanted = ["--platform=linux/arm64", &there];
    lab.rbuild(&[&["pull"][..], &wanted[..]].concat()).success();
    let entry = index(&lab, &there)["manifests"][0]["digest"].clone();
    let entry = format!(
        "{}/mirror/app@{}",
        other.host(),
        entry.as_str().expect("one")
    );
    assert!(index(&lab, &entry)["layers"].is_array());
}

#[test]
fn what_is_wrong_with_a_list_is_told() {
    let Some((lab, registry)) = matrix(&RegistrySetup::default()) else {
        return;
    };
    let host = registry.host();
    let (list, amd) = (format!("{host}/app:1"), format!("{host}/app:amd64"));
    let fails = |arguments: &[&str], word: &str| {
        let outcome = lab.rbuild(&[&["manifest"], arguments].concat()).failure();
        assert!(outcome.stderr.contains(word), "{outcome}");
    };
    fails(&["push", &list], "rbuild manifest create");
    fails(&["rm", &list], "no such manifest list");
    fails(&["create", &list, &format!("{host}/app:none")], "none");
    manifest(&lab, &["create", &list, &amd]);
    fails(
        &["annotate", &list, &amd, "--arch=arm46"],
        "unknown architecture",
    );
    fails(
        &["annotate", &list, &format!("{host}/app:2")],
        "does not exist in",
    );
    // An image that says nothing of its platform has to be annotated.
    manifest(&lab, &["annotate", &list, &amd, "--os="]);
    fails(&["push", &list], "manifest annotate");
    manifest(&lab, &["rm", &list]);
}

#[test]
fn a_registry_is_trusted_with_insecure() {
    if !require("openssl", "certificates") {
        return;
    }
    let certificates = tempfile::tempdir().expect("a directory");
    let setup = RegistrySetup {
        tls: Some(TestCertificates::make(certificates.path()).expect("certificates")),
        ..RegistrySetup::default()
    };
    let Some((lab, registry)) = matrix(&setup) else {
        return;
    };
    let (list, amd) = (
        format!("{}/app:1", registry.host()),
        format!("{}/app:amd64", registry.host()),
    );
    let create = ["manifest", "create", &list, &amd];
    let outcome = lab.rbuild(&create).failure();
    assert!(outcome.stderr.contains("certificate"), "{outcome}");
    manifest(&lab, &["create", "--insecure", &list, &amd]);
    manifest(&lab, &["push", "--insecure", &list]);
    manifest(&lab, &["inspect", "--insecure", &amd]);
}

#[test]
fn images_of_some_platforms_are_chosen_and_what_is_attested_is_shown() {
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let project = lab.project("FROM scratch\nCOPY a /a\n");
    project.file("a", "a");
    let name = |tag: &str| format!("{}/app:{tag}", registry.host());
    let all = "--platform=linux/amd64,linux/arm64,linux/riscv64";
    let attested = ["--provenance=true", "--sbom=true"];
    lab.build(
        &project,
        &[&["--push", "-t", &name("all"), all][..], &attested[..]].concat(),
    );
    let create = ["imagetools", "create", "-p", "linux/arm64,linux/amd64"];
    let create = |tag: &str| {
        lab.rbuild(&[&create[..], &["-t", &name(tag), &name("all")]].concat())
            .success()
    };
    create("some");
    let some = index(&lab, &name("some"));
    let of = |entry: &Value| entry["platform"]["architecture"].clone();
    let entries = some["manifests"].as_array().expect("entries");
    let platforms: Vec<Value> = entries.iter().map(of).collect();
    assert_eq!(platforms, ["amd64", "arm64", "unknown", "unknown"]);

    let shown = |format: &str, tag: &str| {
        let inspect = ["imagetools", "inspect", "--format", format, &name(tag)];
        let shown = lab.rbuild(&inspect).success().stdout;
        serde_json::from_str::<Value>(&shown).expect("JSON")
    };
    let provenance = shown("{{json .Provenance}}", "some");
    let definition = &provenance["linux/arm64"]["SLSA"]["buildDefinition"];
    assert!(definition["buildType"].is_string(), "{provenance}");
    let version = shown("{{json .SBOM}}", "some")["linux/amd64"]["SPDX"]["spdxVersion"].clone();
    assert_eq!(version, "SPDX-2.3");
    let wrong = [
        "imagetools",
        "create",
        "-p",
        "linux/s390x",
        "-t",
        &name("x"),
        &name("all"),
    ];
    let outcome = lab.rbuild(&wrong).failure();
    assert!(outcome.stderr.contains("linux/s390x"), "{outcome}");
}
