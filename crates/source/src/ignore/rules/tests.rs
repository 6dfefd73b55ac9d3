#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use proptest::prelude::*;

use super::{DirectoryMatch, IgnoreRules};

fn rules(text: &str) -> IgnoreRules {
    IgnoreRules::parse(text.as_bytes(), ".dockerignore").unwrap()
}

#[test]
fn the_last_rule_that_matches_decides() {
    for (text, path, ignored) in [
        ("a\n", "a", true),
        ("a\n", "a/b/c", true),
        ("a\n", "b/a", false),
        ("/a\n", "a", true),
        ("a/\n", "a", true),
        ("./a\n", "a", true),
        ("x/../a\n", "a", true),
        ("*\n!src\n", "src/main.c", false),
        ("*\n!src\n", "doc/x", true),
        ("*\n!src\nsrc/*.o\n", "src/main.o", true),
        ("*\n!src\nsrc/*.o\n!src/keep.o\n", "src/keep.o", false),
        ("!a\na\n", "a", true),
        ("a\n!a/b\n", "a/c", true),
        ("a\n!a/b\n", "a/b/c", false),
        ("**/node_modules\n", "x/y/node_modules/z", true),
        ("*.md\n!README*.md\nREADME-secret.md\n", "README.md", false),
        (
            "*.md\n!README*.md\nREADME-secret.md\n",
            "README-secret.md",
            true,
        ),
        ("  a  \n", "a", true),
        ("! a\na\n! a \n", "a", false),
        (" #a\n", "#a", true),
        ("#a\n", "#a", false),
        ("\u{FEFF}#a\nb\n", "b", true),
        ("a\r\nb\r\n", "b", true),
        ("**/\n", "dir/file", true),
        ("**/a\n!?\n", "b/a", true),
        (".\n", "a", false),
        ("..\n/\n", "a", false),
        ("\\!a\n", "!a", true),
        ("\\#a\n", "#a", true),
        ("a b\n", "a b", true),
        ("**/dir\n", "dir/file", true),
        ("**/dir2/*\n", "dir/dir2/file", true),
        ("a/*.txt**\n", "a/file.txt", true),
        ("**/**/*.txt2\n", "dir/dir/file.txt", false),
        ("abc/**\n", "abc", false),
        ("**/.foo\n", "bar.foo", false),
        ("docs/\n!docs/README.md\n", "docs/README.md", false),
        ("docs/*\n!docs/README.md\n", "docs/README.md", false),
        ("*.go\n!fileutils.go\n", "fileutils.go", false),
        ("!fileutils.go\n*.go\n", "fileutils.go", true),
        ("**\n!util/docker/web\n", "util/docker/web/foo", false),
        (
            "**\n!util/docker/web\nutil/docker/web/foo\n",
            "util/docker/web/foo",
            true,
        ),
        ("**\n!dist/*.whl\n", "dist/proxy.py-2+g08-any.whl", false),
    ] {
        assert_eq!(
            rules(text).ignores(path.as_bytes()),
            ignored,
            "{text:?} on {path}"
        );
    }
}

#[test]
fn a_bad_rule_is_named_with_its_line() {
    let error = IgnoreRules::parse(b"ok\n\n[bad\n", "app.dockerignore").unwrap_err();
    assert_eq!(error.to_string(), "parse app.dockerignore:3");
    assert!(IgnoreRules::parse(b"!\n", "f").is_err());
}

#[test]
fn the_rule_that_hides_a_path_is_told() {
    let rules = rules("# x\n*.log\n!keep.log\nbuild/**\n");
    let line = |path: &str| rules.hidden_by(path.as_bytes()).map(|rule| rule.line);
    assert_eq!(line("x.log"), Some(2));
    assert_eq!(line("keep.log"), None);
    assert_eq!(line("build/x/y"), Some(4));
    let hidden = rules.hidden_by(b"x.log").unwrap();
    assert_eq!(
        (hidden.file, hidden.pattern),
        (".dockerignore", &b"*.log"[..])
    );
}

#[test]
fn exclude_patterns_keep_their_leading_slash() {
    let rules = IgnoreRules::from_patterns(["*.o", "!keep.o", "/abs"]).unwrap();
    assert!(rules.ignores(b"x.o"));
    assert!(!rules.ignores(b"keep.o"));
    assert!(!rules.ignores(b"abs"));
}

fn rule_text() -> impl Strategy<Value = String> {
    proptest::collection::vec("!?(\\*\\*/)?[ab*?]{1,2}(/[ab*]{1,2}){0,2}(/\\*\\*)?", 0..6)
        .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn walking_down_gives_the_verdict_of_the_whole_path(text in rule_text(), path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
        let rules = rules(&text);
        let mut directory = DirectoryMatch::default();
        let mut pruned = false;
        for (at, _) in path.match_indices('/') {
            let above = &path.as_bytes()[..at];
            directory = rules.directory(&directory, above);
            pruned |= directory.ignored && !rules.can_show_below(above);
        }
        let verdict = rules.ignores_in(&directory, path.as_bytes());
        prop_assert_eq!(verdict, rules.ignores(path.as_bytes()), "{}", text);
        prop_assert!(!pruned || verdict, "pruned what is visible: {}", text);
    }
}
