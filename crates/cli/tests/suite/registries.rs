//! Images from registries and to them, through a mirror that stands for Docker Hub.

use rbuild_testkit::{ImageLayout, PASSWORD, Registry, RegistrySetup, USERNAME};
use rstest::rstest;
use serde_json::Value;

use crate::support::{BaseImage, Caller, Lab, Layout, Running, require, run};

/// A place whose Docker Hub is a registry on this machine that holds busybox.
pub(crate) fn lab_with_hub(caller: Caller) -> Option<(Lab, Registry)> {
    if !require("skopeo", "a registry") {
        return None;
    }
    let lab = Lab::with_bases(caller, &[])?;
    let hub = Registry::start()?;
    push_busybox(&hub);
    lab.config(&format!(
        "[registry.\"docker.io\"]\nmirrors = [\"{0}\"]\n[registry.\"{0}\"]\nhttp = true\n",
        hub.host()
    ));
    Some((lab, hub))
}

pub(crate) fn push_busybox(hub: &Registry) {
    let dir = BaseImage::Busybox.layout();
    let index: Value =
        serde_json::from_slice(&std::fs::read(dir.join("index.json")).expect("an index"))
            .expect("JSON");
    let digest: rbuild_image::Digest = index["manifests"][0]["digest"]
        .as_str()
        .expect("a digest")
        .parse()
        .expect("a digest");
    let layout = ImageLayout {
        dir,
        tag: "latest".to_owned(),
        digest,
        manifests: vec![digest],
        layers: Vec::new(),
    };
    hub.push(&layout, "library/busybox:latest").expect("a push");
}

fn digest_of(hub: &Registry, name: &str) -> String {
    let source = format!("docker://{}/{name}", hub.host());
    run(
        "skopeo",
        &[
            "inspect",
            "--tls-verify=false",
            "--format",
            "{{.Digest}}",
            &source,
        ],
    )
    .success()
    .stdout
    .trim()
    .to_owned()
}

#[rstest]
fn a_base_comes_through_the_mirror_and_only_once(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some((lab, hub)) = lab_with_hub(caller) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN echo hello > /hello\n");
    let first = lab.build(&project, &["-t", "app"]);
    assert!(
        first.stderr.contains("docker.io/library/busybox:latest"),
        "{first}"
    );
    drop(hub);
    // The registry is gone and nobody needs it.
    let second = lab.build(&project, &["-t", "app"]);
    assert_eq!(second.image(), first.image());
    let other = lab.project("FROM busybox\nRUN echo other\n");
    lab.build(&other, &[]);
    let outcome = lab.try_build(&other, &["--pull"]).failure();
    assert!(outcome.last_words().starts_with("ERROR: "), "{outcome}");
}

#[test]
fn a_base_that_no_image_has_stays_on_a_disk_full_of_other_things() {
    let Some((lab, hub)) = lab_with_hub(Caller::Root) else {
        return;
    };
    let config = std::fs::read_to_string(lab.path("config.toml")).expect("it was written");
    lab.config(&format!("{config}[cache]\nmin-free-space = \"100%\"\n"));
    let stages =
        "FROM busybox AS tool\nRUN echo made > /made\nFROM scratch\nCOPY --from=tool /made /\n";
    let project = lab.project(stages);
    lab.build(&project, &["-t", "app"]);
    lab.assert_nothing_left();
    let listed = lab.rbuild(&["du", "--filter", "type=base"]).success();
    assert!(listed.stdout.contains("busybox"), "{listed}");
    drop(hub);
    project.dockerfile(&stages.replace("made >", "other >"));
    lab.build(&project, &["-t", "app"]);
    lab.rbuild(&["prune", "-a", "-f"]).success();
    lab.try_build(&project, &[]).failure();
}

