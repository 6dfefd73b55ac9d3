//! Attributes of outputs that change what an image is made of, or what it is called.

use std::path::PathBuf;

use rbuild_image::{Digest, media_type};
use rbuild_testkit::{FaultProxy, ImageMaker, Registry, RegistrySetup, TestCertificates};
use serde_json::{Value, json};

use crate::support::{Caller, Lab, Layout, Project, require, run};

fn small(lab: &Lab) -> Project {
    let project = lab.project("FROM scratch\nCOPY a /a\nCOPY b /b\n");
    project.file("a", "a");
    project.file("b", "b");
    project
}

fn raw(registry: &Registry, name: &str) -> Value {
    let bytes = registry.inspect_raw(name).expect("a manifest");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn dockers_media_types_are_had_where_asked_for_and_other_tools_read_them() {
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let project = small(&lab);
    let name = format!("{}/app:docker", registry.host());
    let output = format!("type=image,name={name},push=true,oci-mediatypes=false");
    lab.build(&project, &["-o", &output]);
    let manifest = raw(&registry, "app:docker");
    let docker = |kind: &str| format!("application/vnd.docker.{kind}");
    assert_eq!(
        manifest["mediaType"],
        docker("distribution.manifest.v2+json")
    );
    assert_eq!(
        manifest["config"]["mediaType"],
        docker("container.image.v1+json")
    );
    for layer in manifest["layers"].as_array().expect("layers") {
        assert_eq!(layer["mediaType"], docker("image.rootfs.diff.tar.gzip"));
    }
    // Whoever pulls it converts it to the same contents; what is kept here is pushed again as it is.
    let copy = lab.path("out/copy");
    let target = format!("oci:{}:copy", copy.display());
    let source = format!("docker://{name}");
    registry
        .skopeo(&["copy", "--src-tls-verify=false", &source, &target])
        .expect("a copy");
    Layout::new(&copy).assert_conforms();
    lab.rbuild(&["push", &name]).success();
    assert_eq!(raw(&registry, "app:docker"), manifest);

    let several = "--platform=linux/amd64,linux/arm64";
    let output =
        format!("type=image,name={name},push=true,oci-mediatypes=false,compression=uncompressed");
    lab.build(&project, &["-o", &output, several]);
    let list = raw(&registry, "app:docker");
    assert_eq!(
        list["mediaType"],
        docker("distribution.manifest.list.v2+json")
    );
    for entry in list["manifests"].as_array().expect("entries") {
        assert_eq!(entry["mediaType"], docker("distribution.manifest.v2+json"));
    }
}

#[test]
fn what_dockers_media_types_do_not_know_is_written_as_ocis_and_told() {
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let project = small(&lab);
    for (field, flag, word) in [
        ("compression=estargz", "--pull=false", "eStargz"),
        ("compression=gzip", "--annotation=a=b", "annotations"),
        ("compression=gzip", "--provenance=true", "attestations"),
    ] {
        let path = lab.path(&format!("out/{word}"));
        let output = format!(
            "type=oci,tar=false,dest={},oci-mediatypes=false,{field}",
            path.display()
        );
        let outcome = lab.build(&project, &["-o", &output, flag]);
        assert!(outcome.stderr.contains(word), "{outcome}");
        let kind = Layout::new(&path).manifest()["mediaType"].to_string();
        assert!(kind.contains("oci"), "{kind}");
    }
}

#[test]
fn an_image_without_a_name_is_called_by_its_digest_where_asked_for() {
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let project = small(&lab);
    let digest = lab.path("out/digest");
    let file = format!("--digest-file={}", digest.display());
    let output = "type=image,dangling-name-prefix=example.com/left,unpack=true,name-canonical=true";
    lab.build(&project, &["-o", output, &file]);
    let digest = std::fs::read_to_string(digest).expect("a digest");
    let name = format!("example.com/left@{digest}");
    lab.rbuild(&["inspect", &name]).success();
    // With a name of its own only if that is not ruled out.
    lab.rbuild(&["rmi", &name]).success();
    let output = format!("{output},danging-name-empty-only=true,name=app:1");
    lab.build(&project, &["-o", &output]);
    let listed = lab
        .rbuild(&["images", "--format={{.Repository}}:{{.Tag}}"])
        .success();
    assert_eq!(listed.stdout, "app:1\n");
    for wrong in ["a:1", "A", "a@b"] {
        let output = format!("type=image,dangling-name-prefix={wrong}");
        let outcome = lab.try_build(&project, &["-o", &output]).failure();
        assert!(outcome.stderr.contains("dangling-name-prefix"), "{outcome}");
    }
}

#[test]
fn a_registry_is_trusted_for_an_output_or_a_cache_that_says_so() {
    if !require("openssl", "certificates") {
        return;
    }
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let setup = RegistrySetup {
        tls: Some(TestCertificates::make(&lab.own_folder("tls")).expect("certificates")),
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    let project = small(&lab);
    let name = format!("{}/app:1", registry.host());
    let output = format!("type=registry,name={name}");
    let outcome = lab.try_build(&project, &["-o", &output]).failure();
    assert!(outcome.stderr.contains("certificate"), "{outcome}");
    let trusting = format!("{output},registry.insecure=true");
    let cache = format!(
        "type=registry,ref={}/cache,registry.insecure=true",
        registry.host()
    );
    lab.build(&project, &["-o", &trusting, "--cache-to", &cache]);
    lab.rbuild(&["prune", "-a", "-f"]).success();
    let outcome = lab.build(&project, &["-o", &trusting, "--cache-from", &cache]);
    assert!(outcome.stderr.contains("CACHED"), "{outcome}");
}

#[test]
fn a_squashed_image_has_one_layer_over_its_base_and_the_same_files() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox\nRUN mkdir /kept /gone && echo 1 > /kept/first && echo 2 > /gone/second && rm /bin/vi\n\
         ENV A=b\nRUN rm -r /gone && ln /kept/first /kept/link && echo 3 > /kept/third\n\
         RUN rm /kept/first && rm -r /var && mkdir /var && echo 4 > /var/fourth\n",
    );
    let plain = lab.layout(&project, &[]);
    let squashed = lab.layout(&project, &["--squash"]);
    squashed.assert_conforms();
    let layers = |layout: &Layout| layout.manifest()["layers"].as_array().map_or(0, Vec::len);
    assert_eq!((layers(&plain), layers(&squashed)), (4, 2));
    assert_eq!(
        plain.manifest()["layers"][0],
        squashed.manifest()["layers"][0]
    );
    let words = |layout: &Layout| {
        let history = layout.config()["history"].as_array().cloned();
        let history = history.expect("a history");
        let word = |entry: &Value| entry["created_by"].as_str().unwrap_or_default().to_owned();
        history.iter().map(word).collect::<Vec<_>>()
    };
    let mut expected = words(&plain);
    expected.push(String::new());
    assert_eq!(words(&squashed), expected);

    lab.build(&project, &["-t", "app", "--squash"]);
    let on_top = lab.project("FROM app\n");
    let (all, one) = (lab.tree(&project, &[]), lab.tree(&on_top, &[]));
    assert_eq!(all.paths(), one.paths());
    assert!(!one.paths().iter().any(|path| path.starts_with("gone")));
    // The layer says of the base no more than what is different there.
    let blob = squashed.blob(&squashed.manifest()["layers"][1]["digest"]);
    let listed = run("tar", &["-tzf", &blob.to_string_lossy()]).success();
    let marks = listed.stdout.lines().filter(|line| line.contains(".wh."));
    let marks: Vec<&str> = marks.collect();
    assert_eq!(marks, ["bin/.wh.vi", "var/.wh..wh..opq"]);
    // Again, and with an epoch the same everywhere.
    let epoch = ["--squash", "--build-arg=SOURCE_DATE_EPOCH=1000000000"];
    let digest = |layout: &Layout| layout.index()["manifests"][0]["digest"].clone();
    let first = digest(&lab.layout(&project, &epoch));
    lab.rbuild(&["prune", "-a", "-f"]).success();
    assert_eq!(digest(&lab.layout(&project, &epoch)), first);
}

