//! Building twice to see whether it is the same.

use std::collections::BTreeMap;

use rbuild_testkit::{FaultProxy, Registry};

use crate::support::{BaseImage, Caller, Lab, Outcome, Project, Running, WebServer};

/// Builds twice. Bases are those of the lab.
fn verify(lab: &Lab, project: &Project, arguments: &[&str]) -> Outcome {
    let base = lab.base(BaseImage::Busybox);
    let mut command = lab.command(&["verify", "--progress=plain", "--build-context", &base]);
    Running::start(command.args(arguments).arg(&project.dir)).wait()
}

#[test]
fn a_build_that_only_depends_on_its_inputs_is_reproducible() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project =
        lab.project("FROM busybox\nCOPY . /src\nRUN cp -r /src /out && ls -l /src > /list\n");
    project
        .file("a/b", "text")
        .file("z", "z")
        .symlink("link", "a/b");
    project.mode("z", 0o755);
    let told = verify(&lab, &project, &["-t", "app", "--push"]).success();
    assert!(told.stdout.starts_with("Reproducible: sha256:"), "{told}");
    assert_eq!(lab.rbuild(&["images", "-q"]).success().stdout, "");
}

#[test]
fn the_store_may_lie_in_the_context() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nCOPY . /src\n");
    project.file(".dockerignore", "store").file("a", "text");
    let base = lab.base(BaseImage::Busybox);
    let mut command = lab.command(&["verify", "--build-context", &base]);
    command
        .arg(&project.dir)
        .env("RBUILD_ROOT", project.dir.join("store"));
    let told = Running::start(&mut command).wait().success();
    assert!(told.stdout.starts_with("Reproducible: sha256:"), "{told}");
}

#[test]
fn neither_build_finds_what_another_left_in_a_cache_mount() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=cache,target=/c ls /c > /seen && echo > /c/left && ls /c >> /seen\n",
    );
    lab.build(&project, &[]);
    let told = verify(&lab, &project, &[]).success();
    assert!(told.stdout.starts_with("Reproducible: sha256:"), "{told}");
    // The mount of other builds was left alone.
    assert_eq!(
        lab.tree(&project, &["--no-cache"]).text("seen"),
        "left\nleft\n"
    );
}

#[test]
fn the_second_build_has_a_store_of_its_own_and_pulls_nothing_again() {
    let (Some(lab), Some(registry)) = (Lab::new(Caller::Root), Registry::start()) else {
        return;
    };
    let layout = BaseImage::Busybox.layout();
    let source = format!("oci:{}:{}", layout.display(), BaseImage::Busybox.tag());
    let target = format!("docker://{}/busybox:1", registry.host());
    registry
        .skopeo(&["copy", "--dest-tls-verify=false", &source, &target])
        .expect("a base image");
    let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
    let web = WebServer::start(&lab.own_folder("web"));
    std::fs::write(lab.path("web/a"), "a").expect("a file");
    // A base that only this store has, with a layer of another's.
    let made = lab.project("FROM busybox\nRUN mkdir /d && echo made > /d/made\n");
    lab.build(&made, &["-t", "made:1"]);
    let project = lab.project(&format!(
        "FROM {}/busybox:1 AS tools\nRUN echo tools > /tools\n\
         FROM made:1\nCOPY --from=tools /tools /bin/busybox /\nADD {}/a /a\nRUN cat /d/made > /copy\n",
        proxy.host(),
        web.url,
    ));
    let told = verify(&lab, &project, &[]).success();
    assert!(told.stdout.starts_with("Reproducible: sha256:"), "{told}");
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for request in proxy.requests() {
        if request.method == "GET" && request.path.contains("s/sha256:") {
            *asked.entry(request.path).or_default() += 1;
        }
    }
    assert!(
        !asked.is_empty() && asked.values().all(|times| *times == 1),
        "{asked:?}"
    );
    // What is no base image comes twice: it may have changed.
    assert_eq!(web.methods("/a"), ["GET", "GET"]);
    assert_eq!(
        lab.rbuild(&["images", "-q"])
            .success()
            .stdout
            .lines()
            .count(),
        1
    );
}

#[test]
fn what_differs_is_shown_file_by_file() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let random = "head -c 8 /dev/urandom | od -An -tx1";
    let project = lab.project(&format!(
        "FROM busybox\nRUN echo same > /same\n\
         RUN mkdir /out && echo one > /out/log && {random} >> /out/log && touch /out/$({random} | tr -d ' ')\n"
    ));
    let told = verify(&lab, &project, &[]).failure();
    assert_eq!(told.last_words(), "ERROR: the two builds differ");
    for words in [
        "layer 3 of 3, RUN /bin/sh -c mkdir /out",
        "\n  out/log: contents differ in line 2\n    - ",
        ": only in the first\n",
        ": only in the second\n",
    ] {
        assert!(told.stdout.contains(words), "{words:?} is not in {told}");
    }
    assert!(!told.stdout.contains("same"), "{told}");
    let broken = lab.project("FROM busybox\nRUN false\n");
    let told = verify(&lab, &broken, &[]).failure();
    told.says("nothing to compare");
}