#[rstest]
fn a_run_pulls_what_is_missing_with_the_lines_people_know(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some((lab, hub)) = lab_with_hub(caller) else {
        return;
    };
    let outcome = lab
        .rbuild(&["run", "--rm", "busybox", "echo", "it runs"])
        .success();
    assert_eq!(outcome.stdout, "it runs\n");
    let digest = digest_of(&hub, "library/busybox:latest");
    for line in [
        "Unable to find image 'busybox:latest' locally",
        "latest: Pulling from library/busybox",
        ": Pull complete",
        &format!("Digest: {digest}"),
        "Status: Downloaded newer image for busybox:latest",
    ] {
        assert!(
            outcome.stderr.contains(line),
            "{line:?} is not in {outcome}"
        );
    }
    let again = lab.rbuild(&["pull", "busybox"]).success();
    assert!(
        again
            .stdout
            .contains("Status: Image is up to date for busybox:latest"),
        "{again}"
    );
    assert!(again.stdout.contains(&digest), "{again}");
}

#[rstest]
fn what_is_pushed_is_what_skopeo_and_others_pull(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some((lab, hub)) = lab_with_hub(caller) else {
        return;
    };
    let name = format!("{}/team/app:v1", hub.host());
    let project =
        lab.project("FROM busybox\nCOPY file /file\nRUN wc -c < /file > /size\nCMD cat /size\n");
    project.file("file", "content");
    let built = lab.build(&project, &["-t", &name]);
    let pushed = lab.rbuild(&["push", &name]).success();
    let digest = digest_of(&hub, "team/app:v1");
    assert!(
        pushed
            .stdout
            .contains(&format!("v1: digest: {digest} size: ")),
        "{pushed}"
    );
    let raw = hub.inspect_raw("team/app:v1").expect("a manifest");
    let manifest: Value = serde_json::from_slice(&raw).expect("JSON");
    assert_eq!(manifest["config"]["digest"], built.image());
    let layers = manifest["layers"].as_array().expect("layers");
    assert!(
        layers.iter().all(|layer| layer["mediaType"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("+gzip"))),
        "{manifest}"
    );
    let copied = lab.path("copied");
    run(
        "skopeo",
        &[
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &format!("docker://{name}"),
            &format!("oci:{}:v1", copied.display()),
        ],
    )
    .success();
    // Somebody else pulls and runs it, and pushes it on unchanged.
    let Some(other) = Lab::with_bases(caller, &[]) else {
        return;
    };
    other.config(&format!("[registry.\"{}\"]\nhttp = true\n", hub.host()));
    assert_eq!(
        other.rbuild(&["run", "--rm", &name]).success().stdout,
        "7\n"
    );
    let moved = format!("{}/other/place:v2", hub.host());
    other.rbuild(&["tag", &name, &moved]).success();
    other.rbuild(&["push", &moved]).success();
    assert_eq!(digest_of(&hub, "other/place:v2"), digest);
    // Pushing again sends nothing and gives the same.
    let again = lab.rbuild(&["push", &name]).success();
    assert!(
        again.stdout.contains("Layer already exists") && again.stdout.contains(&digest),
        "{again}"
    );
}

