//! Lints: what they find, and how the file turns them off.

use rbuild_dockerfile::{Source, parse};
use rbuild_plan::{IgnoreEffect, IgnorePattern, Ignored, PlanError, PlanOptions, Scope};
use rstest::rstest;

use crate::common::{Shelf, args, lints, planned, planned_with, try_plan};

#[rstest]
#[case(
    "FROM debian\nCOPY $foo /\n",
    "UndefinedVar",
    "Usage of undefined variable '$foo'"
)]
#[case(
    "FROM debian\nARG food=1\nCOPY $foo /\n",
    "UndefinedVar",
    "Usage of undefined variable '$foo' (did you mean $food?)"
)]
#[case(
    "ARG BASE=debian\nFROM debian$BAS\n",
    "UndefinedArgInFrom",
    "FROM argument 'BAS' is not declared (did you mean BASE?)"
)]
#[case(
    "FROM debian\nWORKDIR x\n",
    "WorkdirRelativePath",
    "Relative workdir \"x\" can have unexpected results if the base image changes"
)]
#[case::an_accent_that_is_a_character_of_its_own(
    "FROM debian\nWORKDIR e\u{301}\n",
    "WorkdirRelativePath",
    "Relative workdir \"e\u{301}\" can have unexpected results if the base image changes"
)]
#[case(
    "FROM debian\nCMD [\"a\"]\nCMD [\"b\"]\n",
    "MultipleInstructionsDisallowed",
    "Multiple CMD instructions should not be used in the same stage because only the last one will be used"
)]
#[case(
    "FROM debian\nENTRYPOINT a\n",
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals"
)]
#[case(
    "FROM debian AS a\nFROM debian AS a\n",
    "DuplicateStageName",
    "Duplicate stage name \"a\", stage names should be unique"
)]
#[case(
    "FROM debian AS context\n",
    "ReservedStageName",
    "Stage name should not use the same name as reserved stage \"context\""
)]
#[case(
    "FROM --platform=${TARGETPLATFORM} debian\n",
    "RedundantTargetPlatform",
    "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior"
)]
#[case(
    "FROM --platform=linux/amd64 debian\n",
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use constant value \"linux/amd64\""
)]
#[case(
    "FROM debian\nENV API_KEY=x\n",
    "SecretsUsedInArgOrEnv",
    "Do not use ARG or ENV instructions for sensitive data (ENV \"API_KEY\")"
)]
#[case(
    "FROM debian\nEXPOSE 80/TCP\n",
    "ExposeProtoCasing",
    "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"
)]
#[case(
    "FROM debian\nEXPOSE 127.0.0.1:80:80\n",
    "ExposeInvalidFormat",
    "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'"
)]
fn a_lint_finds(#[case] text: &str, #[case] code: &str, #[case] message: &str) {
    let planned = planned(text);
    let found: Vec<_> = planned
        .warnings
        .iter()
        .map(|warning| (warning.code, warning.message.as_str()))
        .collect();
    assert_eq!(found, [(code, message)]);
}

#[rstest]
#[case("FROM debian\nARG foo\nCOPY a$foo /\n")]
#[case("FROM debian\nWORKDIR /x\nWORKDIR y\n")]
#[case("FROM debian AS a\nWORKDIR /x\nFROM a\nWORKDIR y\n")]
#[case("FROM debian\nSHELL [\"/bin/bash\", \"-c\"]\nCMD a\n")]
#[case("FROM debian AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n")]
#[case("FROM --platform=linux/amd64 debian AS build-amd64\n")]
#[case("FROM --platform=$BUILDPLATFORM debian\n")]
#[case("FROM debian\nARG PUBLIC_KEY\n")]
#[case("FROM debian\nRUN echo $undefined\n")]
fn a_lint_keeps_quiet(#[case] text: &str) {
    assert_eq!(lints(text), Vec::<&str>::new());
}

#[test]
fn a_base_that_only_a_build_arg_makes_good_is_warned_of() {
    let planned = planned_with("ARG TAG\nFROM debian:$TAG\n", &args(&[("TAG", "bookworm")]));
    assert_eq!(planned.warnings[0].code, "InvalidDefaultArgInFrom");
}

