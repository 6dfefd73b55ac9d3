//! Building twice to see whether it is the same.

use crate::support::{BaseImage, Caller, Lab, Outcome, Project, Running};

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
