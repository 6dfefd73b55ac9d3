//! ARG, ENV, and who sees what.

use crate::common::{
    Shelf, args, config, execs, history, mistake, planned, planned_with, try_plan,
};
use rbuild_plan::{EpochSource, PlanError, PlanOptions};

fn last_env(text: &str, options: &PlanOptions) -> Vec<String> {
    let planned = planned_with(text, options);
    execs(&planned.plan)
        .last()
        .expect("a RUN")
        .env
        .iter()
        .map(str::to_owned)
        .collect()
}

fn seen(text: &str, name: &str) -> Option<String> {
    seen_with(text, name, &PlanOptions::default())
}

fn seen_with(text: &str, name: &str, options: &PlanOptions) -> Option<String> {
    let prefix = format!("{name}=");
    let env = last_env(text, options);
    env.iter()
        .find_map(|entry| entry.strip_prefix(&prefix).map(str::to_owned))
}

#[test]
fn a_global_arg_is_invisible_until_it_is_declared_again() {
    assert_eq!(seen("ARG V=1\nFROM debian\nRUN x\n", "V"), None);
    assert_eq!(
        seen("ARG V=1\nFROM debian\nARG V\nRUN x\n", "V").as_deref(),
        Some("1")
    );
    assert_eq!(
        seen("ARG V=1\nFROM debian\nARG V=2\nRUN x\n", "V").as_deref(),
        Some("2")
    );
    let given = args(&[("V", "3")]);
    assert_eq!(
        seen_with("ARG V=1\nFROM debian\nARG V=2\nRUN x\n", "V", &given).as_deref(),
        Some("3")
    );
}

#[test]
fn from_uses_global_args_and_build_args() {
    let shelf = Shelf::standard();
    let text = "ARG BASE=debian\nARG TAG=bookworm\nFROM $BASE:${TAG}\n";
    try_plan(text, &PlanOptions::default(), &shelf).expect("it plans");
    assert_eq!(shelf.asked(), ["debian:bookworm"]);
    let shelf = Shelf::standard();
    try_plan(
        "ARG BASE=debian\nFROM $BASE\n",
        &args(&[("BASE", "alpine")]),
        &shelf,
    )
    .expect("it plans");
    assert_eq!(shelf.asked(), ["alpine"]);
    assert_eq!(
        mistake("ARG BASE\nFROM $BASE\n"),
        "base name ($BASE) should not be blank"
    );
}

#[test]
fn the_last_of_arg_and_env_wins_for_steps_and_the_image_keeps_env() {
    let text = "FROM debian\nENV A=1\nARG A=2\nRUN x\n";
    assert_eq!(seen(text, "A").as_deref(), Some("2"));
    let planned = planned(text);
    assert!(
        config(&planned)
            .config
            .env
            .as_ref()
            .expect("an env")
            .contains(&"A=1".to_owned())
    );
    assert_eq!(
        seen("FROM debian\nARG A=2\nENV A=1\nRUN x\n", "A").as_deref(),
        Some("1")
    );
}

#[test]
fn an_arg_without_value_leaves_an_env_alone() {
    assert_eq!(
        seen("FROM debian\nENV A=1\nARG A\nRUN x\n", "A").as_deref(),
        Some("1")
    );
}

#[test]
fn an_arg_sees_the_arg_before_it_but_an_env_does_not() {
    assert_eq!(
        seen("FROM debian\nARG A=1 B=$A\nRUN x\n", "B").as_deref(),
        Some("1")
    );
    assert_eq!(
        seen("FROM debian\nENV A=0\nENV A=1 B=$A\nRUN x\n", "B").as_deref(),
        Some("0")
    );
}

#[test]
fn args_are_in_every_later_step_and_in_history_but_not_in_the_image() {
    let text = "FROM debian\nARG A=1\nARG B\nRUN make\n";
    let planned = planned(text);
    assert_eq!(
        history(&planned),
        [
            "- ARG A=1",
            "- ARG B",
            "+ RUN |2 A=1 B= /bin/sh -c make # buildkit"
        ]
    );
    assert_eq!(
        config(&planned).config.env.as_deref(),
        Some(["PATH=/bin".to_owned()].as_slice())
    );
    assert_eq!(seen(text, "A").as_deref(), Some("1"));
    assert_eq!(seen(text, "B"), None);
}

