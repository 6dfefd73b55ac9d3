#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use proptest::prelude::*;

use super::Pattern;

#[test]
fn wildcard_sources_are_go_file_path_match() {
    for (pattern, path, expected) in [
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "a", true),
        ("a*", "ab/c", false),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("ab[c]", "abc", true),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "ab", false),
        ("a?b", "a☺b", true),
        ("a[^a]b", "a☺b", true),
        ("a???b", "a☺b", false),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        ("a?b", "a/b", false),
        ("a*b", "a/b", false),
        ("[\\]a]", "]", true),
        ("[\\-]", "-", true),
        ("[x\\-]", "z", false),
        ("*x", "xxx", true),
        ("**", "a", true),
        ("**", "a/b", false),
        ("", "", true),
        ("]", "]", true),
    ] {
        let matched = Pattern::glob(pattern).unwrap().matches(path.as_bytes());
        assert_eq!(matched, expected, "{pattern} on {path}");
    }
}

#[test]
fn malformed_patterns_are_errors() {
    for pattern in [
        "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a\\", "[a", "[\\",
    ] {
        assert!(Pattern::glob(pattern).is_err(), "{pattern}");
        assert!(Pattern::ignore(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn ignore_patterns_are_those_of_moby() {
    for (pattern, path, expected) in [
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/**", "dir/dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/a/b", true),
        ("dir/**", "dir", false),
        ("**/file", "file", true),
        ("**/file", "dir/file", true),
        ("**/file", "afile", false),
        ("**file", "afile", true),
        ("**file", "dir/file", true),
        ("**/*.go", "a/b/c.go", true),
        ("**/*.go", "c.go", true),
        ("**/*.go", "c.gox", false),
        ("*.go", "a/c.go", false),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "ab", false),
        ("a**b", "ab", true),
        ("a**b", "axb", false),
        ("a[b-d]e", "ace", true),
        ("a[^b-d]e", "aze", true),
        ("a[b-d]e", "ae", false),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("a\\?b", "a?b", true),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        (
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            true,
        ),
        (
            "dist/*.whl",
            "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
            true,
        ),
        ("*/b", "a/b", true),
        ("*/b", "b", false),
        ("*/*/b", "a/x/b", true),
        (".*", ".git", true),
        (".*", "a.git", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc?def", "abc/def", false),
        ("**/.*", "a/.x", true),
        ("**foo/bar", "foo/bar", true),
        ("foo/**/bar/*.c", "foo/x/bar/y.c", true),
    ] {
        let matched = Pattern::ignore(pattern).unwrap().matches(path.as_bytes());
        assert_eq!(matched, expected, "{pattern} on {path}");
    }
}

#[test]
fn names_that_are_not_utf8_match_by_their_bytes() {
    let pattern = Pattern::ignore(b"caf\xE9*").unwrap();
    assert!(pattern.matches(b"caf\xE9.txt"));
    assert!(!pattern.matches(b"caf\xE8.txt"));
    assert!(Pattern::ignore("caf?").unwrap().matches(b"caf\xE9"));
    assert!(Pattern::ignore(b"caf\xE9").unwrap().matches(b"caf\xE9"));
}

#[test]
fn a_pattern_made_to_explode_takes_linear_time() {
    let pattern = Pattern::ignore("a*".repeat(400) + "b").unwrap();
    let path = "a".repeat(4000);
    let started = std::time::Instant::now();
    assert!(!pattern.matches(path.as_bytes()));
    let glob = Pattern::glob("*a".repeat(400) + "b").unwrap();
    assert!(!glob.matches(format!("{path}b/").as_bytes()));
    assert!(Pattern::ignore("**/a/".repeat(200) + "b").is_ok());
    assert!(started.elapsed().as_secs() < 5);
}

/// The meaning spelled out, exponential and all.
fn naive(pattern: &[u8], path: &[u8], dialect: &str) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] if dialect == "ignore" => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            if rest.is_empty() {
                return true;
            }
            naive(rest, path, dialect)
                || (0..path.len())
                    .any(|at| path[at] == b'/' && naive(rest, &path[at + 1..], dialect))
        }
        [b'*', rest @ ..] => (0..=path.len())
            .take_while(|at| !path[..*at].contains(&b'/'))
            .any(|at| naive(rest, &path[at..], dialect)),
        [b'?', rest @ ..] => {
            !path.is_empty() && path[0] != b'/' && naive(rest, &path[1..], dialect)
        }
        [b'[', low, b'-', high, b']', rest @ ..] => {
            !path.is_empty()
                && (*low..=*high).contains(&path[0])
                && naive(rest, &path[1..], dialect)
        }
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
            path.first() == Some(byte) && naive(rest, &path[1..], dialect)
        }
    }
}

fn pattern_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[ab]", 2 => Just("/".to_owned()), 2 => Just("*".to_owned()), 1 => Just("?".to_owned()),
        1 => Just("[a-b]".to_owned()), 1 => Just("\\*".to_owned()), 1 => Just("/**/".to_owned()), 1 => Just("**/".to_owned()),
    ];
    proptest::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn globs_mean_what_the_definition_says(pattern in pattern_text(), path in "[ab*/]{0,8}") {
        let compiled = Pattern::glob(&pattern).unwrap();
        prop_assert_eq!(compiled.matches(path.as_bytes()), naive(pattern.as_bytes(), path.as_bytes(), "glob"));
    }

    #[test]
    fn ignore_patterns_mean_what_the_definition_says(pattern in pattern_text(), path in "[ab*]{1,3}(/[ab*]{1,3}){0,3}") {
        let pattern = crate::ignore::file::clean(pattern.as_bytes());
        // Leading ** alone is a suffix in moby, and one at the end of literals a prefix: their own tables are above.
        prop_assume!(!pattern.starts_with(b"**") && !pattern.ends_with(b"**") && !pattern.windows(3).any(|w| w == b"***"));
        let compiled = Pattern::ignore(&pattern).unwrap();
        prop_assert_eq!(compiled.matches(path.as_bytes()), naive(&pattern, path.as_bytes(), "ignore"), "{:?}", String::from_utf8_lossy(&pattern));
    }

    #[test]
    fn what_matches_below_a_directory_is_never_ruled_out(pattern in pattern_text(), path in "[ab*]{1,3}(/[ab*]{1,3}){1,3}") {
        let pattern = Pattern::ignore(crate::ignore::file::clean(pattern.as_bytes())).unwrap();
        if pattern.matches(path.as_bytes()) {
            for (at, _) in path.match_indices('/') {
                prop_assert!(pattern.can_match_below(&path.as_bytes()[..at]));
            }
        }
    }

    #[test]
    fn no_pattern_and_no_path_panics(pattern in proptest::collection::vec(any::<u8>(), 0..24), path in proptest::collection::vec(any::<u8>(), 0..24)) {
        if let Ok(compiled) = Pattern::ignore(&pattern) {
            compiled.matches(&path);
            compiled.can_match_below(&path);
        }
        if let Ok(compiled) = Pattern::glob(&pattern) {
            compiled.matches(&path);
        }
    }
}
