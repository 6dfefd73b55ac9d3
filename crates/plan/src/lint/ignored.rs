//! Sources of COPY that `.dockerignore` leaves out, as far as its patterns alone can tell.

use crate::{IgnoreEffect, Ignored};

/// The source as warnings show it, if it is left out for sure. A pattern with `!` that may bring back it, or something
/// below it, makes that unsure.
pub(crate) fn hidden_source(text: &str, ignored: &Ignored) -> Option<String> {
    let source = clean(text);
    let is_root = source == "." || source == "/";
    if is_root && !ignored.hides_everything() || may_be_shown(&source, ignored) {
        return None;
    }
    (is_root || ignored.is_ignored(&source)).then_some(source)
}

fn may_be_shown(source: &str, ignored: &Ignored) -> bool {
    let source = match source.trim_start_matches('/') {
        "." => "",
        source => literal_prefix(source),
    };
    let mut exceptions = ignored
        .patterns()
        .filter(|pattern| pattern.effect == IgnoreEffect::Shows);
    exceptions.any(|pattern| {
        let literal = literal_prefix(&pattern.text);
        let has_wildcard = literal.len() < pattern.text.len();
        is_within(literal, source) || has_wildcard && is_within(source, literal)
    })
}

/// The components before the first one with a wildcard, or with a backslash, which may hide one.
fn literal_prefix(pattern: &str) -> &str {
    let mut end = 0;
    for component in pattern.split('/') {
        if component.contains(['*', '?', '[', '\\']) {
            return pattern[..end].trim_end_matches('/');
        }
        end += component.len() + 1;
    }
    pattern
}

fn is_within(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path == directory
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// As Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => drop(parts.pop()),
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    match (is_rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IgnorePattern;
    use rstest::rstest;

    fn rules(texts: &[&str]) -> Ignored {
        let patterns = texts.iter().map(|text| match text.strip_prefix('!') {
            Some(text) => IgnorePattern::new(text, IgnoreEffect::Shows),
            None => IgnorePattern::new(*text, IgnoreEffect::Hides),
        });
        Ignored::new(patterns.collect(), |path| {
            path == "." || path.starts_with("sub")
        })
    }

    #[rstest]
    #[case(&["sub"], "sub/a.txt", Some("sub/a.txt"))]
    #[case(&["sub"], "./sub//a.txt", Some("sub/a.txt"))]
    #[case(&["sub"], "other.txt", None)]
    #[case(&["sub"], "/sub", None)]
    // What an exception cannot touch stays hidden.
    #[case(&["sub", "!sub/b.txt"], "sub/a.txt", Some("sub/a.txt"))]
    #[case(&["sub", "!other.txt"], "sub/a.txt", Some("sub/a.txt"))]
    #[case(&["sub", "!other/*.txt"], "sub/a.txt", Some("sub/a.txt"))]
    #[case(&["!sub/b.txt", "sub"], "sub/a.txt", Some("sub/a.txt"))]
    // What it may touch is left open.
    #[case(&["sub", "!sub/keep.txt"], "sub", None)]
    #[case(&["sub", "!sub/nested/keep.txt"], "sub", None)]
    #[case(&["sub", "!sub/*.txt"], "sub", None)]
    #[case(&["sub", "!*/keep.txt"], "sub", None)]
    #[case(&["!sub/keep.txt", "sub"], "sub", None)]
    #[case(&["sub", "!sub/*"], "sub/a.txt", None)]
    #[case(&["sub", "!sub/a.txt"], "sub/*.txt", None)]
    #[case(&["sub", "!su\\b/keep.txt"], "sub", None)]
    // The context itself is hidden only by a pattern for everything.
    #[case(&["*"], ".", Some("."))]
    #[case(&["**/*"], "/", Some("/"))]
    #[case(&["**", "!Dockerfile"], ".", None)]
    #[case(&[".*"], ".", None)]
    #[case(&["sub"], "./", None)]
    fn only_what_is_left_out_for_sure_is_told(
        #[case] patterns: &[&str],
        #[case] source: &str,
        #[case] shown: Option<&str>,
    ) {
        assert_eq!(hidden_source(source, &rules(patterns)).as_deref(), shown);
    }
}
