//! Source policies: what a build may take from where.

use rstest::rstest;

use crate::support::{Caller, Lab, Project};

fn lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

/// A policy file with these rules.
fn policy(lab: &Lab, rules: &str) -> String {
    let path = lab.path("out/policy.json");
    std::fs::write(&path, format!(r#"{{"version":1,"rules":[{rules}]}}"#)).expect("a file");
    path.display().to_string()
}

fn rule(action: &str, identifier: &str) -> String {
    format!(r#"{{"action":"{action}","selector":{{"identifier":"{identifier}"}}}}"#)
}

fn convert(from: &str, to: &str) -> String {
    format!(
        r#"{{"action":"CONVERT","selector":{{"identifier":"{from}"}},"updates":{{"identifier":"{to}"}}}}"#
    )
}

/// Builds `one` and `two`, which differ in the file `/which`, into the local store.
fn two_images(lab: &Lab) {
    for name in ["one", "two"] {
        let project = lab.project(&format!("FROM busybox\nRUN echo {name} > /which\n"));
        lab.build(&project, &["-t", name]);
    }
}

fn which(lab: &Lab) -> Project {
    lab.project("FROM one\nRUN cat /which\n")
}

#[rstest]
#[case::exactly("docker-image://docker.io/library/one:latest")]
#[case::by_wildcard("docker-image://docker.io/library/*")]
#[case::everything("*")]
fn a_denied_image_is_told_with_its_place_and_its_rule(#[case] selector: &str) {
    let Some(lab) = lab() else { return };
    two_images(&lab);
    let file = policy(&lab, &rule("DENY", selector));
    let project = which(&lab);
    lab.build(&project, &[]);
    let outcome = lab
        .try_build(&project, &["--source-policy-file", &file])
        .failure();
    let outcome = outcome
        .says("denied by policy")
        .says(&format!("DENY {selector}"));
    assert!(
        selector == "*" || outcome.stderr.contains("   1 | >>> FROM one"),
        "{outcome}"
    );
}

#[test]
fn the_policy_is_also_read_from_the_variable_that_buildx_reads() {
    let Some(lab) = lab() else { return };
    two_images(&lab);
    let file = policy(&lab, &rule("DENY", "docker-image://*"));
    let project = which(&lab);
    let mut command = lab.build_command(&[]);
    command
        .arg(&project.dir)
        .env("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", &file);
    crate::support::Running::start(&mut command)
        .wait()
        .failure()
        .says("source denied by policy");
}

#[test]
fn the_last_rule_that_matches_decides() {
    let Some(lab) = lab() else { return };
    two_images(&lab);
    let rules = [
        rule("DENY", "docker-image://*"),
        rule("ALLOW", "docker-image://docker.io/library/one:latest"),
    ];
    let file = policy(&lab, &rules.join(","));
    lab.build(&which(&lab), &["--source-policy-file", &file]);
    let other = lab.project("FROM two\nRUN true\n");
    lab.try_build(&other, &["--source-policy-file", &file])
        .failure()
        .says("docker-image://docker.io/library/two:latest");
}

#[test]
fn another_image_may_stand_in() {
    let Some(lab) = lab() else { return };
    two_images(&lab);
    let image = "docker-image://docker.io/library/";
    for rules in [
        convert(&format!("{image}one:latest"), &format!("{image}two:latest")),
        r#"{"action":"CONVERT","selector":{"identifier":"^(.*)/one:(.*)$","match_type":"REGEX"},"updates":{"identifier":"${1}/two:$2"}}"#
            .to_owned(),
    ] {
        let file = policy(&lab, &rules);
        let arguments = ["--no-cache", "--source-policy-file", &file];
        let outcome = lab.build(&which(&lab), &arguments);
        assert_eq!(outcome.step("RUN cat").output, ["two"], "{outcome}");
    }
    // The same name as a named context.
    let file = policy(
        &lab,
        &convert(&format!("{image}one:latest"), &format!("{image}two:latest")),
    );
    let project = lab.project("FROM other\nRUN cat /which\n");
    let arguments = [
        "--no-cache",
        "--source-policy-file",
        &file,
        "--build-context",
        "other=docker-image://one",
    ];
    let outcome = lab.build(&project, &arguments);
    assert_eq!(outcome.step("RUN cat").output, ["two"], "{outcome}");
}

#[test]
fn a_directory_may_stand_in_for_an_image() {
    let Some(lab) = lab() else { return };
    let other = lab.project("");
    other.file("foo", "local\n");
    let project =
        lab.project("FROM scratch AS replace\nFROM scratch\nCOPY --from=replace /foo /\n");
    let file = policy(
        &lab,
        &convert(
            "docker-image://docker.io/library/alpine:latest",
            "local://test",
        ),
    );
    let tree = lab.tree(
        &project,
        &[
            "--source-policy-file",
            &file,
            "--build-context",
            &format!("test={}", other.dir.display()),
            "--build-context",
            "replace=docker-image://docker.io/library/alpine:latest",
        ],
    );
    assert_eq!(tree.text("foo"), "local\n");
}

#[test]
fn rules_in_a_circle_end() {
    let Some(lab) = lab() else { return };
    let image = "docker-image://docker.io/library/";
    let rules = [
        convert(&format!("{image}one:latest"), &format!("{image}two:latest")),
        convert(&format!("{image}two:latest"), &format!("{image}one:latest")),
    ];
    let file = policy(&lab, &rules.join(","));
    lab.try_build(&which(&lab), &["--source-policy-file", &file])
        .failure()
        .says("too many operations");
}

#[rstest]
#[case("ADD https://example.invalid/file /\n", "https://example.invalid/file")]
#[case(
    "ADD https://example.invalid/repo.git#main /\n",
    "git://example.invalid/repo.git#main"
)]
#[case("COPY Dockerfile /\n", "local://context")]
fn what_is_fetched_is_judged_before_it_is_fetched(#[case] step: &str, #[case] identifier: &str) {
    let Some(lab) = lab() else { return };
    let rules = [rule("DENY", "*"), rule("ALLOW", "local://dockerfile")];
    let file = policy(&lab, &rules.join(","));
    let project = lab.project(&format!("FROM scratch\n{step}"));
    lab.try_build(&project, &["--source-policy-file", &file])
        .failure()
        .says(&format!("source {identifier:?} denied by policy"))
        .says("Dockerfile:2");
}

#[test]
fn a_stage_that_is_not_needed_is_not_judged() {
    let Some(lab) = lab() else { return };
    let file = policy(&lab, &rule("DENY", "docker-image://*"));
    let project = lab.project("FROM nowhere.invalid/x AS other\nFROM scratch\nCOPY Dockerfile /\n");
    lab.build(&project, &["--source-policy-file", &file]);
}

#[test]
fn a_policy_that_is_not_understood_stops_the_build() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM scratch\nCOPY Dockerfile /\n");
    let file = policy(&lab, r#"{"action":"FORBID","selector":{"identifier":"*"}}"#);
    lab.try_build(&project, &["--source-policy-file", &file])
        .failure()
        .says("rule 1: action \"FORBID\" is none of ALLOW, DENY, CONVERT");
    lab.try_build(&project, &["--source-policy-file", "/no/such/file"])
        .failure()
        .says("failed to read the source policy /no/such/file");
}

#[rstest]
#[case("--network=host", "network.host")]
#[case("--security=insecure", "security.insecure")]
fn a_privilege_is_refused_with_who_asks_and_how_to_grant_it(
    #[case] flag: &str,
    #[case] entitlement: &str,
) {
    let Some(lab) = lab() else { return };
    let project = lab.project(&format!("FROM busybox\nRUN {flag} true\n"));
    lab.try_build(&project, &[])
        .failure()
        .says(&format!("{entitlement} is not allowed"))
        .says(&format!("--allow {entitlement}"))
        .says("   2 | >>> RUN");
    lab.build(&project, &["--allow", entitlement]);
    if entitlement == "network.host" {
        lab.build(&project, &["--no-cache", "--network=host"]);
    }
}
