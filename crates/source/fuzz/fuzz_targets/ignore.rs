//! An ignore file and paths: up to a NUL the file, behind it one path per line. Plain patterns are compared with a
//! reference that translates each to a regular expression, as moby's matcher does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_source::{IgnoreRules, Pattern};
use regex::Regex;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (file, paths) = bytes.split_at(end);
    let paths: Vec<&[u8]> = paths
        .split(|byte| matches!(byte, 0 | b'\n'))
        .filter(|path| is_path(path))
        .collect();
    if let Ok(pattern) = Pattern::glob(file) {
        paths.iter().for_each(|path| drop(pattern.matches(path)));
    }
    let Ok(rules) = IgnoreRules::parse(file, ".dockerignore") else {
        return;
    };
    let reference: Option<Vec<Reference>> = rules
        .patterns()
        .map(|(pattern, is_exception)| Reference::new(pattern, is_exception))
        .collect();
    for path in paths {
        let ignored = rules.ignores(path);
        assert_eq!(ignored, rules.hidden_by(path).is_some());
        if let (Some(reference), Ok(text)) = (&reference, std::str::from_utf8(path)) {
            let expected = reference_verdict(reference, text);
            assert_eq!(
                ignored,
                expected,
                "{:?} on {text:?}",
                String::from_utf8_lossy(file)
            );
        }
    }
});

/// As walks have them: relative, clean.
fn is_path(path: &[u8]) -> bool {
    !path.is_empty()
        && path
            .split(|byte| *byte == b'/')
            .all(|part| !matches!(part, b"" | b"." | b".."))
}

enum Matcher {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Regex(Regex),
}

struct Reference {
    matcher: Matcher,
    is_exception: bool,
}

impl Reference {
    /// None for patterns with more than literals, `*`, `?` and `**`: the dialects of classes differ.
    fn new(pattern: &[u8], is_exception: bool) -> Option<Self> {
        let pattern = std::str::from_utf8(pattern).ok()?;
        if pattern.contains(['[', ']', '^', '\\']) {
            return None;
        }
        Some(Self {
            matcher: translate(pattern),
            is_exception,
        })
    }

    fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact(text) => path == text,
            Matcher::Prefix(prefix) => path.starts_with(prefix),
            Matcher::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
            }
            Matcher::Regex(regex) => regex.is_match(path),
        }
    }
}

#[derive(PartialEq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Regex,
}

fn translate(pattern: &str) -> Matcher {
    let mut regex = String::from("(?s)^");
    let mut kind = Kind::Exact;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let first = rest.len() == pattern.len();
        rest = &rest[character.len_utf8()..];
        if character == '*' && rest.starts_with('*') {
            rest = &rest[1..];
            rest = rest.strip_prefix('/').unwrap_or(rest);
            if !rest.is_empty() {
                regex.push_str("(.*/)?");
                kind = Kind::Regex;
            } else if kind == Kind::Exact {
                kind = Kind::Prefix;
            } else {
                regex.push_str(".*");
                kind = Kind::Regex;
            }
            if first {
                kind = Kind::Suffix;
            }
        } else if matches!(character, '*' | '?') {
            regex.push_str(if character == '*' { "[^/]*" } else { "[^/]" });
            kind = Kind::Regex;
        } else {
            regex.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
        }
    }
    match kind {
        Kind::Exact => Matcher::Exact(pattern.to_owned()),
        Kind::Prefix => Matcher::Prefix(pattern[..pattern.len() - 2].to_owned()),
        Kind::Suffix => Matcher::Suffix(pattern[2..].to_owned()),
        Kind::Regex => match Regex::new(&(regex + "$")) {
            Ok(regex) => Matcher::Regex(regex),
            // Too large for the reference.
            Err(_) => Matcher::Exact(pattern.to_owned()),
        },
    }
}

/// As a walk from the root comes along: a pattern that would have changed nothing for a directory is not asked there,
/// and one that matched it matches all below.
fn reference_verdict(patterns: &[Reference], path: &str) -> bool {
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    let mut matched = vec![false; patterns.len()];
    let mut ignored = false;
    for end in ends {
        ignored = false;
        for (pattern, matched) in patterns.iter().zip(&mut matched) {
            *matched =
                *matched || (pattern.is_exception == ignored && pattern.matches(&path[..end]));
            if *matched {
                ignored = !pattern.is_exception;
            }
        }
    }
    ignored
}
