//! What expansions come to, form by form.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::{ExpandError, Lexer, MAX_GROWTH_BYTES, Mode, expand, expand_raw, expand_words};
use crate::Escape;

fn variables() -> BTreeMap<String, String> {
    let pairs = [
        ("A", "a"),
        ("EMPTY", ""),
        ("SPACED", "x y"),
        ("QUOTED", "\"q\""),
        ("PATHS", "/usr/local/bin"),
        ("DOTS", "a.b.c"),
        ("STARS", "a*b*c"),
        ("NAME", "A"),
        ("LINES", "ab\ncb"),
        ("Ünï", "u"),
        ("1", "one"),
        ("BRACES", "a}b/c"),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[rstest]
// Plain and braced.
#[case("$A", "a")]
#[case("${A}", "a")]
#[case("x$A-y", "xa-y")]
#[case("$UNSET", "")]
#[case("${UNSET}", "")]
#[case("$", "$")]
#[case("$ x", "$ x")]
#[case("$(A)", "$(A)")]
#[case("$Ünï", "u")]
// A digit run is the whole name; special parameters are never set.
#[case("$1A", "oneA")]
#[case("$12", "")]
#[case("$$A", "A")]
#[case("$@$*$#$?$-$!$0.", ".")]
// Quotes and escapes.
#[case("'$A'", "$A")]
#[case("\"$A\"", "a")]
#[case("\"'$A'\"", "'a'")]
#[case("'\"'", "\"")]
#[case("a'b'\"c\"d", "abcd")]
#[case(r"\$A", "$A")]
#[case(r#""\$A""#, "$A")]
#[case(r#""\"""#, "\"")]
#[case(r#""\\""#, r"\")]
#[case(r#""\n""#, r"\n")]
#[case(r"\n", "n")]
#[case(r"\'$A\'", "'a'")]
#[case(r"'\'", r"\")]
#[case(r"a\", "a")]
#[case("$QUOTED", "\"q\"")] // a value's quotes are its own
#[case("$SPACED", "x y")]
// Words for the unset, the empty, the set.
#[case("${UNSET:-w}", "w")]
#[case("${UNSET-w}", "w")]
#[case("${EMPTY:-w}", "w")]
#[case("${EMPTY-w}", "")]
#[case("${A:-w}", "a")]
#[case("${A:+w}", "w")]
#[case("${A+w}", "w")]
#[case("${EMPTY:+w}", "")]
#[case("${EMPTY+w}", "w")]
#[case("${UNSET+w}", "")]
#[case("${UNSET:+w}", "")]
#[case("${A:?m}", "a")]
#[case("${EMPTY?m}", "")]
#[case("${UNSET:-$A}", "a")]
#[case("${UNSET:-${UNSET:-${A}}}", "a")]
#[case("${UNSET:-'}'}", "}")]
#[case(r"${UNSET:-\}}", "}")]
#[case("${UNSET:-}", "")]
// Patterns.
#[case("${DOTS#*.}", "b.c")]
#[case("${DOTS##*.}", "c")]
#[case("${DOTS%.*}", "a.b")]
#[case("${DOTS%%.*}", "a")]
#[case("${DOTS#?}", ".b.c")]
#[case("${DOTS#b}", "a.b.c")]
#[case("${DOTS%c}", "a.b.")]
#[case("${DOTS#}", "a.b.c")]
#[case("${UNSET#x}", "")]
#[case("${PATHS##*/}", "bin")]
#[case("${PATHS%/*}", "/usr/local")]
#[case(r"${STARS#*\*}", "b*c")]
#[case(r"${STARS%%\**}", "a")]
#[case("${STARS#$A}", "*b*c")]
#[case("${STARS#'a'}", "*b*c")]
#[case(r"${BRACES#*\}}", "b/c")]
#[case("${DOTS/./-}", "a-b.c")]
#[case("${DOTS//./-}", "a-b-c")]
#[case("${DOTS/x/-}", "a.b.c")]
#[case("${DOTS/*/-}", "-")]
#[case("${DOTS/.*/-}", "a-")]
#[case("${DOTS/?./-}", "-b.c")]
#[case("${DOTS/./$A}", "aab.c")]
#[case("${DOTS/./}", "ab.c")]
#[case(r"${BRACES/\//-}", "a}b-c")]
#[case(r"${PATHS//\//-}", "-usr-local-bin")]
#[case("${A//x/-}", "a")]
#[case("${DOTS//.*/-}", "a-")]
// In ${v//p/r} a group reference is a regular expression's; in ${v/p/r} it is text.
#[case("${DOTS//./'$0$0'}", "a..b..c")]
#[case("${DOTS//./'$1'}", "abc")]
#[case("${DOTS//./'${1}x'}", "axbxc")]
#[case("${DOTS//./'$$'}", "a$b$c")]
#[case("${DOTS//./'$'}", "a$b$c")]
#[case("${DOTS/./'$1'}", "a$1b.c")]
// Neither `?` nor `*` matches a line end.
#[case("${LINES#*c}", "ab\ncb")]
#[case("${LINES##*b}", "\ncb")]
fn forms(#[case] text: &str, #[case] expected: &str) {
    let expanded = expand(text, Escape::Backslash, &variables()).expect("the form is valid");
    assert_eq!(expanded.text, expected);
}

#[rstest]
#[case("'a", ExpandError::UnclosedSingleQuote)]
#[case("\"a", ExpandError::UnclosedDoubleQuote)]
#[case("${", ExpandError::MissingBrace)]
#[case("${A", ExpandError::MissingBrace)]
#[case("${A:", ExpandError::MissingBrace)]
#[case("${A:-b", ExpandError::MissingBrace)]
#[case("${}", ExpandError::BadSubstitution)]
#[case("${:x}", ExpandError::BadSubstitution)]
#[case("${{A}}", ExpandError::BadSubstitution)]
#[case("${A^}", ExpandError::UnsupportedModifier("^".to_owned()))]
#[case("${A:x}", ExpandError::UnsupportedModifier(":x".to_owned()))]
#[case("${A:#x}", ExpandError::UnsupportedModifier(":#".to_owned()))]
#[case("${A:%x}", ExpandError::UnsupportedModifier(":%".to_owned()))]
#[case("${A/b}", ExpandError::MissingSlash)]
#[case("${A/b/c", ExpandError::MissingBrace)]
fn broken_forms_are_refused(#[case] text: &str, #[case] error: ExpandError) {
    assert_eq!(expand(text, Escape::Backslash, &variables()), Err(error));
}

#[rstest]
#[case("${UNSET:?}", "UNSET: is not allowed to be unset")]
#[case("${UNSET?}", "UNSET: is not allowed to be unset")]
#[case("${EMPTY:?}", "EMPTY: is not allowed to be empty")]
#[case("${UNSET:?set $NAME}", "UNSET: set A")]
#[case(
    r"${A#\x}",
    r"invalid pattern (\x) in substitution: invalid escape '\x'"
)]
#[case("${UNSET", "syntax error: missing '}'")]
#[case("${A/b", "syntax error: missing '/' in ${}")]
fn messages_are_those_people_search_for(#[case] text: &str, #[case] message: &str) {
    let error = expand(text, Escape::Backslash, &variables()).expect_err("the form is refused");
    assert_eq!(error.to_string(), message);
}

