//! Why a step was not cached.

use serde_json::Value;

use crate::support::{Caller, Lab, Project};

const DOCKERFILE: &str = "\
FROM busybox
ARG FLAGS=-O1
COPY src /app/src
RUN cat /app/src/* > /all
ARG API_TOKEN=none
RUN echo $FLAGS > /flags
";

fn project(lab: &Lab) -> Project {
    let project = lab.project(DOCKERFILE);
    project.file("src/a", "a").file("src/b", "b");
    project
}

#[test]
fn a_build_says_why_a_step_was_not_cached() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = project(&lab);
    let first = lab.build(&project, &[]);
    assert!(!first.stderr.contains("not cached"), "{first}");
    project.file("src/b", "changed").file("src/c", "new");
    let second = lab.build(&project, &[]);
    for (step, words) in [
        ("COPY src", "not cached: src/b changed (and 1 more)"),
        (
            "RUN cat",
            "not cached: step above: /app/src/b changed (and 1 more)",
        ),
    ] {
        assert!(second.stderr.contains(words), "{step}: {second}");
    }
    let again = lab.build(&project, &[]);
    assert!(!again.stderr.contains("not cached"), "{again}");
    let outcome = lab.build(&project, &["--build-arg", "FLAGS=-O2"]);
    assert!(
        outcome.stderr.contains("not cached: ARG FLAGS: -O1 → -O2"),
        "{outcome}"
    );
    project.dockerfile(&DOCKERFILE.replace("cat /app/src/*", "cat /app/src/a"));
    let outcome = lab.build(&project, &[]);
    assert!(
        outcome
            .stderr
            .contains("not cached: command: cat /app/src/* > /all → cat /app/src/a > /all"),
        "{outcome}"
    );
}

#[test]
fn steps_of_the_same_build_are_not_each_others_past() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS one\nRUN echo 1 > /x\nFROM busybox\nRUN echo 2 > /x\nCOPY --from=one /x /one\nCOPY --from=one /x /two\n",
    );
    let first = lab.build(&project, &["-j", "1"]);
    assert!(!first.stderr.contains("not cached"), "{first}");
}

#[test]
fn a_secret_looking_value_is_not_told() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = project(&lab);
    lab.build(&project, &["--build-arg", "API_TOKEN=hunter2"]);
    let outcome = lab.build(&project, &["--build-arg", "API_TOKEN=hunter3", "--explain"]);
    assert!(outcome.stderr.contains("API_TOKEN changed"), "{outcome}");
    let why = lab.rbuild(&["cache", "why", "--context", &project.dir.to_string_lossy()]);
    let why = why.success();
    assert!(!why.stdout.contains("hunter"), "{why}");
}

#[test]
fn the_reasons_can_be_asked_for_afterwards_in_words_and_as_json() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = project(&lab);
    lab.build(&project, &[]);
    project.file("src/a", "changed");
    lab.build(&project, &[]);
    let context = project.dir.to_string_lossy().into_owned();
    let why = lab
        .rbuild(&["cache", "why", "copy", "--context", &context])
        .success();
    assert!(why.stdout.contains("because src/a changed"), "{why}");
    assert!(!why.stdout.contains("RUN"), "{why}");
    let json = lab
        .rbuild(&[
            "cache",
            "why",
            "RUN cat",
            "--context",
            &context,
            "--format",
            "json",
        ])
        .success();
    let row: Value = serde_json::from_str(json.stdout.trim()).expect("JSON");
    assert_eq!(row["Reasons"][0]["reason"], "above");
    assert_eq!(row["Reasons"][0]["files"]["named"][0]["path"], "/app/src/a");
    let none = lab
        .rbuild(&["cache", "why", "--context", "/nowhere"])
        .failure();
    assert!(none.stderr.contains("--context"), "{none}");
}

#[test]
fn a_moved_base_image_and_a_switched_off_cache_are_named() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let base = lab.project("FROM busybox\nRUN echo 1 > /version\n");
    let child = lab.project("FROM own/base\nRUN cat /version > /seen\n");
    lab.build(&base, &["-t", "own/base"]);
    lab.build(&child, &[]);
    base.dockerfile("FROM busybox\nRUN echo 2 > /version\n");
    lab.build(&base, &["-t", "own/base"]);
    let outcome = lab.build(&child, &[]);
    assert!(
        outcome
            .stderr
            .contains("not cached: base image docker.io/own/base:latest moved to sha256:"),
        "{outcome}"
    );
    let outcome = lab.build(&child, &["--no-cache", "--explain"]);
    assert!(
        outcome
            .stderr
            .contains("because the cache was not to be used"),
        "{outcome}"
    );
}