#[test]
fn history_shows_an_arg_as_the_step_saw_it() {
    let planned = planned("FROM debian\nARG A=1\nENV A=2\nRUN x\n");
    assert_eq!(history(&planned)[2], "+ RUN |1 A=2 /bin/sh -c x # buildkit");
}

#[test]
fn proxy_args_reach_steps_in_both_cases_without_being_in_env() {
    let options = args(&[("http_proxy", "http://p"), ("NO_PROXY", "x")]);
    let planned = planned_with("FROM debian\nRUN x\n", &options);
    let exec = execs(&planned.plan)[0];
    assert_eq!(
        exec.proxy_env,
        [
            "HTTP_PROXY=http://p",
            "http_proxy=http://p",
            "NO_PROXY=x",
            "no_proxy=x"
        ]
    );
    assert_eq!(exec.env, ["PATH=/bin"].into_iter().collect());
    assert_eq!(history(&planned), ["+ RUN /bin/sh -c x # buildkit"]);
}

#[test]
fn a_declared_proxy_arg_is_like_any_other() {
    let options = args(&[("HTTP_PROXY", "http://p")]);
    let planned = planned_with("FROM debian\nARG HTTP_PROXY\nRUN x\n", &options);
    let exec = execs(&planned.plan)[0];
    assert_eq!(exec.env.get("HTTP_PROXY"), Some("http://p"));
    assert_eq!(exec.proxy_env, ["http_proxy=http://p"]);
    assert_eq!(
        history(&planned)[1],
        "+ RUN |1 HTTP_PROXY=http://p /bin/sh -c x # buildkit"
    );
}

#[test]
fn platform_args_need_a_declaration() {
    let text = "FROM debian AS app\nARG TARGETPLATFORM TARGETOS TARGETARCH BUILDPLATFORM TARGETSTAGE\nRUN x\n";
    let planned = planned(text);
    let env = &execs(&planned.plan)[0].env;
    for entry in [
        "TARGETPLATFORM=linux/amd64",
        "TARGETOS=linux",
        "TARGETARCH=amd64",
        "BUILDPLATFORM=linux/amd64",
        "TARGETSTAGE=app",
    ] {
        assert!(env.iter().any(|known| known == entry), "{entry} in {env:?}");
    }
    assert_eq!(
        seen("FROM debian\nARG TARGETSTAGE\nRUN x\n", "TARGETSTAGE").as_deref(),
        Some("default")
    );
    assert_eq!(
        seen_with(
            "FROM debian\nARG TARGETARCH\nRUN x\n",
            "TARGETARCH",
            &args(&[("TARGETARCH", "mips")])
        )
        .as_deref(),
        Some("mips")
    );
    assert_eq!(seen("FROM debian\nRUN x\n", "TARGETARCH"), None);
}

#[test]
fn keys_of_env_and_label_are_expanded() {
    let planned = planned("FROM debian\nENV K=name\nENV ${K}1=v\nLABEL $K=\"a b\"\n");
    assert!(
        config(&planned)
            .config
            .env
            .as_ref()
            .expect("an env")
            .contains(&"name1=v".to_owned())
    );
    assert_eq!(config(&planned).config.labels["name"], "a b");
}

#[test]
fn a_lone_dollar_pair_is_nothing_and_a_backslash_keeps_it() {
    assert_eq!(
        seen("FROM debian\nENV A=x$$y B=\\$z\nRUN x\n", "A").as_deref(),
        Some("xy")
    );
    assert_eq!(
        seen("FROM debian\nENV A=x$$y B=\\$z\nRUN x\n", "B").as_deref(),
        Some("$z")
    );
}

