//! Tests of `reason`.

use super::*;

fn preimage(elements: &[(&str, &str)]) -> Preimage {
    let mut preimage = Preimage::new("exec");
    for (label, value) in elements {
        preimage.push(*label, value);
    }
    preimage
}

fn told(before: &[(&str, &str)], now: &[(&str, &str)]) -> Vec<String> {
    reasons(&preimage(before), &preimage(now), &["SHA".to_owned()])
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn reasons_are_in_the_words_of_the_dockerfile() {
    let shell = [("arg 0", "/bin/sh"), ("arg 1", "-c")];
    let with = |rest: &[(&'static str, &'static str)]| [&shell[..], rest].concat();
    let before = with(&[("arg 2", "make"), ("env SHA", "a1b2"), ("base", "1")]);
    let now = with(&[("arg 2", "make -j"), ("env SHA", "c3d4"), ("base", "2")]);
    assert_eq!(
        told(&before, &now),
        [
            "command: make → make -j",
            "ARG SHA: a1b2 → c3d4",
            "a step above changed"
        ]
    );
    assert_eq!(
        told(
            &[("env A", "1"), ("source", "x")],
            &[("source", "y"), ("mount /m content", "z")]
        ),
        [
            "the copied files changed",
            "what is mounted at /m changed",
            "ENV A is gone (was 1)"
        ]
    );
}

#[test]
fn the_value_of_a_secret_is_not_told() {
    let told = told(
        &[("env API_TOKEN", "hunter2")],
        &[("env API_TOKEN", "hunter3")],
    );
    assert_eq!(told, ["ENV API_TOKEN changed"]);
}

#[test]
fn long_values_are_cut_and_several_lines_are_one() {
    let long = "x".repeat(100);
    let told = told(&[("env A", "1\n2")], &[("env A", &long)]);
    assert_eq!(told, [format!("ENV A: 1… → {}…", "x".repeat(40))]);
}

#[test]
fn a_moved_base_image_is_named() {
    let reason = |before: &str, now: &str| {
        Reason::BaseImage {
            before: Some(before.into()),
            now: Some(now.into()),
        }
        .to_string()
    };
    assert_eq!(
        reason("debian:bookworm@sha256:1", "debian:bookworm@sha256:2"),
        "base image debian:bookworm moved to sha256:2"
    );
    assert_eq!(
        reason("debian:bookworm@sha256:1", "debian:trixie@sha256:2"),
        "base image: debian:bookworm → debian:trixie"
    );
}
