use proptest::prelude::*;

use super::*;

const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn parse(text: &str) -> Reference {
    text.parse().expect(text)
}

fn reason(text: &str) -> &'static str {
    match text.parse::<Reference>() {
        Err(ImageError::Reference { reason, .. }) => reason,
        other => panic!("{text} was read as {other:?}"),
    }
}

#[test]
fn short_names_mean_docker_hub() {
    for (text, full, familiar) in [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        (
            "debian:bookworm",
            "docker.io/library/debian:bookworm",
            "debian:bookworm",
        ),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("a/b/c:1", "docker.io/a/b/c:1", "a/b/c:1"),
        (
            "index.docker.io/library/debian",
            "docker.io/library/debian:latest",
            "debian:latest",
        ),
        (
            "docker.io/debian",
            "docker.io/library/debian:latest",
            "debian:latest",
        ),
        (
            "docker.io/library/a/b",
            "docker.io/library/a/b:latest",
            "library/a/b:latest",
        ),
        (
            "docker.io/x.y/z",
            "docker.io/x.y/z:latest",
            "docker.io/x.y/z:latest",
        ),
        (
            "localhost:5000",
            "docker.io/library/localhost:5000",
            "localhost:5000",
        ),
    ] {
        assert_eq!(parse(text).to_string(), full);
        assert_eq!(parse(text).familiar(), familiar);
    }
}

#[test]
fn a_first_component_that_looks_like_a_host_is_the_registry() {
    for (text, registry, repository) in [
        ("localhost/app", "localhost", "app"),
        ("localhost:5000/app", "localhost:5000", "app"),
        ("ghcr.io/o/app", "ghcr.io", "o/app"),
        ("Registry/app", "Registry", "app"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "a/b"),
        ("[::1]:5000/a", "[::1]:5000", "a"),
        ("host:80/a__b-c---d.e_f", "host:80", "a__b-c---d.e_f"),
    ] {
        let name = parse(text);
        assert_eq!((name.registry(), name.repository()), (registry, repository));
        assert_eq!(name.tag(), Some("latest"));
    }
}

#[test]
fn a_digest_takes_the_place_of_the_default_tag() {
    let pinned = parse(&format!("app@{ZEROS}"));
    assert_eq!((pinned.tag(), pinned.digest().is_some()), (None, true));
    let both = parse(&format!("app:1@{ZEROS}"));
    assert_eq!(both.tag(), Some("1"));
    assert_eq!(both.to_string(), format!("docker.io/library/app:1@{ZEROS}"));
    assert_eq!(both.without_digest(), parse("app:1"));
    assert_eq!(pinned.without_digest(), parse("app"));
    assert_eq!(both.with_tag("2").expect("a tag"), parse("app:2"));
    assert!(both.with_tag("-").is_err());
}

#[test]
fn what_is_wrong_is_said() {
    assert_eq!(reason("MyApp"), "the repository name must be lower-case");
    assert_eq!(
        reason("ghcr.io/Owner/app"),
        "the repository name must be lower-case"
    );
    assert_eq!(reason(""), "the name is empty");
    assert_eq!(reason("app:"), "the tag after \":\" is empty");
    assert_eq!(reason("ghcr.io/"), "the repository name is empty");
    assert_eq!(reason("a//b"), "the repository name has an empty component");
    assert_eq!(
        reason(&ZEROS[7..]),
        "64 hexadecimal digits are an image ID, not a name"
    );
    assert_eq!(
        reason("host:99999/a"),
        "the registry's port is not a number up to 65535"
    );
    assert_eq!(reason("-x.io/a"), "the registry's host name is malformed");
    assert!(reason("app@md5:00").contains("sha256"));
}

#[test]
fn what_the_grammar_forbids_is_refused() {
    for text in [
        "a..b",
        "a.-b",
        "a___b",
        "_a",
        "a-",
        ".a",
        "a/",
        "/a",
        "a b",
        "a:b:c",
        "a:-x",
        "ä",
        "https://x.io/a",
        "a@",
        "[::1/a",
        "[]/a",
        "x.io:/a",
        "a:b@c@d",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}

#[test]
fn lengths_are_bounded() {
    assert!(
        format!("app:{}", "t".repeat(128))
            .parse::<Reference>()
            .is_ok()
    );
    assert_eq!(
        reason(&format!("app:{}", "t".repeat(129))),
        "a tag has at most 128 characters"
    );
    assert!(
        format!("x.io/{}", "a".repeat(255))
            .parse::<Reference>()
            .is_ok()
    );
    assert!(
        format!("x.io/{}", "a".repeat(256))
            .parse::<Reference>()
            .is_err()
    );
    assert!(
        "a".repeat(248).parse::<Reference>().is_err(),
        "library/ counts"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in ".{0,80}") {
        let _ = text.parse::<Reference>();
    }

    #[test]
    fn names_survive_being_written_and_read_again(
        registry in "(|docker\\.io/|localhost/|[a-z]{1,5}\\.[a-z]{2}(:[1-9][0-9]{0,3})?/)",
        path in "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}(\\.[a-z0-9]{1,3})?){0,2}",
        tag in "(|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,10})",
        digest in proptest::bool::ANY,
    ) {
        let digest = if digest { format!("@{ZEROS}") } else { String::new() };
        // A first component with a dot is read as a registry, which may have no underscore.
        let Ok(name) = format!("{registry}{path}{tag}{digest}").parse::<Reference>() else {
            return Ok(());
        };
        prop_assert_eq!(&parse(&name.to_string()), &name);
        prop_assert_eq!(&parse(&name.familiar()), &name);
    }
}
