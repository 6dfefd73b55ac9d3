//! Caches in stores of objects: S3, and GitHub's Actions cache.

use rbuild_testkit::{ActionsCache, FaultProxy, S3Server};

use crate::support::{Caller, Machine, Project};

const STEPS: &str = "FROM busybox AS build
COPY a /a
RUN cat /a > /b && date +%s%N > /when
FROM busybox
COPY --from=build /b /b
COPY c /c
";

fn machine() -> Option<Machine> {
    Machine::new(Caller::Root, STEPS, |project: &Project| {
        project.file("a", "a").file("c", "c");
    })
}

/// What every place must do: another machine runs nothing, asks little, and after a change runs what depends on it.
fn a_place_serves(spec: &str, proxy: &FaultProxy) {
    let (Some(one), Some(other)) = (machine(), machine()) else {
        return;
    };
    let first = one.build(&["--cache-to", &format!("{spec},mode=max")]);
    let before = proxy.requests().len();
    let second = other.build(&["--cache-from", spec, "-o", "type=cacheonly"]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    let asked = proxy.requests().split_off(before);
    assert!(asked.len() <= 2, "{asked:#?}");
    let third = other.build(&["--cache-from", spec]);
    assert_eq!(third.image(), first.image(), "{third}");
    other.project.file("c", "changed");
    let fourth = other.build(&["--cache-from", spec, "--cache-to", spec]);
    assert_eq!(fourth.ran(), ["COPY c /c"], "{fourth}");
    // What one added, the other finds.
    one.project.file("c", "changed");
    let fifth = one.build(&["--cache-from", spec]);
    assert_eq!(fifth.ran(), [""; 0], "{fifth}");
}

#[test]
fn s3_serves() {
    let Some(server) = S3Server::start() else {
        return;
    };
    let proxy = FaultProxy::in_front_of(&server.host).expect("a proxy");
    let spec = format!(
        "type=s3,bucket={},region=us-east-1,endpoint_url=http://{},use_path_style=true,prefix=ci/,access_key_id={},secret_access_key={}",
        S3Server::BUCKET,
        proxy.host(),
        server.access_key_id,
        server.secret_access_key
    );
    a_place_serves(&spec, &proxy);
    // Who may not write is told so, and what was typed is not repeated with its secret.
    let Some(one) = machine() else { return };
    let wrong = spec.replace("secret_access_key=", "secret_access_key=wrong");
    let failed = one
        .lab
        .try_build(&one.project, &["--cache-to", &wrong])
        .failure();
    assert!(failed.stderr.contains("SignatureDoesNotMatch"), "{failed}");
    assert!(
        !failed.stderr.contains(&server.secret_access_key),
        "{failed}"
    );
    // A step that misses waits for what the cache says.
    one.project.file("c", "other");
    let built = one.build(&["--cache-from", &wrong]);
    assert!(
        built.stderr.contains("the build goes on without it"),
        "{built}"
    );
}

#[test]
fn the_actions_cache_serves() {
    let cache = ActionsCache::start().expect("a cache");
    let proxy = FaultProxy::in_front_of(&cache.host()).expect("a proxy");
    let spec = format!(
        "type=gha,url_v2=http://{}/,token={},scope=main",
        proxy.host(),
        ActionsCache::TOKEN
    );
    a_place_serves(&spec, &proxy);
    let keys = cache.keys();
    let has = |start: &str| keys.iter().any(|key| key.starts_with(start));
    assert!(has("rbuild-1-main-entries/"), "{keys:?}");
    assert!(has("rbuild-1-blobs/sha256/"), "{keys:?}");
}

#[test]
fn outside_of_a_workflow_the_actions_cache_is_left_out() {
    let Some(one) = machine() else { return };
    let built = one.build(&[
        "--cache-from",
        "type=gha",
        "--cache-to",
        "type=gha,mode=max",
    ]);
    assert_eq!(
        built.stderr.matches("this is no GitHub workflow").count(),
        2,
        "{built}"
    );
}
