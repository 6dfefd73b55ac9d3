//! The rules that the file alone decides, and what tools are told of findings.

use crate::common::tree;
use rbuild_dockerfile::{Source, lint, parse};
use rstest::rstest;

fn warnings(text: &str) -> Vec<(&'static str, String, String)> {
    let parsed = parse(&Source::new("Dockerfile", text)).diagnostics;
    let whole = lint(&tree(text));
    let found = parsed.into_iter().chain(whole);
    found
        .filter(|found| found.code != "InvalidDefinitionDescription")
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

#[rstest]
#[case("# foo this is foo\nARG foo=1\nFROM a\n", None)]
#[case("# base is the base\nFROM a AS base\n", None)]
#[case("# baz is b\nARG foo bar baz=1\nFROM a\n", None)]
#[case("# some comment\n# foo is foo\nARG foo\nFROM a\n", None)]
#[case("# a comment\n#\nARG foo\nFROM a\n", None)]
#[case("# a comment\nFROM a\n# another\nCOPY b c\n", None)]
#[case("# syntax=x\nARG foo\nFROM a\n", None)]
#[case(
    "# bar is foo\nARG foo\nFROM a\n",
    Some("Comment for ARG should follow the format: `# foo <description>`")
)]
#[case(
    "# Base is it\nFROM a AS base\n",
    Some("Comment for FROM should follow the format: `# base <description>`")
)]
#[case(
    "# bad\nARG foo bar\nFROM a\n",
    Some("Comment for ARG should follow the format: `# <arg_key> <description>`")
)]
fn a_comment_above_a_definition_describes_it(#[case] text: &str, #[case] message: Option<&str>) {
    let found = parse(&Source::new("Dockerfile", text)).diagnostics;
    let messages: Vec<_> = found.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages, message.into_iter().collect::<Vec<_>>());
}

#[test]
fn tools_are_told_the_lines_of_the_whole_instruction() {
    let text = "FROM a \\\n  as base\nrun <<E\nx\nE\nCOPY a \\\n\n  b\n";
    let source = Source::new("Dockerfile", text);
    let found = parse(&source)
        .diagnostics
        .into_iter()
        .chain(lint(&tree(text)));
    let mut lines: Vec<_> = found
        .map(|found| (found.lines(&source), found.code))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            ((1, 2), "FromAsCasing"),
            ((3, 5), "ConsistentInstructionCasing"),
            ((8, 8), "NoEmptyContinuation"),
        ]
    );
}

#[test]
fn what_stands_above_the_first_mistake_is_warned_of() {
    let text = "FROM a AS Bad\nMAINTAINER me\nBADCMD\nMAINTAINER you\n";
    let found = parse(&Source::new("Dockerfile", text)).diagnostics;
    let codes: Vec<_> = found.iter().map(|found| found.code).collect();
    assert_eq!(
        codes,
        [
            "StageNameCasing",
            "MaintainerDeprecated",
            "unknown-instruction"
        ]
    );
}

#[test]
fn a_file_whose_lines_cannot_be_read_has_no_warnings() {
    let text = "FROM a AS Bad\nRUN <<EOF\n";
    let found = parse(&Source::new("Dockerfile", text)).diagnostics;
    let codes: Vec<_> = found.iter().map(|found| found.code).collect();
    assert_eq!(codes, ["unterminated-heredoc"]);
}

#[rstest]
#[case(
    "FROM a\nBADCMD\n",
    "dockerfile parse error on line 2: unknown instruction: BADCMD"
)]
#[case(
    "FROM a\n\nRUNN x\n",
    "dockerfile parse error on line 3: unknown instruction: RUNN (did you mean RUN?)"
)]
#[case(
    "FROM a\nCOPY --frm=x a b\n",
    "dockerfile parse error on line 2: unknown flag: --frm (did you mean from?)"
)]
#[case(
    "FROM a b\n",
    "dockerfile parse error on line 1: FROM requires either one or three arguments"
)]
#[case(
    "FROM a\nCMD [1]\n",
    "when using JSON array syntax, arrays must be comprised of strings only"
)]
#[case("FROM a\nENV a\n", "ENV must have two arguments")]
#[case(
    "FROM a\nENV a=1 b\n",
    "Syntax error - can't find = in \"b\". Must be of the form: name=value"
)]
#[case("RUN x\n", "no build stage in current context")]
fn mistakes_are_told_in_the_words_that_people_know(#[case] text: &str, #[case] headline: &str) {
    let source = Source::new("Dockerfile", text);
    assert_eq!(parse(&source).diagnostics[0].headline(&source), headline);
}
