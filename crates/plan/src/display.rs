//! Commands as progress shows them.

use rbuild_dockerfile::{Escape, Variables, expand_shown};

/// What values may add to a shown command, in bytes: nobody reads more.
const MAX_ADDED_BYTES: usize = 64 << 10;

/// `text` with known variables put in, as BuildKit names its steps: quotes stay, escapes outside of them go. All stays as
/// written if it cannot be read, or if values are too long to be shown.
pub(crate) fn command(text: String, escape: Escape, variables: &dyn Variables) -> String {
    let is_special = |c: char| matches!(c, '$' | '\'' | '"') || c == escape.char();
    if !text.contains(is_special) {
        return text;
    }
    match expand_shown(&text, escape, variables) {
        Ok(shown) if shown.len() <= text.len() + MAX_ADDED_BYTES => shown,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn shown(text: &str, value: &str) -> String {
        let variables = BTreeMap::from([("A".to_owned(), value.to_owned())]);
        command(text.to_owned(), Escape::Backslash, &variables)
    }

    /// Each line is what BuildKit's lexer, with raw quotes and unset variables kept, makes of it.
    #[test]
    fn names_of_steps_are_buildkits() {
        for (text, name) in [
            ("echo $A ${A}x", "echo 1 1x"),
            (
                "echo $B ${B} ${B:-x} ${B%.*} ${B/a/b}",
                "echo $B ${B} ${B:-x} ${B%.*} ${B/a/b}",
            ),
            ("echo ${A:-x} ${A:+y} ${A#1}", "echo 1 y "),
            (r#"echo '$A' \$A "$A""#, r#"echo '$A' $A "1""#),
            (
                r#"echo \\ a\;b \( 'x\y' "x\y \" \$A""#,
                r#"echo \ a;b ( 'x\y' "x\y " $A""#,
            ),
            (r#"grep 'it"s $A' "it's $A""#, r#"grep 'it"s $A' "it's 1""#),
            ("a $ $$ $(b) $?", "a $ $$ $(b) $?"),
            // What it cannot read stays as written.
            (r"echo it's $A \;", r"echo it's $A \;"),
            (r"echo ${A \;", r"echo ${A \;"),
            (r"echo ${#A} \;", r"echo ${#A} \;"),
            (r"echo ${A^^} \;", r"echo ${A^^} \;"),
        ] {
            assert_eq!(shown(text, "1"), name);
        }
    }

    #[test]
    fn values_too_long_to_be_shown_are_not() {
        let text = "$A".repeat(30_000);
        assert_eq!(shown(&text, &"x".repeat(1 << 20)), text);
        assert_eq!(shown(&text, "12345678"), text);
    }
}
