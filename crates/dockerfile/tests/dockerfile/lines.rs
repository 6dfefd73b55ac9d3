//! Lines, comments, continuations, directives: how a file becomes instructions.

use crate::common::{diagnostics, errors, instruction, kind, tree};
use rbuild_dockerfile::{Command, Escape, InstructionKind, Severity, Source, detect_syntax, parse};
use rstest::rstest;

fn shell_text(text: &str) -> String {
    match kind(text) {
        InstructionKind::Run(run) => match run.command {
            Command::Shell(word) => word.value,
            Command::Json(_) => panic!("it is JSON"),
        },
        other => panic!("no RUN: {other:?}"),
    }
}

#[test]
fn an_unknown_directive_or_comment_ends_the_directives() {
    assert_eq!(
        tree("# escape=`\nFROM a\n").directives.escape,
        Escape::Backtick
    );
    assert_eq!(
        tree("# foo=bar\n# escape=`\nFROM a\n").directives.escape,
        Escape::Backslash
    );
    assert_eq!(
        tree("# a comment\n# escape=`\nFROM a\n").directives.escape,
        Escape::Backslash
    );
    assert_eq!(
        tree("\n# escape=`\nFROM a\n").directives.escape,
        Escape::Backslash
    );
    assert_eq!(
        tree("FROM a\n# escape=`\nRUN b\n").directives.escape,
        Escape::Backslash
    );
}

#[test]
fn directives_are_read_in_any_case_and_spacing() {
    let directives = tree(
        "#SYNTAX = docker/dockerfile:1 -x \n#  Escape=`\n# check=skip=all;error=true\nFROM a\n",
    )
    .directives;
    assert_eq!(
        directives.syntax.expect("it is given").value,
        "docker/dockerfile:1 -x"
    );
    assert_eq!(directives.escape, Escape::Backtick);
    assert_eq!(
        directives.check.expect("it is given").value,
        "skip=all;error=true"
    );
}

#[rstest]
#[case(
    "# escape=`\n# escape=`\nFROM a\n",
    "only one escape parser directive can be used"
)]
#[case(
    "# syntax=a\n# Syntax=b\nFROM a\n",
    "only one syntax parser directive can be used"
)]
#[case(
    "# check=a\n# check=b\nFROM a\n",
    "only one check parser directive can be used"
)]
#[case(
    "# escape=x\nFROM a\n",
    "invalid escape token 'x' does not match ` or \\"
)]
fn directives_are_checked(#[case] text: &str, #[case] message: &str) {
    assert_eq!(errors(text), [message]);
}

#[rstest]
#[case("# syntax=a/b:1\nFROM x", Some("a/b:1"))]
#[case("#!/usr/bin/env x\n# syntax=a/b:1\nFROM x", Some("a/b:1"))]
#[case("// syntax=a/b:1\n{}", Some("a/b:1"))]
#[case("{\"x\": [1], \"syntax\": \"a/b:1\"}", Some("a/b:1"))]
#[case("# escape=`\n# syntax=a/b:1\nFROM x", Some("a/b:1"))]
#[case("# other\n# syntax=a/b:1\nFROM x", None)]
#[case("FROM x", None)]
#[case("", None)]
fn the_frontend_is_found_in_three_languages(#[case] text: &str, #[case] syntax: Option<&str>) {
    let found = detect_syntax(text);
    assert_eq!(found.as_ref().map(|word| word.value.as_str()), syntax);
    if let Some(word) = found {
        assert!(text[word.span.range()].contains(&word.value));
    }
}

#[test]
fn comment_lines_in_a_continued_instruction_vanish() {
    assert_eq!(
        shell_text("RUN a \\\n# gone\n  # gone too\n && b # kept\n"),
        "a  && b # kept"
    );
}

#[test]
fn a_comment_line_at_the_end_of_a_continued_instruction_does_not_end_it() {
    assert_eq!(shell_text("RUN a \\\n# gone\nb\n"), "a b");
}

#[test]
fn a_hash_that_starts_a_heredoc_line_stays() {
    let InstructionKind::Run(run) = kind("RUN <<EOF\n# kept\nEOF\n") else {
        panic!("it is a RUN")
    };
    assert_eq!(run.heredocs[0].body.value, "# kept\n");
}

