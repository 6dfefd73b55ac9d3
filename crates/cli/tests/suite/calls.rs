//! `--call`, `--check`, `--diagnostics=json`: questions to a Dockerfile, answered in the shapes that buildx gives.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Caller, Lab, Project};

const CASING: &str = "frOM busybox as base\ncOpy Dockerfile .\nfrom scratch\nCOPy --from=base \\\n  /Dockerfile \\\n  /\n";

fn lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

/// What a command wrote to standard output, as JSON, and its exit status.
#[track_caller]
fn asked(lab: &Lab, project: &Project, arguments: &[&str]) -> (Value, Option<i32>) {
    let outcome = lab.try_build(project, arguments);
    let value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome}"));
    (value, outcome.status.code())
}

fn first_line(value: &Value) -> &Value {
    &value["location"]["ranges"][0]["start"]["line"]
}

#[test]
fn a_check_lists_warnings_with_rule_page_and_lines_and_fails() {
    let Some(lab) = lab() else { return };
    let project = lab.project(CASING);
    let outcome = lab.try_build(&project, &["--call=check"]).failure();
    let text = &outcome.stdout;
    assert!(
        text.starts_with("Check complete, 3 warnings have been found!\n\nWARNING: ConsistentInstructionCasing - https://docs.docker.com/go/dockerfile/rule/consistent-instruction-casing/\n"),
        "{outcome}"
    );
    assert!(
        text.contains("\nDockerfile:4\n--------------------\n"),
        "{outcome}"
    );
    assert!(
        text.contains("   5 | >>>   /Dockerfile \\\n   6 | >>>   /\n"),
        "{outcome}"
    );
    let (value, status) = asked(&lab, &project, &["--call=lint,format=json"]);
    assert_eq!(status, Some(1));
    let warnings = value["warnings"].as_array().expect("a list");
    let lines: Vec<_> = warnings.iter().map(first_line).collect();
    assert_eq!(lines, [1, 2, 4]);
    // One range a line, as buildx users know it.
    let ranges = warnings[2]["location"]["ranges"]
        .as_array()
        .expect("a list");
    let ends: Vec<_> = ranges.iter().map(|range| &range["end"]["line"]).collect();
    assert_eq!(ends, [4, 5, 6]);
    assert_eq!(warnings[0]["ruleName"], "ConsistentInstructionCasing");
    assert_eq!(
        warnings[0]["detail"],
        "Command 'frOM' should match the case of the command majority (lowercase)"
    );
    assert_eq!(value["sources"][0]["filename"], "Dockerfile");
    assert!(value.get("buildError").is_none());
    let ignored = lab.try_build(&project, &["--call=check,ignorestatus=true"]);
    assert!(ignored.status.success(), "{ignored}");
}

#[test]
fn a_check_without_findings_says_so_and_builds_nothing() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM busybox AS base\nRUN exit 1\n");
    let outcome = lab.build(&project, &["--check"]);
    assert_eq!(outcome.stdout, "Check complete, no warnings found.\n");
    let one = lab.project("FROM busybox as base\nCOPY Dockerfile .\n");
    let outcome = lab.try_build(&one, &["--check"]).failure();
    assert!(
        outcome
            .stdout
            .starts_with("Check complete, 1 warning has been found!\n"),
        "{outcome}"
    );
}

#[test]
fn a_check_tells_the_error_that_a_build_would_fail_with() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM scratch as base\nCOPY --from=nowhere:::x a b\n");
    let (value, status) = asked(&lab, &project, &["--call=check,format=json"]);
    assert_eq!(status, Some(1));
    let error = &value["buildError"];
    assert_eq!(first_line(error), 2);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("nowhere")),
        "{value}"
    );
    assert_eq!(value["warnings"][0]["ruleName"], "FromAsCasing");
    let strict = lab.project("#check=error=true\nFROM scratch as base\n");
    let (value, status) = asked(&lab, &strict, &["--call=check,format=json"]);
    assert_eq!(status, Some(1));
    assert_eq!(
        value["buildError"]["message"],
        "lint violation found for rules: FromAsCasing"
    );
    assert_eq!(first_line(&value["buildError"]), 2);
    lab.try_build(&strict, &[])
        .failure()
        .says("failed to solve: lint violation found for rules: FromAsCasing");
}