#[test]
fn the_backtick_escapes_where_the_file_says_so() {
    let expanded = expand(r"c:\dir`$A\$A", Escape::Backtick, &variables()).expect("valid");
    assert_eq!(expanded.text, r"c:\dir$A\a");
}

#[test]
fn undefined_names_are_told_once_and_defaulted_ones_apart() {
    let text = "$X ${Y:-$Z} $A ${X} ${V+w} ${W:-1}$W";
    let expanded = expand(text, Escape::Backslash, &variables()).expect("valid");
    assert_eq!(expanded.undefined, ["X", "Z", "Y", "V", "W"]);
    assert_eq!(expanded.defaulted, ["Y", "V"]);
    assert_eq!(expanded.used, ["A"]);
}

#[rstest]
#[case("80 $SPACED", &["80", "x", "y"])]
#[case("\"$SPACED\"", &["x y"])]
#[case("a$SPACED'b c'", &["ax", "yb c"])]
#[case(r"a\ b", &["a b"])]
#[case("$EMPTY ''", &[])]
fn words_split_after_expansion_but_not_in_quotes(#[case] text: &str, #[case] words: &[&str]) {
    assert_eq!(
        expand_words(text, Escape::Backslash, &variables())
            .expect("valid")
            .words,
        words
    );
}