#[rstest]
#[case("RUN a \\  \t\nb\n", "a b")]
#[case("RUN a\\\nb\n", "ab")] // joined with nothing
#[case("RUN a \\\n   b\n", "a    b")] // leading blanks survive
#[case("RUN a \\\n\\\nb\n", "a b")] // a line of only the escape
#[case("RUN a \\\r\n  b\r\n", "a   b")]
#[case("RUN a\\\\\n", "a\\\\")] // two escapes: no continuation
#[case("   RUN a\n", "a")]
#[case("RUN\ta\n", "a")]
#[case("RUN a   \n", "a")]
#[case("\\\nRUN a\n", "a")]
#[case("RUN a \\", "a")] // nothing follows
fn lines_are_joined_as_they_are(#[case] text: &str, #[case] joined: &str) {
    assert_eq!(shell_text(text), joined);
}

#[test]
fn the_escape_directive_changes_what_continues() {
    let file = tree("# escape=`\nFROM a\nRUN dir c:\\\nRUN a `\nb\n");
    let [first, second] = &file.stages[0].instructions[..] else {
        panic!("two instructions")
    };
    assert_eq!(first.original, "RUN dir c:\\");
    assert_eq!(second.original, "RUN a b");
}

#[test]
fn an_empty_line_in_a_continuation_is_skipped_with_a_warning() {
    let text = "FROM a\nRUN b \\\n\n  && c\n";
    assert_eq!(
        tree(text).stages[0].instructions[0].original,
        "RUN b   && c"
    );
    let [warning] = &diagnostics(text)[..] else {
        panic!("one warning")
    };
    assert_eq!(
        (warning.code, warning.severity),
        ("NoEmptyContinuation", Severity::Warning)
    );
    assert_eq!(warning.message, "Empty continuation line");
    assert_eq!(Source::new("", text).lines(warning.span), (4, 4));
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_are_fine() {
    let file = tree("\u{feff}# escape=`\r\nFROM a\r\nENV k=v\r\n");
    assert_eq!(file.directives.escape, Escape::Backtick);
    assert_eq!(file.stages[0].from.base.value, "a");
    let InstructionKind::Env(env) = &file.stages[0].instructions[0].kind else {
        panic!("it is an ENV")
    };
    assert_eq!(env.pairs[0].1.value, "v");
}

#[rstest]
#[case("", "the Dockerfile cannot be empty")]
#[case("\n\n", "file with no instructions")]
#[case("# only\n# comments\n", "file with no instructions")]
#[case("ARG x\n", "dockerfile contains no stages to build")]
#[case("RUN x\nFROM a\n", "no build stage in current context")]
#[case("RUN x\n", "no build stage in current context")]
fn files_without_stages_are_refused(#[case] text: &str, #[case] message: &str) {
    let parsed = parse(&Source::new("Dockerfile", text));
    assert!(parsed.dockerfile.is_none());
    assert_eq!(errors(text), [message]);
}

#[test]
fn a_line_may_have_65535_bytes_and_no_more() {
    let fits = format!("FROM a\nRUN {}\n", "x".repeat(65_531));
    assert_eq!(errors(&fits), [""; 0]);
    let too_long = format!("FROM a\nRUN {}\n", "x".repeat(65_532));
    assert_eq!(
        errors(&too_long),
        ["dockerfile line greater than max allowed size of 65535"]
    );
}

#[test]
fn all_errors_of_a_file_are_told_at_once() {
    let text = "FROM a b\nRUNN x\nCOPY --form=y a b\nENV x\nEXPOSE\nUSER x\n";
    let expected = [
        "FROM requires either one or three arguments",
        "unknown instruction: RUNN",
        "unknown flag: --form",
        "ENV must have two arguments",
        "EXPOSE requires at least one argument",
    ];
    assert_eq!(errors(text), expected);
}

#[test]
fn comments_above_an_instruction_are_kept_with_it() {
    let file = tree(
        "# syntax=x\n# version of the tool\n\n# VERSION which one\nARG VERSION=1\n# gone\n#\n# base the base\nFROM a AS base\nRUN b\n",
    );
    let comments = |words: &[rbuild_dockerfile::Word]| {
        words
            .iter()
            .map(|word| word.value.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        comments(&file.global_args[0].comments),
        ["version of the tool", "VERSION which one"]
    );
    assert_eq!(comments(&file.stages[0].comments), ["base the base"]);
    assert_eq!(comments(&file.stages[0].instructions[0].comments), [""; 0]);
}

#[test]
fn original_text_is_the_joined_line() {
    assert_eq!(instruction("  RUN  a \\\n  b  \n").original, "RUN  a   b");
}
