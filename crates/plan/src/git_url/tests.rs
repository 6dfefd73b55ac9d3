use super::*;

fn git(text: &str) -> GitUrl {
    parse_git_url(text).expect("a good URL").expect("a git URL")
}

/// Remote, reference and subdirectory.
fn parts(text: &str) -> (String, String, String) {
    let source = git(text).source;
    (
        source.url,
        source.reference.unwrap_or_default(),
        source.subdirectory.unwrap_or_default(),
    )
}

fn owned(url: &str, reference: &str, subdirectory: &str) -> (String, String, String) {
    (
        url.to_owned(),
        reference.to_owned(),
        subdirectory.to_owned(),
    )
}

#[test]
fn the_forms_that_people_write_are_git() {
    for (text, url, reference, subdirectory) in [
        ("https://h/foo.git", "https://h/foo.git", "", ""),
        ("HTTPS://h/x.git#main", "https://h/x.git", "main", ""),
        ("https://h/.git#v0.1", "https://h/.git", "v0.1", ""),
        (
            "https://h/foo.git#release/1.2",
            "https://h/foo.git",
            "release/1.2",
            "",
        ),
        ("git://h/foo", "git://h/foo", "", ""),
        ("ssh://git@h/x", "ssh://git@h/x", "", ""),
        (
            "https://foo:bar@h/m/b.git",
            "https://foo:bar@h/m/b.git",
            "",
            "",
        ),
        ("git@h:moby/buildkit", "git@h:moby/buildkit", "", ""),
        ("git@h:m/b.git?subdir=/s#v1", "git@h:m/b.git", "v1", "s"),
        (
            "https://h/b.git#baz/qux:quux/quuz",
            "https://h/b.git",
            "baz/qux",
            "quux/quuz",
        ),
        (
            "https://h/d.git#:myfolder",
            "https://h/d.git",
            "",
            "myfolder",
        ),
        ("https://h/d.git#:../../sub/", "https://h/d.git", "", "sub"),
        ("https://h/d.git#v1:.", "https://h/d.git", "v1", ""),
        (
            "https://h/d.git?ref=v1.0.0&subdir=/subdir",
            "https://h/d.git",
            "v1.0.0",
            "subdir",
        ),
        (
            "https://h/b.git?subdir=a%2Fb#v1.0.0",
            "https://h/b.git",
            "v1.0.0",
            "a/b",
        ),
        (
            "https://h/b.git?tag=v1.0.0",
            "https://h/b.git",
            "refs/tags/v1.0.0",
            "",
        ),
        (
            "https://h/b.git?tag=v1#refs/tags/v1",
            "https://h/b.git",
            "refs/tags/v1",
            "",
        ),
        (
            "https://h/b.git?branch=v1.0",
            "https://h/b.git",
            "refs/heads/v1.0",
            "",
        ),
        (
            "https://h/b.git?commit=deadbeef",
            "https://h/b.git",
            "deadbeef",
            "",
        ),
    ] {
        assert_eq!(parts(text), owned(url, reference, subdirectory), "{text}");
    }
}

#[test]
fn paths_and_other_addresses_are_not() {
    for text in [
        "https://example.com/",
        "https://example.com/foo",
        "https://example.com/foo.git/",
        "https://example.com/foo.git.bar",
        "http://github.com/docker/docker.git:#branch",
        "custom.xyz/moby/buildkit.git",
        "github.com/moby/buildkit",
        "./.git",
        ".git",
        "./dir",
        "src/a:b",
        "a:b",
        "file:///x.git",
        "ftp://h/x.git",
    ] {
        assert_eq!(parse_git_url(text), Ok(None), "{text}");
    }
}

#[test]
fn a_context_may_leave_out_the_protocol_on_github() {
    let found = parse_git_context("github.com/moby/buildkit?tag=v1.0.0");
    let source = found.expect("a good URL").expect("a git URL").source;
    assert_eq!(source.url, "https://github.com/moby/buildkit");
    assert_eq!(source.reference.as_deref(), Some("refs/tags/v1.0.0"));
    assert_eq!(parse_git_context("./github.com/x"), Ok(None));
}

#[test]
fn the_query_says_what_is_kept_and_fetched() {
    assert_eq!(git("https://h/x.git?keep-git-dir").keep_git_dir, Some(true));
    assert_eq!(
        git("https://h/x.git?keep-git-dir=0").keep_git_dir,
        Some(false)
    );
    let of = |query: &str| git(&format!("https://h/x.git?{query}")).source;
    assert_eq!(of("submodules=0").submodules, Submodules::Skipped);
    assert_eq!(of("submodules").submodules, Submodules::Fetched);
    assert_eq!(of("mtime=commit").times, GitTimes::Commit);
    assert_eq!(of("checksum=abc123").checksum.as_deref(), Some("abc123"));
    assert_eq!(of("fetch-by-commit=true").reference, None);
}

#[test]
fn unknown_and_contradicting_queries_are_refused() {
    for (query, reason) in [
        ("invalid=123", "unexpected query \"invalid\""),
        ("ref=v1.0.0#v1.2.3", "ref conflicts"),
        ("ref=v1.0.0&tag=v1.2.3", "ref conflicts"),
        ("tag=v0.0.2#refs/heads/master", "ref conflicts"),
        ("subdir=a#:b", "subdir conflicts"),
        ("tag=v1.0.0&branch=v1.0", "branch conflicts with tag"),
        ("ref=", "query \"ref\" has no value"),
        ("ref=a&ref=b", "query \"ref\" has multiple values"),
        ("submodules=maybe", "invalid submodules value"),
        ("mtime=now", "invalid mtime value"),
        ("checksum=foobar", "expected hex commit hash"),
    ] {
        let error = parse_git_url(&format!("https://h/r.git?{query}")).expect_err(query);
        assert!(error.reason.contains(reason), "{query}: {}", error.reason);
    }
}
