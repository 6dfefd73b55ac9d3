//! What is attested of images: provenance and bills of materials, where they stand and what they say.

use std::path::Path;

use rbuild_testkit::{Registry, checked_documents};
use serde_json::{Value, json};

use crate::support::{BaseImage, Caller, Lab, Layout, Project, Tree, run};

const SPDX: &str = "https://spdx.dev/Document";
const SLSA: &str = "https://slsa.dev/provenance/v1";
const STATUS: &str =
    "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\n";

/// A small image with packages of two managers.
fn packages(caller: Caller) -> Option<(Lab, Project)> {
    let lab = Lab::with_bases(caller, &[])?;
    let project = lab.project("FROM scratch\nARG VERSION\nCOPY root /\n");
    project.file("root/var/lib/dpkg/status", STATUS);
    project.file("root/etc/os-release", "ID=debian\nVERSION_ID=12\n");
    project.file(
        "root/app/Cargo.lock",
        "[[package]]\nname = \"libc\"\nversion = \"0.2.1\"\n",
    );
    Some((lab, project))
}

fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Every URL in a bill of materials.
fn purls(document: &Value) -> Vec<&str> {
    let packages = document["packages"].as_array().expect("packages");
    let references = packages
        .iter()
        .filter_map(|one| one["externalRefs"][0]["referenceLocator"].as_str());
    references.collect()
}

/// The attestation manifest of the first image, and its statements by predicate type.
fn attested(layout: &Layout) -> (Value, Vec<(String, Value)>) {
    let index = layout.manifest();
    let [image, attestation] = index["manifests"].as_array().expect("entries").as_slice() else {
        panic!("an image and what is attested of it: {index:#}");
    };
    assert_eq!(attestation["platform"]["os"], "unknown");
    assert_eq!(attestation["platform"]["architecture"], "unknown");
    let annotations = &attestation["annotations"];
    assert_eq!(
        annotations["vnd.docker.reference.type"],
        "attestation-manifest"
    );
    assert_eq!(annotations["vnd.docker.reference.digest"], image["digest"]);
    let manifest = read(&layout.blob(&attestation["digest"]));
    let statements = manifest["layers"].as_array().expect("statements").iter();
    let statements = statements.map(|layer| {
        assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
        let statement = read(&layout.blob(&layer["digest"]));
        let kind = &layer["annotations"]["in-toto.io/predicate-type"];
        assert_eq!(statement["predicateType"], *kind);
        let digest = statement["subject"][0]["digest"]["sha256"].as_str();
        assert_eq!(
            image["digest"],
            format!("sha256:{}", digest.expect("a digest"))
        );
        let kind = kind.as_str().expect("a type").to_owned();
        (kind, statement)
    });
    let statements = statements.collect();
    (manifest, statements)
}

#[test]
fn attestations_stand_in_the_index_as_buildkit_stores_them() {
    for caller in [Caller::Root, Caller::Ranges] {
        let Some((lab, project)) = packages(caller) else {
            continue;
        };
        let flags = ["--provenance=mode=max", "--sbom=true", "-t", "app"];
        let layout = lab.layout(&project, &flags);
        let (manifest, statements) = attested(&layout);
        assert_eq!(
            manifest["artifactType"],
            "application/vnd.docker.attestation.manifest.v1+json"
        );
        let image = &layout.manifest()["manifests"][0];
        assert_eq!(manifest["subject"]["digest"], image["digest"]);
        let [(sbom, document), (slsa, provenance)] = statements.as_slice() else {
            panic!("{statements:#?}");
        };
        assert_eq!((sbom.as_str(), slsa.as_str()), (SPDX, SLSA));
        let bash = "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12";
        assert_eq!(
            purls(&document["predicate"]),
            [bash, "pkg:cargo/libc@0.2.1"]
        );
        assert_eq!(provenance["_type"], "https://in-toto.io/Statement/v1");
        let name = provenance["subject"][0]["name"].as_str();
        assert!(name.is_some_and(|name| name.starts_with("pkg:docker/app@latest?platform=")));
        let metadata = &provenance["predicate"]["runDetails"]["metadata"];
        let source = &metadata["buildkit_metadata"]["source"]["infos"][0];
        assert_eq!(source["filename"], "Dockerfile");
    }
}