#[test]
fn heredoc_bodies_keep_their_quotes() {
    let expanded = expand_raw("it's \"$A\" '$A' \\$A\n", &variables()).expect("valid");
    assert_eq!(expanded.text, "it's \"a\" 'a' $A\n");
}

#[test]
fn words_know_where_they_stand() {
    let text = "a  \"b c\" <<  EOF $A";
    let (_, words) = Lexer::new(text, Escape::Backslash, &(), Mode::WORD)
        .run_split()
        .expect("valid");
    let places: Vec<_> = words.into_iter().map(|word| &text[word.range]).collect();
    assert_eq!(places, ["a", "\"b c\"", "<<  EOF"]);
}

#[test]
fn nesting_is_bounded() {
    let text = "${A:-".repeat(100_000) + &"}".repeat(100_000);
    assert_eq!(
        expand(&text, Escape::Backslash, &variables()),
        Err(ExpandError::TooDeep)
    );
}

#[test]
fn growth_is_bounded() {
    let mut variables = variables();
    variables.insert("BIG".to_owned(), "x".repeat(1 << 20));
    assert_eq!(
        expand(&"$BIG".repeat(100), Escape::Backslash, &variables),
        Err(ExpandError::TooLong)
    );
    assert_eq!(
        expand("${BIG//x/$BIG}", Escape::Backslash, &variables),
        Err(ExpandError::TooLong)
    );
}

/// Found by fuzzing: each level repeats the one inside for every character of the value.
#[test]
fn replacements_inside_of_replacements_are_bounded() {
    let mut variables = variables();
    variables.insert("B".to_owned(), "b".repeat(200));
    let text = "${B////".repeat(5) + "x" + &"}x".repeat(5);
    for escape in [Escape::Backslash, Escape::Backtick] {
        assert_eq!(expand(&text, escape, &variables), Err(ExpandError::TooLong));
    }
}

#[test]
fn a_pattern_of_many_stars_takes_no_more_time() {
    let mut variables = variables();
    variables.insert("LONG".to_owned(), "a".repeat(100_000));
    let text = format!(
        "${{LONG##{}b}}${{LONG//{}b/x}}",
        "*a".repeat(200),
        "a*".repeat(200)
    );
    let expanded = expand(&text, Escape::Backslash, &variables).expect("valid");
    assert_eq!(expanded.text.len(), 200_000);
}

#[test]
fn many_different_names_take_no_more_time() {
    let names: Vec<_> = (0..200_000).map(|n| format!("$n{n}")).collect();
    let text = names.join(" ");
    assert_eq!(
        expand_raw(&text, &()).expect("valid").undefined.len(),
        200_000
    );
}

proptest! {
    #[test]
    fn any_text_expands_or_is_refused(text in "[${}:/#%?*\\-+'\"\\\\a-bA<\\s`]{0,40}") {
        for escape in [Escape::Backslash, Escape::Backtick] {
            if let Ok(expanded) = expand(&text, escape, &variables()) {
                prop_assert!(expanded.text.len() <= text.len() + MAX_GROWTH_BYTES);
            }
            let _ = expand_words(&text, escape, &variables());
        }
        let _ = expand_raw(&text, &variables());
    }

    #[test]
    fn text_without_special_characters_stays(text in "[a-z0-9 /.:=,é-]*") {
        let expanded = expand(&text, Escape::Backslash, &()).expect("nothing in it can be wrong");
        prop_assert_eq!(expanded.text, text);
    }
}