#[test]
fn a_check_names_the_dockerfile_as_it_was_named() {
    let Some(lab) = lab() else { return };
    let project = lab.project("");
    project.file(
        "sub/Dockerfile",
        "frOM busybox as base\ncOpy Dockerfile .\n",
    );
    let path = project.dir.join("sub/Dockerfile").display().to_string();
    let outcome = lab.try_build(&project, &["--check", "-f", &path]).failure();
    assert!(
        outcome.stdout.contains(&format!("\n{path}:1\n")),
        "{outcome}"
    );
}

#[test]
fn the_metadata_of_a_call_holds_its_answer() {
    let Some(lab) = lab() else { return };
    let project = lab.project(CASING);
    let path = lab.path("out/md.json");
    let file = path.display().to_string();
    lab.try_build(
        &project,
        &["--call=check,format=json", "--metadata-file", &file],
    )
    .failure();
    let text = std::fs::read(&path).expect("metadata");
    let value: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(
        value["result.json"]["warnings"].as_array().map(Vec::len),
        Some(3)
    );
    assert!(value.get("buildx.build.ref").is_none());
}

#[test]
fn an_outline_lists_what_the_target_asks_for() {
    let Some(lab) = lab() else { return };
    let project = lab.project(
        "FROM busybox AS first\n\
         RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true\n\
         FROM nowhere.invalid/x AS second\nRUN --mount=type=secret,id=unused true\n\
         FROM scratch AS third\n# BAR is a number\nARG BAR\nRUN --mount=type=secret,id=second${BAR} true\n\
         # target is what is shipped\nFROM third AS target\nCOPY --from=first /foo /\n\
         RUN --mount=type=ssh,id=ssh3,required true\nFROM second\n",
    );
    let arguments = ["--build-arg=BAR=678", "--target=target"];
    let (value, status) = asked(
        &lab,
        &project,
        &[&arguments[..], &["--call=outline,format=json"]].concat(),
    );
    assert_eq!(status, Some(0));
    let place =
        |line: u32| json!({ "ranges": [{ "start": { "line": line }, "end": { "line": line } }] });
    assert_eq!(value["name"], "target");
    assert_eq!(value["description"], "is what is shipped");
    assert_eq!(
        value["args"],
        json!([{ "name": "BAR", "description": "is a number", "value": "678", "location": place(7) }])
    );
    assert_eq!(
        value["secrets"],
        json!([
            { "name": "passwd", "required": true, "location": place(2) },
            { "name": "second678", "location": place(8) },
        ])
    );
    assert_eq!(
        value["ssh"],
        json!([
            { "name": "default", "location": place(2) },
            { "name": "ssh3", "required": true, "location": place(12) },
        ])
    );
    assert_eq!(value["sources"].as_array().map(Vec::len), Some(1));
    let text = lab.build(&project, &[&arguments[..], &["--call=outline"]].concat());
    assert_eq!(
        text.stdout,
        "TARGET:      target\nDESCRIPTION: is what is shipped\n\n\
         BUILD ARG   VALUE   DESCRIPTION\nBAR         678     is a number\n\n\
         SECRET      REQUIRED\npasswd      true\nsecond678   \n\n\
         SSH       REQUIRED\ndefault   \nssh3      true\n\n"
    );
}

#[test]
fn targets_are_listed_without_looking_any_image_up() {
    let Some(lab) = lab() else { return };
    let project = lab.project(
        "# build defines stage for compiling the binary\nFROM nowhere.invalid/a AS build\nRUN true\n\
         FROM busybox\n# binary returns the compiled binary\nFROM build AS binary\n",
    );
    let (value, status) = asked(&lab, &project, &["--call=targets,format=json"]);
    assert_eq!(status, Some(0));
    let targets = value["targets"].as_array().expect("a list");
    let names: Vec<_> = targets
        .iter()
        .map(|target| target["name"].as_str())
        .collect();
    assert_eq!(names, [Some("build"), None, Some("binary")]);
    assert_eq!(targets[0]["base"], "nowhere.invalid/a");
    assert_eq!(targets[2]["default"], true);
    assert_eq!(first_line(&targets[2]), 6);
    assert_eq!(
        lab.build(&project, &["--call=targets"]).stdout,
        "TARGET           DESCRIPTION\nbuild            defines stage for compiling the binary\n\
         \x20                \nbinary (default) returns the compiled binary\n"
    );
}

