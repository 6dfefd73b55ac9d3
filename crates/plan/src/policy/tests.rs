use rstest::rstest;

use super::*;
use crate::{GitDirectory, GitSource, GitTimes, HttpSource, Submodules};

const BUSYBOX: &str = "docker-image://docker.io/library/busybox:latest";
const ALPINE: &str = "docker-image://docker.io/library/alpine:latest";

fn policies(texts: &[&str]) -> SourcePolicies {
    let mut policies = SourcePolicies::default();
    for text in texts {
        policies.add("policy.json", text).expect("a good policy");
    }
    policies
}

fn rules(rules: &str) -> SourcePolicies {
    policies(&[&format!(r#"{{"version":1,"rules":[{rules}]}}"#)])
}

fn rule(action: &str, identifier: &str) -> String {
    format!(r#"{{"action":"{action}","selector":{{"identifier":"{identifier}"}}}}"#)
}

fn convert(from: &str, to: &str) -> String {
    format!(
        r#"{{"action":"CONVERT","selector":{{"identifier":"{from}"}},"updates":{{"identifier":"{to}"}}}}"#
    )
}

fn evaluated(policies: &SourcePolicies, identifier: &str) -> Result<String, PolicyError> {
    let source = policies.evaluate(PolicySource::new(identifier))?;
    Ok(source.identifier)
}

#[test]
fn without_a_policy_all_is_allowed() {
    assert_eq!(
        evaluated(&SourcePolicies::default(), ALPINE),
        Ok(ALPINE.to_owned())
    );
}

#[rstest]
#[case::the_whole("*")]
#[case::a_scheme("docker-image://*")]
#[case::a_repository("docker-image://docker.io/library/busybox:*")]
#[case::exactly(BUSYBOX)]
fn a_denied_source_is_told_with_its_rule(#[case] selector: &str) {
    let error = evaluated(&rules(&rule("DENY", selector)), BUSYBOX).expect_err("denied");
    let text = error.to_string();
    assert!(
        text.contains(&format!("source {BUSYBOX:?} denied by policy")),
        "{text}"
    );
    assert!(
        text.contains(&format!("rule 1 of policy.json: DENY {selector}")),
        "{text}"
    );
}

#[rstest]
#[case::another_tag("docker-image://docker.io/library/busybox:1")]
#[case::another_scheme("https://*")]
#[case::only_a_part("docker.io/library/busybox")]
fn what_no_rule_matches_is_allowed(#[case] selector: &str) {
    assert_eq!(
        evaluated(&rules(&rule("DENY", selector)), BUSYBOX),
        Ok(BUSYBOX.to_owned())
    );
}

#[test]
fn the_last_rule_that_matches_wins() {
    let [allow, deny] = ["ALLOW", "DENY"].map(|action| rule(action, BUSYBOX));
    assert!(evaluated(&rules(&format!("{allow},{deny},{allow}")), BUSYBOX).is_ok());
    assert!(evaluated(&rules(&format!("{allow},{deny}")), BUSYBOX).is_err());
    let others = rules(&format!(
        "{},{}",
        rule("DENY", "*"),
        rule("ALLOW", "docker-image://*/library/*")
    ));
    assert!(evaluated(&others, BUSYBOX).is_ok());
    assert!(evaluated(&others, "https://example.com/x").is_err());
}

#[test]
fn any_of_several_policies_may_deny() {
    let one = format!(r#"{{"rules":[{}]}}"#, rule("ALLOW", BUSYBOX));
    let two = format!(r#"{{"rules":[{}]}}"#, rule("DENY", BUSYBOX));
    assert!(evaluated(&policies(&[&one, &two]), BUSYBOX).is_err());
}

#[test]
fn a_converted_source_is_judged_anew() {
    let chain = rules(&format!(
        "{},{}",
        convert(BUSYBOX, ALPINE),
        convert(ALPINE, "docker-image://docker.io/library/debian:13")
    ));
    assert_eq!(
        evaluated(&chain, BUSYBOX).as_deref(),
        Ok("docker-image://docker.io/library/debian:13")
    );
    let denied = rules(&format!(
        "{},{}",
        rule("DENY", "docker-image://docker.io/library/alpine:*"),
        convert(BUSYBOX, ALPINE)
    ));
    assert!(
        matches!(evaluated(&denied, BUSYBOX), Err(PolicyError::Denied { identifier, .. }) if identifier == ALPINE)
    );
}

#[test]
fn a_circle_of_conversions_ends() {
    let circle = rules(&format!(
        "{},{}",
        convert(BUSYBOX, ALPINE),
        convert(ALPINE, BUSYBOX)
    ));
    let error = evaluated(&circle, BUSYBOX).expect_err("a circle");
    assert!(
        error
            .to_string()
            .contains("too many mutations on a single source: too many operations"),
        "{error}"
    );
}

#[test]
fn what_a_wildcard_holds_goes_into_the_new_name() {
    let wildcard = rules(&convert(
        "docker-image://docker.io/library/golang:*",
        "docker-image://mirror.example/golang:${1}-alpine",
    ));
    assert_eq!(
        evaluated(
            &rules(&convert(
                "docker-image://docker.io/*",
                "docker-image://mirror.example/$1"
            )),
            BUSYBOX
        )
        .as_deref(),
        Ok("docker-image://mirror.example/library/busybox:latest")
    );
    assert_eq!(
        evaluated(&wildcard, "docker-image://docker.io/library/golang:1.19").as_deref(),
        Ok("docker-image://mirror.example/golang:1.19-alpine")
    );
}

#[test]
fn what_groups_of_a_regular_expression_hold_goes_into_the_new_name() {
    let regex = rules(
        r#"{"action":"CONVERT","selector":{"identifier":"docker\\-image://docker\\.io/library/golang:(.*)","match_type":"REGEX"},"updates":{"identifier":"docker-image://mirror.example/golang:${1}"}}"#,
    );
    assert_eq!(
        evaluated(&regex, "docker-image://docker.io/library/golang:1.19").as_deref(),
        Ok("docker-image://mirror.example/golang:1.19")
    );
}

#[test]
fn a_star_is_no_wildcard_where_the_match_is_exact() {
    let exact =
        r#"{"action":"DENY","selector":{"identifier":"docker-image://*","match_type":"EXACT"}}"#;
    assert!(evaluated(&rules(exact), ALPINE).is_ok());
    let number = r#"{"action":1,"selector":{"identifier":"docker-image://*","match_type":0}}"#;
    assert!(evaluated(&rules(number), ALPINE).is_err());
}

#[rstest]
#[case(r#""value":"bar""#, Some("bar"), true)]
#[case(r#""value":"bar","condition":"EQUAL""#, Some("nope"), false)]
#[case(r#""value":"bar","condition":"NOTEQUAL""#, Some("bar"), false)]
#[case(r#""value":"bar","condition":"NOTEQUAL""#, None, true)]
#[case(r#""value":"bar""#, None, false)]
#[case(r#""value":"^b\\w+","condition":"MATCHES""#, Some("bar"), true)]
#[case(r#""value":"^\\d+","condition":"MATCHES""#, Some("b1"), false)]
fn a_constraint_looks_at_an_attribute(
    #[case] constraint: &str,
    #[case] value: Option<&str>,
    #[case] matches: bool,
) {
    let policy = rules(&format!(
        r#"{{"action":"DENY","selector":{{"identifier":"*","constraints":[{{"key":"foo",{constraint}}}]}}}}"#
    ));
    let mut source = PolicySource::new("https://example.com/x");
    source
        .attributes
        .extend(value.map(|value| ("foo".to_owned(), value.to_owned())));
    assert_eq!(policy.evaluate(source).is_err(), matches);
}

#[rstest]
#[case(
    r#"{"rules":[{"action":"FORBID","selector":{"identifier":"*"}}]}"#,
    "FORBID"
)]
#[case(
    r#"{"rules":[{"action":"DENY","source":{"identifier":"*"}}]}"#,
    "source"
)]
#[case(
    r#"{"rules":[{"action":"CONVERT","selector":{"identifier":"*"}}]}"#,
    "updates"
)]
#[case(
    r#"{"rules":[{"action":"DENY","selector":{"identifier":"a**"}}]}"#,
    "wildcard"
)]
#[case(
    r#"{"rules":[{"action":"DENY","selector":{"identifier":"(","match_type":"REGEX"}}]}"#,
    "regex"
)]
#[case(
    r#"{"rules":[{"action":"DENY","selector":{"identifier":"*","constraints":[{"key":"a","condition":"LIKE"}]}}]}"#,
    "LIKE"
)]
#[case(r#"{"version":2}"#, "version")]
#[case("rules: []", "expected")]
fn a_policy_that_is_not_understood_is_refused(#[case] text: &str, #[case] word: &str) {
    let error = SourcePolicies::default()
        .add("policy.json", text)
        .expect_err("no policy");
    assert!(error.to_string().contains(word), "{error}");
}

