//! The rules that the tree alone decides.

mod common;

use common::tree;
use rbuild_dockerfile::{Source, lint};
use rstest::rstest;

fn warnings(text: &str) -> Vec<(&'static str, String, String)> {
    lint(&Source::new("Dockerfile", text), &tree(text))
        .into_iter()
        .map(|found| {
            (
                found.code,
                found.message,
                text[found.span.range()].to_owned(),
            )
        })
        .collect()
}

#[rstest]
#[case(
    "FROM a AS Base\n",
    "StageNameCasing",
    "Stage name 'Base' should be lowercase",
    "Base"
)]
#[case(
    "FROM a as base\n",
    "FromAsCasing",
    "'as' and 'FROM' keywords' casing do not match",
    "as"
)]
#[case(
    "from a AS base\n",
    "FromAsCasing",
    "'AS' and 'from' keywords' casing do not match",
    "AS"
)]
#[case(
    "FROM a\nRUN b\nrun c\n",
    "ConsistentInstructionCasing",
    "Command 'run' should match the case of the command majority (uppercase)",
    "run"
)]
#[case(
    "from a\nrun b\nRun c\n",
    "ConsistentInstructionCasing",
    "Command 'Run' should match the case of the command majority (lowercase)",
    "Run"
)]
#[case(
    "FROM a\nMAINTAINER me\n",
    "MaintainerDeprecated",
    "Maintainer instruction is deprecated in favor of using label",
    "MAINTAINER"
)]
#[case(
    "FROM a\nENV k v w\n",
    "LegacyKeyValueFormat",
    "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
    "ENV k v w"
)]
#[case(
    "FROM a\nLABEL k v\n",
    "LegacyKeyValueFormat",
    "\"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format",
    "LABEL k v"
)]
fn each_rule_points_at_the_guilty_words(
    #[case] text: &str,
    #[case] code: &'static str,
    #[case] message: &str,
    #[case] guilty: &str,
) {
    assert_eq!(
        warnings(text),
        [(code, message.to_owned(), guilty.to_owned())]
    );
}

#[rstest]
#[case("FROM a AS base\nRUN b\nENV k=v\n")]
#[case("from a as base\nrun b\n")]
#[case("ARG x\nfrom a as base\nrun b\n")] // ARGs above the stages do not vote
fn consistent_files_have_no_warning(#[case] text: &str) {
    assert_eq!(warnings(text), []);
}

#[test]
fn a_keyword_of_mixed_case_is_one_warning_not_two() {
    let codes: Vec<_> = warnings("From a AS base\nRUN b\n")
        .into_iter()
        .map(|(code, ..)| code)
        .collect();
    assert_eq!(codes, ["ConsistentInstructionCasing"]);
}

#[test]
fn patches_mend_what_they_can() {
    let text = "FROM a\nENV k v\n";
    let patch = lint(&Source::new("Dockerfile", text), &tree(text))
        .remove(0)
        .patch;
    assert_eq!(patch.as_deref(), Some("ENV k=v"));
}