#[test]
fn a_squashed_image_is_pushed_and_one_from_scratch_hides_nothing() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let project =
        lab.project("FROM busybox AS tools\nFROM scratch\nCOPY a /a\nCOPY --from=tools /bin/busybox /bin/sh\nRUN [\"/bin/sh\", \"-c\", \"echo > /a.new\"]\n");
    project.file("a", "a");
    let name = format!("{}/app:1", registry.host());
    let output = format!("type=registry,name={name},squash=true");
    lab.build(&project, &["-o", &output]);
    let layers = raw(&registry, "app:1")["layers"].clone();
    assert_eq!(layers.as_array().map(Vec::len), Some(1), "{layers}");
}

/// The layout of a base image whose layer is at an address of its own.
fn foreign_base(lab: &Lab) -> PathBuf {
    let dir = lab.path("foreign");
    let mut layout = ImageMaker::new()
        .layer(&[("etc/foreign", b"elsewhere")])
        .write(&dir, "1")
        .expect("a layout");
    let mut manifest: Value =
        serde_json::from_slice(&layout.blob(&layout.digest).expect("a blob")).expect("JSON");
    manifest["layers"][0]["mediaType"] = media_type::OCI_RESTRICTED_LAYER_GZIP.into();
    manifest["layers"][0]["urls"] = json!(["http://127.0.0.1:9/layer"]);
    let bytes = manifest.to_string();
    layout.digest = Digest::sha256_of(bytes.as_bytes());
    std::fs::write(dir.join("blobs/sha256").join(layout.digest.hex()), &bytes).expect("a blob");
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": media_type::OCI_MANIFEST,
        "digest": layout.digest,
        "size": bytes.len(),
        "annotations": {"org.opencontainers.image.ref.name": "1"},
    }]});
    std::fs::write(dir.join("index.json"), index.to_string()).expect("an index");
    dir
}