#[test]
fn a_digest_may_be_denied_after_a_name_was_resolved() {
    let name: rbuild_image::Reference = "busybox".parse().expect("a name");
    let pinned = name.with_digest(rbuild_image::Digest::sha256_of(b""));
    let digest = rules(&rule(
        "DENY",
        &format!("docker-image://*@{}", rbuild_image::Digest::sha256_of(b"")),
    ));
    assert_eq!(digest.image(&name).as_ref(), Ok(&name));
    assert!(digest.pinned_image(&name, &pinned).is_err());
    // A name that is allowed exactly stays so when its digest is known.
    let listed = rules(&format!("{},{}", rule("DENY", "*"), rule("ALLOW", BUSYBOX)));
    assert_eq!(listed.image(&name).as_ref(), Ok(&name));
    assert_eq!(listed.pinned_image(&name, &pinned), Ok(None));
}

#[test]
fn a_checksum_can_be_asked_of_a_file() {
    let digest = rbuild_image::Digest::sha256_of(b"x");
    let policy = rules(&format!(
        r#"{{"action":"CONVERT","selector":{{"identifier":"https://example.com/f"}},"updates":{{"attrs":{{"http.checksum":"{digest}"}}}}}}"#
    ));
    let file = HttpSource {
        url: "https://example.com/f".to_owned(),
        checksum: None,
        file_name: "f".to_owned(),
    };
    let found = policy.http(&file).expect("allowed");
    assert_eq!((found.url, found.checksum), (file.url, Some(digest)));
}

