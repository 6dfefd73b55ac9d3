//! Layers travel while the build goes on; what a registry has is not sent, and a failing build leaves no image.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rbuild_testkit::{Fault, FaultProxy, Registry, Rule};
use serde_json::Value;

use crate::support::{Caller, Lab, Layout, Outcome, Project};

/// How long a layer may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place, and a registry behind a proxy that counts.
struct Scene {
    lab: Lab,
    registry: Registry,
    proxy: FaultProxy,
}

impl Scene {
    fn new() -> Option<Self> {
        let lab = Lab::new(Caller::Root)?;
        let registry = Registry::start()?;
        let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
        Some(Self {
            lab,
            registry,
            proxy,
        })
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.proxy.host())
    }

    fn manifest(&self, name: &str) -> Value {
        let raw = self.registry.inspect_raw(name).expect("a manifest");
        serde_json::from_slice(&raw).expect("JSON")
    }

    /// Every byte of the image is right.
    fn is_whole(&self, name: &str) {
        let copied = self.lab.path("copied");
        let target = format!("oci:{}:{}", copied.display(), name.replace(':', "-"));
        let source = format!("docker://{}/{name}", self.registry.host());
        let arguments = ["copy", "--quiet", "--src-tls-verify=false"];
        self.registry
            .skopeo(&[&arguments[..], &[&source, &target]].concat())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn uploads(&self) -> usize {
        self.proxy.count("PUT", "/blobs/uploads/")
    }

    /// Builds `project` with `arguments`; its step `nc` ends when `uploads` blobs have arrived.
    fn build_while(&self, project: &Project, arguments: &[&str], uploads: usize) -> Outcome {
        let gate = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = gate.local_addr().expect("an address").port().to_string();
        let build_arg = format!("GATE={port}");
        let given = ["--allow", "network.host", "--build-arg", &build_arg];
        let arguments = [&given, arguments].concat();
        let running = self.lab.start_build(project, &arguments);
        let (connection, _) = gate.accept().expect("the step connects");
        let end = Instant::now() + PATIENCE;
        while self.uploads() < uploads {
            assert!(
                Instant::now() < end,
                "nothing was sent: {}",
                running.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(connection);
        running.wait()
    }
}

const WAITS: &str = "FROM busybox\nCOPY file /file\nARG GATE\nRUN --network=host nc 127.0.0.1 $GATE; test ! -e /fails\n";

#[test]
fn a_layer_is_sent_while_the_next_step_runs() {
    let Some(scene) = Scene::new() else { return };
    let project = scene.lab.project(WAITS);
    project.file("file", "content");
    let (first, second) = (scene.name("app:1"), scene.name("other/app:2"));
    let oci = format!("type=oci,dest={}", scene.lab.path("out/app.tar").display());
    // The layer of the base and that of COPY, to each of two repositories.
    let built = scene.build_while(
        &project,
        &["--push", "-t", &first, "-t", &second, "-o", &oci],
        2,
    );
    built.success();
    for name in ["app:1", "other/app:2"] {
        assert_eq!(
            scene.manifest(name)["layers"].as_array().map(Vec::len),
            Some(3)
        );
    }
    let requests = scene.proxy.requests();
    let last_of = |part: &str| {
        requests
            .iter()
            .rposition(|request| request.method == "PUT" && request.path.contains(part))
    };
    assert!(last_of("/v2/app/blobs/uploads/") < last_of("/v2/app/manifests/1"));
}

#[test]
fn a_build_that_fails_leaves_no_image_in_the_registry() {
    let Some(scene) = Scene::new() else { return };
    let project = scene
        .lab
        .project(&WAITS.replace("COPY file", "COPY file /fails\nCOPY file"));
    project.file("file", "content");
    let built = scene.build_while(&project, &["--push", "-t", &scene.name("app:1")], 1);
    built.failure();
    assert_eq!(scene.proxy.count("PUT", "/manifests/"), 0);
    assert!(scene.registry.inspect_raw("app:1").is_err());
}

#[test]
fn layers_of_other_stages_are_not_sent() {
    let Some(scene) = Scene::new() else { return };
    let project = scene.lab.project(
        "FROM busybox AS tool\nRUN echo a > /a && echo b > /b\nFROM scratch\nCOPY --from=tool /a /\n",
    );
    scene
        .lab
        .build(&project, &["--push", "-t", &scene.name("app:1")]);
    // One layer and the config.
    assert_eq!(scene.uploads(), 2);
}

#[test]
fn a_push_after_a_change_sends_one_layer_and_asks_once_for_the_others() {
    let Some(scene) = Scene::new() else { return };
    let copies: Vec<String> = (0..6).map(|n| format!("COPY f{n} /\n")).collect();
    let project = scene
        .lab
        .project(&format!("FROM busybox\n{}", copies.concat()));
    for n in 0..6 {
        project.file(&format!("f{n}"), format!("content {n}"));
    }
    let push = ["--push", "-t", &scene.name("app:1")];
    scene.lab.build(&project, &push);
    let (uploads, asked) = (scene.uploads(), scene.proxy.count("HEAD", "/blobs/"));
    project.file("f5", "another content");
    scene.lab.build(&project, &push);
    assert_eq!(scene.uploads() - uploads, 2, "a layer and the config");
    assert_eq!(
        scene.proxy.count("HEAD", "/blobs/") - asked,
        2,
        "of what the registry has, its manifest tells"
    );
    // Another repository takes all from this one.
    let uploads = scene.uploads();
    scene
        .lab
        .build(&project, &["--push", "-t", &scene.name("copy/app:1")]);
    assert_eq!(scene.uploads() - uploads, 1, "the config");
}

#[test]
fn what_a_registry_has_lost_is_sent_again() {
    let Some(scene) = Scene::new() else { return };
    let project = scene.lab.project("FROM busybox\nCOPY file /\n");
    project.file("file", "content");
    let push = ["--push", "-t", &scene.name("app:1")];
    scene.lab.build(&project, &push);
    // It says that the manifest is there, and refuses the next one.
    let lost =
        br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    scene.proxy.inject(Rule::once(
        "PUT",
        "/manifests/",
        Fault::Reply {
            status: 404,
            headers: Vec::new(),
            body: lost.to_vec(),
        },
    ));
    let asked = scene.proxy.count("HEAD", "/blobs/");
    scene.lab.build(&project, &push);
    assert!(
        scene.proxy.count("HEAD", "/blobs/") - asked >= 3,
        "every blob was asked for"
    );
    assert_eq!(scene.proxy.count("PUT", "/manifests/"), 3);
}

#[test]
fn a_platform_each_goes_ahead_and_the_index_comes_last() {
    let Some(scene) = Scene::new() else { return };
    let project = scene
        .lab
        .project("FROM scratch\nARG TARGETARCH\nCOPY file /$TARGETARCH\nCOPY file /both\n");
    project.file("file", "content");
    let name = scene.name("app:1");
    let platforms = ["--platform", "linux/amd64,linux/arm64", "--push", "-t"];
    scene
        .lab
        .build(&project, &[&platforms[..], &[&name]].concat());
    // Three layers and two configs: the layer that both have is one.
    assert_eq!(scene.uploads(), 5);
    let requests = scene.proxy.requests();
    let last = requests
        .iter()
        .rev()
        .find(|request| request.method == "PUT")
        .expect("a request");
    assert!(last.path.ends_with("/manifests/1"), "{}", last.path);
    assert_eq!(
        scene.manifest("app:1")["manifests"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_push_is_renewed() {
    let Some(scene) = Scene::new() else { return };
    scene
        .proxy
        .require_tokens(rbuild_testkit::TokenRules::default());
    let project = scene.lab.project(WAITS);
    project.file("file", "content");
    let gate = TcpListener::bind("127.0.0.1:0").expect("a port");
    let build_arg = format!("GATE={}", gate.local_addr().expect("an address").port());
    let name = scene.name("app:1");
    let running = scene.lab.start_build(
        &project,
        &[
            "--push",
            "-t",
            &name,
            "--allow=network.host",
            "--build-arg",
            &build_arg,
        ],
    );
    let (connection, _) = gate.accept().expect("the step connects");
    scene.proxy.revoke_tokens();
    drop(connection);
    running.wait().success();
    assert_eq!(
        scene.manifest("app:1")["layers"].as_array().map(Vec::len),
        Some(3)
    );
}

#[rstest::rstest]
#[case("estargz", "containerd.io/snapshot/stargz/toc.digest", "+gzip")]
#[case(
    "zstd:chunked",
    "io.github.containers.zstd-chunked.manifest-checksum",
    "+zstd"
)]
fn layers_for_lazy_pulling_are_ordinary_layers_for_all_others(
    #[case] compression: &str,
    #[case] annotation: &str,
    #[case] suffix: &str,
) {
    let Some(scene) = Scene::new() else { return };
    let project = scene.lab.project(
        "FROM busybox\nCOPY file /dir/file\nRUN seq 1 100000 > /numbers; ln -s /numbers /link\n",
    );
    project.file("file", "content");
    let name = scene.name("app:1");
    let output = format!(
        "type=image,name={name},push=true,compression={compression},force-compression=true"
    );
    let built = scene.lab.build(&project, &["-o", &output]);
    let manifest = scene.manifest("app:1");
    for layer in manifest["layers"].as_array().expect("layers") {
        assert!(layer["annotations"][annotation].is_string(), "{layer}");
        assert!(layer["annotations"]["containerd.io/uncompressed"].is_null());
        assert!(
            layer["mediaType"]
                .as_str()
                .is_some_and(|kind| kind.ends_with(suffix))
        );
    }
    assert_eq!(manifest["config"]["digest"], built.image());
    // Others check digests and diffIDs; what they unpack is what was built.
    let copied = scene.lab.path("copied");
    scene
        .registry
        .skopeo(&[
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &format!("docker://{name}"),
            &format!("oci:{}:1", copied.display()),
        ])
        .expect("skopeo copies it");
    Layout::new(&copied).assert_conforms();
    let other = Lab::with_bases(Caller::Root, &[]).expect("root can be root");
    other.config(&format!(
        "[registry.\"{}\"]\nhttp = true\n",
        scene.proxy.host()
    ));
    let shown = "cat /dir/file; tail -n 1 /link; ls -a / | grep -c stargz";
    let run = other.rbuild(&["run", "--rm", &name, "sh", "-c", shown]);
    assert_eq!(run.stdout, "content100000\n0\n", "{run}");
    // The same again, and nothing is packed or sent.
    let uploads = scene.uploads();
    let again = scene.lab.build(&project, &["-o", &output]);
    assert_eq!(again.image(), built.image());
    assert_eq!(scene.uploads(), uploads);
    let here = scene
        .lab
        .rbuild(&["run", "--rm", &name, "cat", "/dir/file"]);
    assert_eq!(here.stdout, "content", "{here}");
}

#[test]
fn a_push_gets_through_whatever_passes() {
    let Some(scene) = Scene::new() else { return };
    let project = scene
        .lab
        .project("FROM busybox\nCOPY file /file\nRUN seq 1 1000 > /numbers\n");
    project.file("file", "content");
    let busy = Fault::status_with(429, "Retry-After", "0");
    for rule in [
        Rule::once("GET", "/v2/", Fault::Drop),
        Rule::once("HEAD", "/blobs/", busy.clone()),
        Rule::once("POST", "/uploads/", Fault::Drop),
        Rule::once("PUT", "/uploads/", Fault::status(502)),
        Rule::once("PUT", "/uploads/", Fault::DropUploadAfter(50)),
        Rule::once("PUT", "/uploads/", Fault::CorruptUpload(20)),
        Rule::once("PUT", "/manifests/", Fault::status(500)),
        Rule::once("PUT", "/manifests/", busy),
    ] {
        scene.proxy.inject(rule);
    }
    scene
        .lab
        .build(&project, &["--push", "-t", &scene.name("app:1")]);
    scene.is_whole("app:1");
}

#[test]
fn a_layer_that_was_damaged_on_its_way_is_pulled_again() {
    let Some(scene) = Scene::new() else { return };
    let project = scene.lab.project("FROM busybox\nCOPY file /file\n");
    project.file("file", "content ".repeat(1000));
    let name = scene.name("app:1");
    scene.lab.build(&project, &["--push", "-t", &name]);
    let other = Lab::with_bases(Caller::Root, &[]).expect("root can be root");
    // The first of an image's blobs is its config.
    for at in [0, 30] {
        let damage = Fault::Corrupt(at);
        scene
            .proxy
            .inject(Rule::once("GET", "/blobs/", damage).after(1));
    }
    other.rbuild(&["pull", &name]).success();
    let run = other.rbuild(&["run", "--rm", &name, "wc", "-c", "/file"]);
    assert_eq!(run.stdout.trim(), "8000 /file", "{run}");
    scene
        .proxy
        .inject(Rule::always("GET", "/blobs/", Fault::Corrupt(30)).after(1));
    other.rbuild(&["rmi", &name]).success();
    let refused = other.rbuild(&["pull", &name]).failure();
    assert!(refused.stderr.contains("sha256:"), "{refused}");
}

/// Forty MB that do not compress.
const LARGE: &str = "FROM busybox\nRUN dd if=/dev/urandom of=/large bs=1M count=40 2>/dev/null\n";

#[test]
fn a_large_layer_is_uploaded_while_it_is_packed_and_as_a_whole_where_that_breaks() {
    let Some(scene) = Scene::new() else { return };
    for (name, fault) in [
        ("whole:1", None),
        ("broken:1", Some(Fault::DropUploadAfter(1 << 20))),
        ("refused:1", Some(Fault::status(405))),
    ] {
        if let Some(fault) = fault {
            scene.proxy.inject(Rule::once("PATCH", "/uploads/", fault));
        }
        let before = scene.proxy.count("PATCH", "/uploads/");
        let project = scene.lab.project(LARGE);
        scene
            .lab
            .build(&project, &["--no-cache", "--push", "-t", &scene.name(name)]);
        assert!(scene.proxy.count("PATCH", "/uploads/") > before, "{name}");
        scene.is_whole(name);
    }
}