#[test]
fn a_build_that_is_only_pushed_never_unpacks_its_base() {
    let Some((lab, hub)) = lab_with_hub(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nCOPY --link file /file\nLABEL a=b\n");
    project.file("file", "content");
    lab.build(
        &project,
        &["-t", &format!("{}/lazy:v1", hub.host()), "--push"],
    );
    assert_eq!(
        std::fs::read_dir(lab.path("root/layers"))
            .expect("a folder")
            .count(),
        1
    );
    assert_eq!(
        lab.rbuild(&[
            "run",
            "--rm",
            &format!("{}/lazy:v1", hub.host()),
            "cat",
            "/file"
        ])
        .success()
        .stdout,
        "content"
    );
}

#[rstest]
fn outputs_of_a_build_are_pushed(#[values("gzip", "zstd", "uncompressed")] compression: &str) {
    let Some((lab, hub)) = lab_with_hub(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN seq 1 10000 > /numbers\n");
    let name = format!("{}/out/{compression}:v1", hub.host());
    let output = format!(
        "type=image,name={name},push=true,compression={compression},force-compression=true"
    );
    lab.build(&project, &["-o", &output]);
    let raw = hub
        .inspect_raw(&format!("out/{compression}:v1"))
        .expect("a manifest");
    let text = String::from_utf8(raw).expect("JSON");
    let suffix = if compression == "uncompressed" {
        "layer.v1.tar\"".to_owned()
    } else {
        format!("+{compression}\"")
    };
    assert_eq!(text.matches(&suffix).count(), 2, "{text}");
    let copied = lab.path("copied");
    let target = format!("oci:{}:v1", copied.display());
    run(
        "skopeo",
        &[
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &format!("docker://{name}"),
            &target,
        ],
    )
    .success();
    Layout::new(&copied).assert_conforms();
}

#[test]
fn a_password_is_found_where_docker_keeps_it() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let setup = RegistrySetup {
        password: true,
        ..RegistrySetup::default()
    };
    let Some(registry) = Registry::start_with(&setup) else {
        return;
    };
    lab.config(&format!(
        "[registry.\"{}\"]\nhttp = true\n",
        registry.host()
    ));
    let name = format!("{}/private:v1", registry.host());
    let project = lab.project("FROM busybox\nRUN true\n");
    let refused = lab.try_build(&project, &["-t", &name, "--push"]).failure();
    assert!(refused.last_words().starts_with("ERROR: "), "{refused}");
    let pair = run(
        "sh",
        &[
            "-c",
            &format!("printf '%s' '{USERNAME}:{PASSWORD}' | base64"),
        ],
    )
    .success()
    .stdout;
    std::fs::create_dir(lab.path("home/.docker")).expect("a new folder");
    std::fs::write(
        lab.path("home/.docker/config.json"),
        format!(
            "{{\"auths\":{{\"{}\":{{\"auth\":\"{}\"}}}}}}",
            registry.host(),
            pair.trim()
        ),
    )
    .expect("a new file");
    lab.build(&project, &["-t", &name, "--push"]);
    assert!(registry.inspect_raw("private:v1").is_ok());
}

#[test]
fn a_missing_image_is_told_once_and_clearly() {
    let Some((lab, _hub)) = lab_with_hub(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM nosuchimage:v7\nRUN true\n");
    let outcome = lab.try_build(&project, &[]).failure();
    assert!(
        outcome.stderr.contains("Dockerfile:1") && outcome.last_words().contains("nosuchimage:v7"),
        "{outcome}"
    );
    let outcome = lab.rbuild(&["run", "--rm", "nosuchimage:v7"]);
    assert_eq!(outcome.status.code(), Some(125), "{outcome}");
    lab.rbuild(&["pull", "nosuchimage:v7"]).failure();
}

#[test]
fn many_builds_at_once_pull_a_base_once() {
    let Some((lab, _hub)) = lab_with_hub(Caller::Root) else {
        return;
    };
    let projects: Vec<_> = (0..8)
        .map(|number| lab.project(&format!("FROM busybox\nRUN echo {number}\n")))
        .collect();
    let running: Vec<Running> = projects
        .iter()
        .map(|project| lab.start_build(project, &[]))
        .collect();
    let outcomes: Vec<_> = running
        .into_iter()
        .map(|running| running.wait().success())
        .collect();
    let pulled = outcomes
        .iter()
        .filter(|outcome| outcome.stderr.contains("MB / "))
        .count();
    assert_eq!(pulled, 1, "{}", outcomes[0]);
}

#[test]
fn an_image_has_a_digest_in_each_repository_that_it_was_pulled_from_or_pushed_to() {
    let Some((lab, hub)) = lab_with_hub(Caller::Root) else {
        return;
    };
    let copy = format!("{}/me/hello", hub.host());
    let second = format!("{copy}:v1");
    lab.rbuild(&["pull", "busybox"]).success();
    lab.rbuild(&["tag", "busybox", &second]).success();
    let digests = || {
        let format = "{{range .RepoDigests}}{{println .}}{{end}}";
        lab.rbuild(&["inspect", "-f", format, "busybox"])
            .success()
            .stdout
    };
    assert!(!digests().contains(&copy), "{}", digests());
    lab.rbuild(&["push", &second]).success();
    let known = format!("{copy}@{}", digest_of(&hub, "me/hello:v1"));
    assert!(digests().contains(&known), "{}", digests());
    lab.rbuild(&["rmi", &second]).success();
    lab.rbuild(&["pull", &second]).success();
    assert!(digests().contains(&known), "{}", digests());
    assert!(digests().contains("busybox@sha256:"), "{}", digests());
    let listed = lab.rbuild(&["images", "--digests"]).success().stdout;
    assert_eq!(
        listed.matches(&known[copy.len() + 1..]).count(),
        2,
        "{listed}"
    );
}