#[test]
fn layers_that_may_not_be_distributed_are_only_named_where_that_is_preferred() {
    let (Some(lab), Some(registry)) = (Lab::with_bases(Caller::Root, &[]), Registry::start())
    else {
        return;
    };
    let base = format!("base=oci-layout://{}:1", foreign_base(&lab).display());
    let project = lab.project("FROM base\nCOPY Dockerfile /\n");
    let build = |output: &str| lab.try_build(&project, &["--build-context", &base, "-o", output]);
    for (attribute, kind) in [
        ("", media_type::OCI_LAYER_GZIP),
        (
            ",prefer-nondist-layers=true",
            media_type::OCI_RESTRICTED_LAYER_GZIP,
        ),
    ] {
        let dir = lab.path(&format!("out/layout{}", attribute.len()));
        build(&format!(
            "type=oci,tar=false,dest={}{attribute}",
            dir.display()
        ))
        .success();
        let layout = Layout::new(&dir);
        let manifest = layout.manifest();
        let layers = manifest["layers"].as_array().expect("layers");
        assert_eq!(layers[0]["mediaType"], kind);
        assert_eq!(layers[1]["mediaType"], media_type::OCI_LAYER_GZIP);
        let is_foreign = !attribute.is_empty();
        assert_eq!(layers[0]["urls"].is_array(), is_foreign);
        assert_eq!(layout.blob(&layers[0]["digest"]).exists(), !is_foreign);
        assert!(layout.blob(&layers[1]["digest"]).exists());

        let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
        let name = format!("{}/app{}:1", proxy.host(), attribute.len());
        build(&format!("type=registry,name={name}{attribute}")).success();
        let pushed: Value = raw(&registry, &format!("app{}:1", attribute.len()));
        assert_eq!(pushed["layers"], manifest["layers"]);
        let foreign = layers[0]["digest"].as_str().expect("a digest");
        let sent = proxy
            .requests()
            .iter()
            .any(|request| request.path.contains(foreign));
        assert_eq!(sent, !is_foreign);
    }
    build("type=docker,dest=x.tar,prefer-nondist-layers=true")
        .failure()
        .says("Docker's archives have all layers");
}