#[test]
fn all_documents_are_what_their_specifications_say() {
    let Some((lab, project)) = packages(Caller::Root) else {
        return;
    };
    let documents = |output: &str, flags: &[&str]| {
        let out = lab.path("out/documents");
        let output = format!("type=oci,tar=false,dest={}{output}", out.display());
        let both = ["--sbom=true", "-t", "app", "-o", &output];
        lab.build(&project, &[&both, flags].concat());
        let counted = checked_documents(&out);
        std::fs::remove_dir_all(&out).expect("ours");
        counted
    };
    let Some(counted) = documents("", &["--provenance=mode=max"]) else {
        return;
    };
    let expected = json!({
        "image-layout": 1, "image-index": 2, "image-manifest": 2, "config": 1,
        "statement": 2, "spdx": 1, "provenance": 1,
    });
    assert_eq!(counted, expected);
    let old = documents(
        ",oci-artifact=false,compression=estargz,annotation.a=b",
        &["--provenance=mode=min"],
    );
    assert_eq!(old.expect("a form of image")["config"], 2);
}

#[test]
fn tools_before_oci_1_1_get_attestations_in_the_form_of_an_image() {
    let Some((lab, project)) = packages(Caller::Root) else {
        return;
    };
    let out = lab.path("out/old");
    let output = format!(
        "type=oci,tar=false,oci-artifact=false,dest={}",
        out.display()
    );
    lab.build(&project, &["--sbom=true", "-o", &output]);
    let layout = Layout::new(&out);
    let (manifest, statements) = attested(&layout);
    assert_eq!(manifest["artifactType"], Value::Null);
    assert_eq!(manifest["subject"], Value::Null);
    let config = read(&layout.blob(&manifest["config"]["digest"]));
    assert_eq!(config["architecture"], "unknown");
    assert_eq!(
        config["rootfs"]["diff_ids"][0],
        manifest["layers"][0]["digest"]
    );
    assert_eq!(statements.len(), 1);
}

#[test]
fn build_arguments_ask_for_attestations_where_no_flag_speaks_of_them() {
    let Some((lab, project)) = packages(Caller::Root) else {
        return;
    };
    let arguments = [
        "--build-arg=BUILDKIT_ATTEST_SBOM=",
        "--build-arg=BUILDKIT_ATTEST_PROVENANCE=mode=max",
    ];
    let (_, statements) = attested(&lab.layout(&project, &arguments));
    let kinds: Vec<&str> = statements.iter().map(|(kind, _)| kind.as_str()).collect();
    assert!(kinds.contains(&SPDX) && kinds.contains(&SLSA), "{kinds:?}");
    let flag = [&arguments[..], &["--provenance=false"]].concat();
    let (_, statements) = attested(&lab.layout(&project, &flag));
    assert_eq!(statements.len(), 1);
    assert_eq!(statements[0].0, SPDX);
}

#[test]
fn an_image_has_the_same_digest_whatever_is_attested_of_it() {
    let Some((lab, project)) = packages(Caller::Root) else {
        return;
    };
    let plain = lab.layout(&project, &[]).index()["manifests"][0]["digest"].clone();
    let index = lab
        .layout(&project, &["--sbom=1", "--provenance=1"])
        .manifest();
    assert_eq!(index["manifests"][0]["digest"], plain);
    // Nothing is attested that nobody asked for.
    let off = ["--sbom=false", "--provenance", "false"];
    let off = lab.layout(&project, &off).index();
    assert_eq!(off["manifests"][0]["digest"], plain);
}