#[rstest]
#[case("https://github.com/team/app.git")]
#[case("git@github.com:team/app.git")]
#[case("ssh://git@github.com/team/app.git")]
fn a_repository_is_known_by_host_and_path_whatever_the_protocol(#[case] url: &str) {
    let source = GitSource {
        url: url.to_owned(),
        reference: Some("main".to_owned()),
        subdirectory: None,
        checksum: None,
        git_directory: GitDirectory::Dropped,
        submodules: Submodules::Fetched,
        times: GitTimes::Checkout,
    };
    let pinned = rules(&convert(
        "git://github.com/team/app.git#main",
        "git://github.com/team/app.git#0123456:docs",
    ));
    let found = pinned.git(&source).expect("allowed");
    assert_eq!(found.url, url);
    assert_eq!(
        (found.reference.as_deref(), found.subdirectory.as_deref()),
        (Some("0123456"), Some("docs"))
    );
    let moved = rules(&convert("git://github.com/*", "git://mirror.example/$1"));
    let found = moved.git(&source).expect("allowed");
    assert_eq!(found.url, "https://mirror.example/team/app.git");
    assert!(
        rules(&rule("DENY", "git://github.com/*"))
            .git(&source)
            .is_err()
    );
}

#[test]
fn a_source_becomes_no_source_of_another_kind() {
    let name: rbuild_image::Reference = "busybox".parse().expect("a name");
    let policy = rules(&convert(BUSYBOX, "https://example.com/busybox.tar"));
    assert!(matches!(
        policy.image(&name),
        Err(PolicyError::Unsuitable { .. })
    ));
}