#[test]
fn what_can_be_asked_is_told() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM scratch\n");
    let (value, _) = asked(&lab, &project, &["--call=subrequests.describe,format=json"]);
    let names: Vec<_> = value
        .as_array()
        .expect("a list")
        .iter()
        .filter(|method| method["Type"] == "rpc" && method["Version"] == "1.0.0")
        .filter_map(|method| method["Name"].as_str())
        .collect();
    assert!(names.contains(&"frontend.outline") && names.contains(&"frontend.targets"));
    lab.try_build(&project, &["--call=what"])
        .failure()
        .says("there is no method \"what\"");
}

#[test]
fn editors_get_a_line_of_json_for_each_finding() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM busybox as x\nRUNN make\nCOPI a b\n");
    let outcome = lab.try_build(&project, &["--diagnostics=json"]).failure();
    let lines: Vec<Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "{outcome}");
    assert_eq!(lines[0]["code"], "unknown-instruction");
    assert_eq!(lines[0]["severity"], "error");
    assert_eq!(lines[0]["replacement"], "RUN");
    assert_eq!(lines[0]["file"], "Dockerfile");
    assert_eq!(
        lines[0]["range"],
        json!({ "start": { "line": 2, "column": 1, "offset": 18 }, "end": { "line": 2, "column": 5, "offset": 22 } })
    );
    assert!(outcome.last_words().contains("COPI"), "{outcome}");
    project.dockerfile("FROM busybox as x\nRUN exit 3\n");
    let outcome = lab.try_build(&project, &["--diagnostics=json"]).failure();
    let step: Value = serde_json::from_str(outcome.stdout.trim()).expect("one line");
    assert_eq!(step["code"], "step-failed");
    assert_eq!(step["range"]["start"]["line"], 2);
    project.dockerfile("FROM busybox as x\n");
    let outcome = lab.build(&project, &["--diagnostics=json"]);
    let warning: Value = serde_json::from_str(outcome.stdout.trim()).expect("one line");
    assert_eq!(
        (&warning["severity"], &warning["code"]),
        (&json!("warning"), &json!("FromAsCasing"))
    );
    assert_eq!(warning["replacement"], "AS");
}

#[test]
fn a_build_tells_its_warnings_once_and_shortly() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM busybox as x\nRUN true\n");
    let outcome = lab.build(&project, &[]);
    let line = " - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)\n";
    assert_eq!(
        outcome.stderr.matches("FromAsCasing").count(),
        1,
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains(&format!(
            " 1 warning found (use --debug to expand):\n{line}"
        )),
        "{outcome}"
    );
    lab.build(&project, &["--debug"])
        .says("   1 | >>> FROM busybox as x");
}

#[rstest]
#[case("docker/dockerfile:1")]
#[case("docker.io/docker/dockerfile-upstream:master")]
#[case(
    "mirror.example:5000/docker/dockerfile:1.7@sha256:9e2c9eca7367393aecc68795c671f93466818395a2693498debe831fd67f5e89"
)]
fn the_languages_own_frontends_are_built_in(#[case] frontend: &str) {
    let Some(lab) = lab() else { return };
    let project = lab.project(&format!(
        "# syntax={frontend}\nFROM scratch\nCOPY Dockerfile /\n"
    ));
    lab.build(&project, &[]);
}

#[rstest]
#[case("# syntax=tonistiigi/dockerfile:runmount\nFROM scratch\n")]
#[case("// syntax=tonistiigi/dockerfile:runmount\nFROM scratch\n")]
#[case("{\"syntax\": \"tonistiigi/dockerfile:runmount\"}\n")]
#[case("#!/usr/bin/env x\n# syntax = tonistiigi/dockerfile:runmount arg\nFROM scratch\n")]
fn a_foreign_frontend_is_refused_with_a_sentence(#[case] text: &str) {
    let Some(lab) = lab() else { return };
    let project = lab.project(text);
    lab.try_build(&project, &[])
        .failure()
        .says("the frontend \"tonistiigi/dockerfile:runmount\" cannot be used")
        .says("^^^^^^^^^^");
}

#[test]
fn the_frontend_is_also_named_by_a_build_arg() {
    let Some(lab) = lab() else { return };
    let project = lab.project("# syntax=some/frontend\nFROM scratch\nCOPY Dockerfile /\n");
    lab.build(&project, &["--build-arg", "BUILDKIT_SYNTAX=dockerfile.v0"]);
    lab.build(
        &project,
        &["--build-arg", "BUILDKIT_SYNTAX=docker/dockerfile:1"],
    );
    project.dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    lab.try_build(&project, &["--build-arg", "BUILDKIT_SYNTAX=some/frontend"])
        .failure()
        .says("BUILDKIT_SYNTAX=some/frontend");
}