#[test]
fn with_an_epoch_the_bill_of_materials_is_the_same_every_time() {
    let Some((lab, project)) = packages(Caller::Root) else {
        return;
    };
    let flags = ["--sbom=true", "--build-arg=SOURCE_DATE_EPOCH=1700000000"];
    let first = lab.layout(&project, &flags);
    let second = lab.layout(&project, &[&flags[..], &["--no-cache"]].concat());
    let digest = |layout: &Layout| layout.index()["manifests"][0]["digest"].clone();
    assert_eq!(digest(&first), digest(&second));
    let (_, statements) = attested(&first);
    let created = &statements[0].1["predicate"]["creationInfo"]["created"];
    assert_eq!(created, "2023-11-14T22:13:20Z");
}

#[test]
fn the_bill_of_materials_lists_what_dpkg_has_installed() {
    let Some(lab) = Lab::with_bases(Caller::Root, &[BaseImage::Debian]) else {
        return;
    };
    let project = lab.project(
        "FROM debian:bookworm AS system\nRUN dpkg-query -W -f '${Package}@${Version}\\n' > /known\n\
         FROM scratch AS known\nCOPY --from=system /known /\n",
    );
    let known = lab.tree(&project, &[]).text("known");
    let layout = lab.layout(&project, &["--sbom=true", "--target=system"]);
    let (_, statements) = attested(&layout);
    let document = &statements[0].1["predicate"];
    let packages = document["packages"].as_array().expect("packages").iter();
    // The first is the image itself.
    let mut listed: Vec<String> = packages
        .skip(1)
        .map(|one| {
            let text = |key: &str| one[key].as_str().expect("text").to_owned();
            format!("{}@{}", text("name"), text("versionInfo"))
        })
        .collect();
    let mut known: Vec<&str> = known.lines().collect();
    listed.sort();
    known.sort_unstable();
    assert_eq!(listed, known);
    let libc = purls(document)
        .into_iter()
        .find(|purl| purl.contains("/libc6@"));
    assert!(libc.is_some_and(|purl| purl.contains("distro=debian-12&upstream=glibc")));
}

#[test]
fn provenance_tells_arguments_only_when_asked_and_secrets_never() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox\nARG KEY\nRUN --network=none --mount=type=secret,id=token true\nCOPY Dockerfile /\n",
    );
    project.file("token", "hunter2");
    let secret = format!(
        "--secret=id=token,src={}",
        project.dir.join("token").display()
    );
    let build = |mode: &str| {
        let flags = [&secret, "--build-arg=KEY=valuable", mode];
        let (_, statements) = attested(&lab.layout(&project, &flags));
        statements[0].1["predicate"].clone()
    };
    let (min, max) = (
        build("--provenance=true"),
        build("--provenance=mode=max,reproducible=true"),
    );
    assert!(!min.to_string().contains("valuable"), "{min:#}");
    assert!(!max.to_string().contains("hunter2"), "{max:#}");
    let request = |of: &Value| of["buildDefinition"]["externalParameters"]["request"].clone();
    assert_eq!(request(&max)["args"]["build-arg:KEY"], "valuable");
    assert_eq!(request(&max)["secrets"][0]["id"], "token");
    let metadata = |of: &Value, key: &str| of["runDetails"]["metadata"][key].clone();
    assert_eq!(metadata(&min, "buildkit_completeness")["request"], false);
    assert_eq!(metadata(&max, "buildkit_completeness")["request"], true);
    assert_eq!(metadata(&min, "buildkit_reproducible"), false);
    assert_eq!(metadata(&max, "buildkit_reproducible"), true);
    let base = Layout::new(&BaseImage::Busybox.layout()).index()["manifests"][0]["digest"].clone();
    let material = &min["buildDefinition"]["resolvedDependencies"][0];
    let digest = material["digest"]["sha256"].as_str().expect("a digest");
    let images = Layout::new(&BaseImage::Busybox.layout());
    let is_known = images
        .blob(&Value::from(format!("sha256:{digest}")))
        .exists();
    assert!(is_known, "{material} {base}");
}

