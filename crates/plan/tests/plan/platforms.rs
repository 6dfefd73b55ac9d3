//! One graph for many platforms.

use rbuild_plan::{ContextSource, Operation, PlanOptions};

use crate::common::{Shelf, config, execs, names, planned, planned_with, platform, try_plan};

fn both() -> PlanOptions {
    PlanOptions {
        platforms: vec![platform("linux/amd64"), platform("linux/arm64")],
        ..PlanOptions::default()
    }
}

#[test]
fn two_platforms_are_two_outputs_of_one_graph() {
    let shelf = Shelf::standard();
    let planned = try_plan("FROM debian\nCOPY a /\nRUN x\n", &both(), &shelf).expect("it plans");
    assert_eq!(
        shelf.asked_platforms(),
        [
            ("debian".to_owned(), "linux/amd64".to_owned()),
            ("debian".to_owned(), "linux/arm64".to_owned())
        ]
    );
    let outputs: Vec<_> = planned
        .plan
        .outputs
        .iter()
        .map(|output| {
            (
                output.platform.to_string(),
                output.config.architecture.clone(),
            )
        })
        .collect();
    assert_eq!(
        outputs,
        [
            ("linux/amd64".to_owned(), "amd64".to_owned()),
            ("linux/arm64".to_owned(), "arm64".to_owned())
        ]
    );
    let names = names(&planned.plan);
    assert!(
        names.contains(&"[linux/arm64 3/3] RUN x".to_owned()),
        "{names:?}"
    );
    let contexts = planned
        .plan
        .vertices()
        .filter(|&id| planned.plan.vertex(id).operation == Operation::Context(ContextSource::Main));
    assert_eq!(contexts.count(), 1);
}

#[test]
fn a_stage_on_the_build_platform_is_shared_unless_it_asks_for_the_target() {
    let text = "FROM --platform=$BUILDPLATFORM golang AS build\nRUN shared\nFROM debian\nCOPY --from=build /x /\n";
    let planned = planned_with(text, &both());
    let shared = names(&planned.plan)
        .iter()
        .filter(|name| name.ends_with("RUN shared"))
        .count();
    assert_eq!(shared, 1);
    let text = "FROM --platform=$BUILDPLATFORM golang AS build\nARG TARGETARCH\nRUN own\nFROM debian\nCOPY --from=build /x /\n";
    let planned = planned_with(text, &both());
    let own: Vec<_> = names(&planned.plan)
        .into_iter()
        .filter(|name| name.ends_with("RUN own"))
        .collect();
    assert_eq!(
        own,
        [
            "[linux/amd64 build 2/2] RUN own",
            "[linux/amd64->arm64 build 2/2] RUN own"
        ]
    );
}

#[test]
fn a_linked_copy_is_shared_between_platforms() {
    let planned = planned_with("FROM debian\nCOPY --link a /a\n", &both());
    let copies = names(&planned.plan)
        .iter()
        .filter(|name| name.contains("] COPY"))
        .count();
    assert_eq!(copies, 1);
}

#[test]
fn without_platform_the_base_says_what_the_image_is() {
    let mut shelf = Shelf::standard();
    shelf.put("fixed-arm", |config| {
        config.architecture = "arm64".to_owned();
        config.variant = "v8".to_owned();
    });
    let planned = try_plan("FROM fixed-arm\n", &PlanOptions::default(), &shelf).expect("it plans");
    assert_eq!(
        (
            config(&planned).architecture.as_str(),
            config(&planned).variant.as_str()
        ),
        ("arm64", "")
    );
    assert_eq!(planned.warnings[0].code, "InvalidBaseImagePlatform");
    let asked = PlanOptions {
        platforms: vec![platform("linux/amd64")],
        ..PlanOptions::default()
    };
    let planned = try_plan("FROM fixed-arm\n", &asked, &shelf).expect("it plans");
    assert_eq!(config(&planned).architecture, "amd64");
}

#[test]
fn a_fixed_platform_is_where_the_stage_runs() {
    let shelf = Shelf::standard();
    let planned = try_plan(
        "FROM --platform=linux/arm/v7 debian AS arm\nRUN x\n",
        &PlanOptions::default(),
        &shelf,
    )
    .expect("it plans");
    assert_eq!(shelf.asked_platforms()[0].1, "linux/arm/v7");
    let run = planned.plan.outputs[0].root.expect("a root");
    assert_eq!(
        planned.plan.vertex(run).platform.to_string(),
        "linux/arm/v7"
    );
    assert_eq!(execs(&planned.plan).len(), 1);
}

#[test]
fn warnings_are_told_once_for_all_platforms() {
    let planned = planned_with("FROM debian\nCMD x\n", &both());
    assert_eq!(planned.warnings.len(), 1);
}

#[test]
fn steps_are_numbered_within_their_stage() {
    let text =
        "FROM debian AS build\nWORKDIR /w\nRUN one\nENV A=1\nFROM build\nCOPY --from=build /w /x\n";
    assert_eq!(
        names(&planned(text).plan),
        [
            "[build 1/3] FROM docker.io/library/debian:latest",
            "[build 2/3] WORKDIR /w",
            "[build 3/3] RUN one",
            "[stage-1 1/1] COPY --from=build /w /x",
        ]
    );
    let ten = format!("FROM debian\n{}", "RUN x\n".repeat(9));
    assert_eq!(names(&planned(&ten).plan)[1], "[ 2/10] RUN x");
}
