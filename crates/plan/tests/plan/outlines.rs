//! What a file can build, and what a build asks for.

use rbuild_dockerfile::{Source, parse};
use rbuild_plan::{NamedContext, Outline, PlanOptions, Presence, Target, targets};

use crate::common::{Shelf, args, names, planned_with, try_plan};

fn with_target(target: &str, build_args: &[(&str, &str)]) -> PlanOptions {
    PlanOptions {
        target: Some(target.to_owned()),
        ..args(build_args)
    }
}

fn listed(text: &str) -> Vec<Target> {
    let parsed = parse(&Source::new("Dockerfile", text));
    targets(&parsed.dockerfile.expect("a good file"))
}

/// `NAME=value description @line`
fn arg_lines(text: &str, outline: &Outline) -> Vec<String> {
    let source = Source::new("Dockerfile", text);
    let line = |arg: &rbuild_plan::OutlineArg| {
        let line = source.position(arg.span.start).line;
        format!("{}={} {:?} @{line}", arg.name, arg.value, arg.description)
    };
    outline.args.iter().map(line).collect()
}

#[test]
fn the_outline_has_the_args_that_the_target_uses_with_values_descriptions_and_places() {
    let text = "ARG inherited=debi\nARG inherited2=box2\nARG unused=abc${inherited2}\n# sfx is a suffix\n\
        ARG sfx=\"${inherited}an\"\n\nFROM ${sfx} AS first\n# this is not assigned to anything\nARG FOO=123\n\
        # BAR is a number\nARG BAR=456\nRUN true\n\nFROM alpine${unused} AS second\nARG BAZ\nRUN true\n\n\
        FROM scratch AS third\nARG ABC=a\n\n# target defines build target\nFROM third AS target\n\
        COPY --from=first /etc/passwd /\n\nFROM second\n";
    let outline = planned_with(text, &with_target("target", &[("BAR", "678")])).outline;
    assert_eq!(outline.name, "target");
    assert_eq!(outline.description, "defines build target");
    assert_eq!(
        arg_lines(text, &outline),
        [
            r#"inherited=debi "" @1"#,
            r#"sfx=debian "is a suffix" @5"#,
            r#"FOO=123 "" @9"#,
            r#"BAR=678 "is a number" @11"#,
            r#"ABC=a "" @19"#,
        ]
    );
}

#[test]
fn an_arg_that_repeats_a_global_one_is_that_one() {
    let text =
        "# V is the version\nARG V=1\nARG W=2\nFROM scratch\nARG V\nARG W=3\nARG TARGETARCH\n";
    let outline = planned_with(text, &PlanOptions::default()).outline;
    assert_eq!(outline.name, "");
    assert_eq!(
        arg_lines(text, &outline),
        [r#"V=1 "is the version" @2"#, r#"W=3 "" @6"#]
    );
}

#[test]
fn the_outline_has_the_secrets_and_agents_that_the_target_uses() {
    let text = "FROM debian AS first\n\
        RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true\n\
        FROM alpine AS second\nRUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true\n\
        FROM scratch AS third\nARG BAR\nRUN --mount=type=secret,id=second${BAR} true\n\
        FROM third AS target\nCOPY --from=first /foo /\nRUN --mount=type=ssh,id=ssh3,required true\nFROM second\n";
    let outline = planned_with(text, &with_target("TARGET", &[("BAR", "678")])).outline;
    let needs = |needs: &[rbuild_plan::OutlineNeed]| -> Vec<_> {
        let needs = needs.iter();
        needs
            .map(|need| (need.name.clone(), need.presence == Presence::Required))
            .collect()
    };
    assert_eq!(
        needs(&outline.secrets),
        [("passwd".to_owned(), true), ("second678".to_owned(), false)]
    );
    assert_eq!(
        needs(&outline.ssh),
        [("default".to_owned(), false), ("ssh3".to_owned(), true)]
    );
}

#[test]
fn the_targets_are_the_stages_as_they_are_written() {
    let text = "\n# build defines stage for compiling the binary\nFROM alpine AS Build\nRUN true\n\n\
        FROM --platform=$BUILDPLATFORM busybox:${V} as second\nRUN false\n\nFROM alpine\nRUN false\n\n\
        # binary returns the compiled binary\nFROM second AS binary\n";
    let list = listed(text);
    let lines: Vec<_> = list
        .iter()
        .map(|one| {
            format!(
                "{} | {} | {} | {} | {}",
                one.name, one.base, one.platform, one.description, one.is_default
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "build | alpine |  | defines stage for compiling the binary | false",
            "second | busybox:${V} | $BUILDPLATFORM |  | false",
            " | alpine |  |  | false",
            "binary | second |  | returns the compiled binary | true",
        ]
    );
}

#[test]
fn what_a_policy_denies_is_no_plan() {
    let mut options = PlanOptions::default();
    let denial = r#"{"rules":[{"action":"DENY","selector":{"identifier":"*"}}]}"#;
    options.policies.add("p.json", denial).expect("a policy");
    options
        .contexts
        .insert("other".to_owned(), NamedContext::Local);
    for text in [
        "FROM scratch\nADD https://example.com/f /\n",
        "FROM scratch\nADD https://example.com/f.git /\n",
        "FROM scratch\nCOPY a /\n",
        "FROM scratch\nCOPY --from=other a /\n",
        "FROM scratch AS other\nFROM other\n",
    ] {
        let error = try_plan(text, &options, &Shelf::standard()).expect_err("denied");
        assert!(error.to_string().contains("denied by policy"), "{error}");
    }
    assert!(try_plan("FROM scratch\nENV A=1\n", &options, &Shelf::standard()).is_ok());
}

#[test]
fn a_policy_may_put_another_source_in_the_place_of_an_image() {
    let convert = |to: &str| {
        let mut options = PlanOptions::default();
        let policy = format!(
            r#"{{"rules":[{{"action":"CONVERT","selector":{{"identifier":"docker-image://docker.io/library/away:latest"}},"updates":{{"identifier":"{to}"}}}}]}}"#
        );
        options.policies.add("p.json", &policy).expect("a policy");
        let known = ("test".to_owned(), NamedContext::Local);
        let named = ("named".to_owned(), NamedContext::Image("away".to_owned()));
        options.contexts.extend([known, named]);
        options
    };
    for base in ["away", "named"] {
        let text = format!("FROM {base} AS replaced\nFROM scratch\nCOPY --from=replaced /foo /\n");
        let planned = planned_with(&text, &convert("local://test"));
        assert!(
            names(&planned.plan).contains(&"[context test] load from client".to_owned()),
            "{:?}",
            names(&planned.plan)
        );
        let planned = planned_with(
            &text,
            &convert("docker-image://docker.io/library/debian:bookworm"),
        );
        let all = names(&planned.plan).join("\n");
        assert!(
            all.contains("FROM docker.io/library/debian:bookworm"),
            "{all}"
        );
        planned_with(&text, &convert("https://example.com/x.tar"));
        planned_with(&text, &convert("git://example.com/x.git#main"));
    }
}

#[test]
fn scratch_may_stand_in_for_an_image() {
    let mut options = PlanOptions::default();
    let scratch = NamedContext::Image("scratch".to_owned());
    options.contexts.insert("busybox".to_owned(), scratch);
    let text = "FROM busybox AS build\nCOPY <<EOF /out\nhello\nEOF\n";
    assert_eq!(planned_with(text, &options).plan.vertices().count(), 1);
}