#[test]
fn files_have_what_is_attested_of_them_beside_them() {
    let Some((lab, project)) = packages(Caller::Root) else {
        return;
    };
    let flags = ["--sbom=true", "--provenance=filename=slsa.json"];
    let tree = lab.tree(&project, &flags);
    assert!(tree.has("slsa.json") && tree.has("sbom.spdx.json"));
    let statement: Value = serde_json::from_str(&tree.text("sbom.spdx.json")).expect("JSON");
    let subjects = statement["subject"].as_array().expect("subjects").iter();
    let names: Vec<_> = subjects.map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&Some("app/Cargo.lock")), "{names:?}");

    let both = ["--platform=linux/amd64,linux/arm64", "--sbom=true", "-o"];
    let out = lab.path("out/split");
    let output = format!("type=local,attestation-prefix=my-,dest={}", out.display());
    lab.build(&project, &[&both[..], &[&output]].concat());
    assert!(out.join("linux_arm64/my-sbom.spdx.json").is_file());

    let project = lab.project("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH/\n");
    let path = lab.path("out/one.tar");
    let output = format!("type=tar,platform-split=false,dest={}", path.display());
    lab.build(&project, &[&both[..], &[&output]].concat());
    let tree = Tree::read(&path);
    assert!(tree.has("sbom.spdx.linux_amd64.json") && tree.has("sbom.spdx.linux_arm64.json"));
}

#[test]
fn an_attested_image_can_be_run_built_upon_and_pushed() {
    let (Some(lab), Some(registry)) = (Lab::new(Caller::Root), Registry::start()) else {
        return;
    };
    let name = format!("{}/app:1", registry.host());
    let project = lab.project("FROM busybox\nRUN echo made > /made\n");
    lab.build(&project, &["--sbom=true", "--provenance=true", "-t", &name]);
    let ran = lab.rbuild(&["run", "--rm", &name, "cat", "/made"]);
    assert_eq!(ran.success().stdout, "made\n");
    let above = lab.project(&format!("FROM {name}\nRUN grep made /made\n"));
    lab.build(&above, &[]);
    lab.rbuild(&["fsck"]).success();
    // The store keeps layers uncompressed, so the manifest is another one in the registry.
    lab.rbuild(&["push", &name]).success();
    let raw = |reference: &str| -> Value {
        let reference = format!("docker://{reference}");
        let arguments = ["inspect", "--raw", "--tls-verify=false", &reference];
        serde_json::from_str(&run("skopeo", &arguments).success().stdout).expect("JSON")
    };
    let index = raw(&name);
    let (image, attestation) = (&index["manifests"][0], &index["manifests"][1]);
    assert_eq!(
        attestation["annotations"]["vnd.docker.reference.digest"],
        image["digest"]
    );
    let digest = attestation["digest"].as_str().expect("a digest");
    let manifest = raw(&format!("{}/app@{digest}", registry.host()));
    assert_eq!(manifest["subject"]["digest"], image["digest"]);
    // All of it is there, statements included, and another build takes the image from there.
    let all = lab.path("out/all");
    let (from, to) = (
        format!("docker://{name}"),
        format!("oci:{}:app", all.display()),
    );
    run(
        "skopeo",
        &["copy", "--all", "--src-tls-verify=false", &from, &to],
    )
    .success();
    let (_, statements) = attested(&Layout::new(&all));
    assert_eq!(statements.len(), 2);
    lab.build(&above, &["--pull"]);
}

#[test]
fn metadata_tells_what_was_built_from_what_as_far_as_it_is_asked_for() {
    let Some((lab, project)) = packages(Caller::Root) else {
        return;
    };
    let file = lab.path("metadata.json");
    let metadata = format!("--metadata-file={}", file.display());
    let told = |mode: Option<&str>| {
        let mut command = lab.build_command(&[&metadata, "--build-arg=VERSION=9"]);
        command.arg(&project.dir);
        if let Some(mode) = mode {
            command.env("BUILDX_METADATA_PROVENANCE", mode);
        }
        assert!(command.output().expect("a build").status.success());
        read(&file)["buildx.build.provenance"].clone()
    };
    let min = told(None);
    assert_eq!(min["buildType"], "https://mobyproject.org/buildkit@v1");
    assert_eq!(min["metadata"], Value::Null);
    let max = told(Some("max"));
    assert_eq!(max["metadata"]["completeness"]["materials"], false);
    assert_eq!(told(Some("disabled")), Value::Null);
}
