//! Warnings and mistakes in a Dockerfile, as they are told before a build starts.

use rstest::rstest;

use crate::support::{Caller, Lab};

fn lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

#[rstest]
#[case(
    "# check=error=true\nFROM busybox AS Base\nRUN echo never run\n",
    &["Stage name 'Base' should be lowercase", "lint violation found for rules: StageNameCasing"]
)]
#[case(
    "FROM busybox AS Base\nRUN echo never run\nBADCMD\n",
    &["Stage name 'Base' should be lowercase", "dockerfile parse error on line 3: unknown instruction: BADCMD"]
)]
#[case(
    "FROM busybox AS base\nRUN echo never run\nCOPI a b\nCOPY --chwon=1 a b\n",
    &["COPY", "chown", "Dockerfile:3", "Dockerfile:4"]
)]
fn a_refused_build_tells_all_it_found_and_runs_nothing(
    #[case] text: &str,
    #[case] expected: &[&str],
) {
    let Some(lab) = lab() else { return };
    let project = lab.project(text);
    let outcome = lab.try_build(&project, &[]).failure();
    for part in expected {
        assert!(outcome.stderr.contains(part), "no {part:?} in {outcome}");
    }
    assert!(outcome.ran().is_empty(), "{outcome}");
}

#[test]
fn rules_made_errors_by_the_argument_refuse_as_well() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM busybox AS Base\nRUN echo never run\n");
    let argument = |value: &str| format!("BUILDKIT_DOCKERFILE_CHECK={value}");
    let outcome = lab.try_build(&project, &["--build-arg", &argument("error=true")]);
    let outcome = outcome.failure();
    assert!(outcome.stderr.contains("lint violation"), "{outcome}");
    assert!(outcome.ran().is_empty(), "{outcome}");
    let outcome = lab.build(&project, &["--build-arg", &argument("skip=all;error=true")]);
    assert!(!outcome.stderr.contains("StageNameCasing"), "{outcome}");
}

#[test]
fn what_is_not_built_is_not_warned_about_by_rules_of_meaning() {
    let Some(lab) = lab() else { return };
    let project =
        lab.project("FROM busybox AS other\nENV key value\nFROM busybox AS Last\nRUN true\n");
    let outcome = lab.build(&project, &[]);
    assert!(
        !outcome.stderr.contains("LegacyKeyValueFormat"),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("StageNameCasing"), "{outcome}");
    let outcome = lab.build(&project, &["--target", "other"]);
    assert!(outcome.stderr.contains("LegacyKeyValueFormat"), "{outcome}");
}

#[test]
fn a_trigger_with_a_mistake_harms_only_those_who_build_on_it() {
    let Some(lab) = lab() else { return };
    let stored = "FROM busybox AS base\nONBUILD COPY --no-such-flag a b\n";
    let project = lab.project(stored);
    lab.build(&project, &[]);
    project.dockerfile(&format!("{stored}FROM base\n"));
    let outcome = lab.try_build(&project, &[]).failure();
    assert!(outcome.stderr.contains("no-such-flag"), "{outcome}");
}