#[test]
fn the_earlier_of_two_instructions_is_the_guilty_one() {
    let planned = planned("FROM debian\nCMD [\"a\"]\nCMD [\"b\"]\n");
    assert_eq!(planned.warnings[0].span.start, 12);
}

#[test]
fn the_check_directive_skips_rules() {
    assert!(lints("# check=skip=JSONArgsRecommended\nFROM debian\nCMD x\n").is_empty());
    assert!(lints("# check=skip=all\nFROM debian\nCMD x\nWORKDIR y\n").is_empty());
    assert_eq!(
        lints("# check=skip=JSONArgsRecommended\nFROM debian\nCMD x\nWORKDIR y\n"),
        ["WorkdirRelativePath"]
    );
}

#[test]
fn a_check_comment_is_for_one_instruction() {
    let text = "FROM debian\n# check=skip=WorkdirRelativePath\nWORKDIR x\nCMD y\n";
    assert_eq!(lints(text), ["JSONArgsRecommended"]);
}

#[test]
fn the_build_arg_replaces_the_directive() {
    let text = "# check=skip=all\nFROM debian\nCMD x\n";
    let planned = planned_with(
        text,
        &args(&[("BUILDKIT_DOCKERFILE_CHECK", "skip=WorkdirRelativePath")]),
    );
    assert_eq!(planned.warnings.len(), 1);
}

#[test]
fn with_error_true_a_violation_ends_the_build_before_it_starts() {
    let error = try_plan(
        "# check=error=true\nFROM debian\nCMD x\n",
        &PlanOptions::default(),
        &Shelf::standard(),
    );
    let Err(PlanError::Mistakes { diagnostics }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        diagnostics[0].message,
        "lint violation found for rules: JSONArgsRecommended"
    );
    assert_eq!(diagnostics.len(), 2);
    planned("# check=error=true;skip=JSONArgsRecommended\nFROM debian\nCMD x\n");
}

#[test]
fn warnings_of_the_parser_are_filtered_with_ours() {
    let text = "# check=skip=StageNameCasing\nFROM debian AS A\nMAINTAINER x\n";
    let source = Source {
        name: String::new(),
        text: text.to_owned(),
    };
    let parsed = parse(&source);
    let dockerfile = parsed.dockerfile.expect("it parses");
    let mut syntax_warnings = parsed.diagnostics;
    syntax_warnings.extend(rbuild_dockerfile::lint(&dockerfile));
    let options = PlanOptions {
        syntax_warnings,
        ..PlanOptions::default()
    };
    let planned = planned_with(text, &options);
    let codes: Vec<_> = planned
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect();
    assert_eq!(codes, ["MaintainerDeprecated"]);
}

#[test]
fn all_stages_are_looked_at_when_checking() {
    let options = PlanOptions {
        scope: Scope::AllStages,
        ..PlanOptions::default()
    };
    let text = "FROM debian AS unused\nCMD x\nFROM debian\n";
    assert_eq!(planned_with(text, &options).warnings.len(), 1);
    assert!(lints(text).is_empty());
}

#[test]
fn a_copy_of_an_ignored_file_is_warned_of() {
    let options = PlanOptions {
        ignored: Some(Ignored::new(
            vec![IgnorePattern::new("secret.txt", IgnoreEffect::Hides)],
            |path| path == "secret.txt",
        )),
        ..PlanOptions::default()
    };
    let planned = planned_with(
        "FROM debian AS a\nCOPY ./secret.txt b /\nFROM a\nCOPY --from=a secret.txt /\n",
        &options,
    );
    let messages: Vec<_> = planned
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(
        messages,
        ["Attempting to Copy file \"secret.txt\" that is excluded by .dockerignore"]
    );
}

#[test]
fn a_bad_check_option_is_an_error() {
    let error = try_plan(
        "# check=what=1\nFROM debian\n",
        &PlanOptions::default(),
        &Shelf::standard(),
    );
    assert!(matches!(error, Err(PlanError::Mistakes { .. })));
}

#[test]
fn every_rule_has_a_description() {
    assert_eq!(rbuild_plan::LINT_RULES.len(), 22);
    for rule in rbuild_plan::LINT_RULES {
        assert_eq!(rbuild_plan::lint_rule(rule.name), Some(*rule));
        assert!(!rule.description.is_empty());
    }
}