#[test]
fn sbom_args_never_become_environment() {
    let planned = planned("FROM debian\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN x\n");
    assert_eq!(
        execs(&planned.plan)[0].env,
        ["PATH=/bin"].into_iter().collect()
    );
}

#[test]
fn build_args_that_nothing_declares_are_told() {
    let options = args(&[
        ("TYPO", "1"),
        ("GOOD", "1"),
        ("https_proxy", "p"),
        ("BUILDKIT_SYNTAX", "x"),
    ]);
    let planned = planned_with("FROM debian\nARG GOOD\n", &options);
    let names: Vec<_> = planned
        .unused_build_args
        .iter()
        .map(|arg| arg.name.as_str())
        .collect();
    assert_eq!(names, ["TYPO"]);
}

#[test]
fn the_epoch_is_a_number() {
    let planned = planned_with("FROM debian\n", &args(&[("SOURCE_DATE_EPOCH", "12")]));
    assert_eq!(planned.source_date_epoch, Some(12));
    assert_eq!(
        planned_with("FROM debian\n", &args(&[("SOURCE_DATE_EPOCH", "")])).source_date_epoch,
        None
    );
    let error = try_plan(
        "FROM debian\n",
        &args(&[("SOURCE_DATE_EPOCH", "soon")]),
        &Shelf::standard(),
    );
    assert!(error.is_err());
}

fn epoch_of(text: &str) -> Result<Option<EpochSource>, String> {
    let options = PlanOptions::default();
    if let Err(PlanError::Mistakes { diagnostics }) = try_plan(text, &options, &Shelf::standard()) {
        return Err(diagnostics[0].message.clone());
    }
    let source = rbuild_dockerfile::Source::new("Dockerfile", text);
    let dockerfile = rbuild_dockerfile::parse(&source).dockerfile;
    Ok(rbuild_plan::epoch_source(
        &dockerfile.expect("a good file"),
        &options,
    ))
}

#[test]
fn the_epoch_may_be_the_time_of_a_context_or_of_what_a_stage_adds() {
    let default = |value: &str, stage: &str| {
        epoch_of(&format!(
            "ARG SOURCE_DATE_EPOCH={value}\n{stage}FROM scratch\nCOPY a /\n"
        ))
    };
    assert_eq!(default("", ""), Ok(None));
    assert_eq!(default("12", ""), Ok(None));
    assert_eq!(default("context", ""), Ok(Some(EpochSource::MainContext)));
    let stage = "FROM scratch AS Src\nARG V=1\nADD http://example.org/$V.tar /\n";
    match default("src", stage) {
        Ok(Some(EpochSource::Http(http))) => assert_eq!(http.url, "http://example.org/1.tar"),
        other => panic!("{other:?}"),
    }
    let stage = "FROM scratch AS src\nADD https://example.org/x.git#v1 /\n";
    match default("src", stage) {
        Ok(Some(EpochSource::Git(git))) => assert_eq!(git.reference.as_deref(), Some("v1")),
        other => panic!("{other:?}"),
    }
    for (stage, expected) in [
        ("", "invalid SOURCE_DATE_EPOCH: src"),
        (
            "FROM scratch AS src\nCOPY Dockerfile /\n",
            "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported COPY instruction",
        ),
        (
            "FROM debian AS src\n",
            "SOURCE_DATE_EPOCH stage must use FROM scratch",
        ),
        (
            "FROM scratch AS src\n",
            "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD",
        ),
        (
            "FROM scratch AS src\nADD a /\n",
            "SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD",
        ),
    ] {
        assert_eq!(default("src", stage), Err(expected.to_owned()));
    }
}

#[test]
fn a_build_arg_that_is_almost_declared_is_told_what_was_meant() {
    let planned = planned_with("FROM debian\nARG VERSION=1\n", &args(&[("VERSOIN", "2")]));
    let [unused] = planned.unused_build_args.as_slice() else {
        panic!("{:?}", planned.unused_build_args)
    };
    assert_eq!(unused.suggestion.as_deref(), Some("VERSION"));
}
