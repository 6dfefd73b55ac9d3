//! A registry behind a proxy that drops, truncates, corrupts, stalls and lies: nothing wrong is accepted, and
//! what can be retried succeeds.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::common::{Scene, client, pull_bytes};
use rbuild_registry::RegistryError;
use rbuild_testkit::{Fault, Rule};

const MIB: usize = 1 << 20;

/// Pulls the scene's layer through the proxy; whether what came is right.
fn pulled(scene: &Scene) -> Result<bool, RegistryError> {
    let bytes = pull_bytes(&client(), &scene.name(), &scene.layer())?;
    Ok(bytes == scene.layout.blob(&scene.layout.layers[1]).expect("a blob"))
}

#[test]
fn a_download_that_breaks_again_and_again_is_resumed() {
    let Some(scene) = Scene::start(3 * MIB) else {
        return;
    };
    for bytes in [1_000_000, 1, 0, 500_000] {
        let break_off = Fault::TruncateAfter(bytes);
        scene.proxy.inject(Rule::once("GET", "/blobs/", break_off));
    }
    assert!(pulled(&scene).expect("a layer"));
    let ranges: Vec<_> = scene
        .proxy
        .requests()
        .iter()
        .filter_map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(
        ranges,
        [
            "bytes=1000000-",
            "bytes=1000001-",
            "bytes=1000001-",
            "bytes=1500001-"
        ]
    );
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    let Some(scene) = Scene::start(MIB) else {
        return;
    };
    scene
        .proxy
        .inject(Rule::once("GET", "/blobs/", Fault::TruncateAfter(700_000)));
    scene.proxy.inject(Rule::once(
        "GET",
        "/blobs/",
        Fault::HideRequestHeader("range"),
    ));
    assert!(pulled(&scene).expect("a layer"));
}

#[test]
fn everything_that_passes_is_waited_out() {
    let Some(scene) = Scene::start(MIB) else {
        return;
    };
    for fault in [
        Fault::Drop,
        Fault::status(503),
        Fault::status(500),
        Fault::status_with(429, "Retry-After", "0"),
        Fault::StallAfter(100_000, Duration::from_secs(3)),
        Fault::Delay(Duration::from_secs(2)),
    ] {
        let text = format!("{fault:?}");
        scene
            .proxy
            .inject(Rule::once("GET", "/blobs/", fault.clone()));
        assert!(
            pulled(&scene).unwrap_or_else(|error| panic!("{text}: {error}")),
            "{text}"
        );
        if !matches!(fault, Fault::StallAfter(..)) {
            scene
                .proxy
                .inject(Rule::times("GET", "/manifests/", 2, fault));
            client()
                .resolve(&scene.name())
                .unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
    scene
        .proxy
        .inject(Rule::once("GET", "/manifests/", Fault::TruncateAfter(20)));
    client().resolve(&scene.name()).expect("a manifest");
}

#[test]
fn retry_after_is_kept_to_by_all_requests() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let wait = Fault::status_with(429, "Retry-After", "1");
    scene.proxy.inject(Rule::once("GET", "/manifests/", wait));
    let begin = Instant::now();
    client().resolve(&scene.name()).expect("a manifest");
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_wait_of_hours_is_a_failure_at_once() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let wait = Fault::status_with(429, "Retry-After", "7200");
    scene.proxy.inject(Rule::always("GET", "/manifests/", wait));
    let error = client().resolve(&scene.name()).expect_err("too long");
    assert!(matches!(error, RegistryError::RateLimited { .. }));
    assert_eq!(scene.proxy.count("GET", "/manifests/"), 1);
}

#[test]
fn corrupted_blobs_are_refused() {
    let Some(scene) = Scene::start(MIB) else {
        return;
    };
    let size = scene.layer().size();
    for at in [0, size / 2, size - 1] {
        scene
            .proxy
            .inject(Rule::once("GET", "/blobs/", Fault::Corrupt(at)));
        let error = pulled(&scene).expect_err("a wrong byte");
        assert!(error.is_corruption(), "{error}");
    }
    assert!(pulled(&scene).expect("the next time is right"));
}

#[test]
fn the_last_wrong_byte_is_not_handed_out() {
    let Some(scene) = Scene::start(MIB) else {
        return;
    };
    let layer = scene.layer();
    scene
        .proxy
        .inject(Rule::once("GET", "/blobs/", Fault::Corrupt(0)));
    let mut reader = client().blob(&scene.name(), &layer).expect("a blob");
    let mut all = vec![0; usize::try_from(layer.size()).expect("small")];
    let error = reader
        .read_exact(&mut all)
        .expect_err("exactly the size, and wrong");
    let inner = RegistryError::in_io(&error).expect("our error");
    assert!(matches!(inner, RegistryError::DigestMismatch { .. }));
    assert!(reader.read(&mut all).is_err(), "it stays failed");
}

#[test]
fn a_blob_of_another_length_is_refused() {
    let Some(scene) = Scene::start(MIB) else {
        return;
    };
    let size = scene.layer().size();
    for fault in [
        Fault::Append(b"more".to_vec()),
        Fault::SetHeader("Content-Length", (size - 5).to_string()),
        Fault::SetHeader("Content-Length", (size + 5).to_string()),
    ] {
        let text = format!("{fault:?}");
        scene.proxy.inject(Rule::once("GET", "/blobs/", fault));
        let error = pulled(&scene).expect_err(&text);
        assert!(
            matches!(error, RegistryError::SizeMismatch { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn manifests_that_are_not_what_was_asked_for_are_refused() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let name = scene.name();
    let pinned = name.with_digest(scene.layout.digest);
    // Damage on the way may pass, and is not believed if it does not.
    let asked = |times| Rule::times("GET", "/manifests/", times, Fault::Corrupt(30));
    scene.proxy.inject(asked(1));
    let resolved = client().resolve(&pinned).expect("the second answer");
    assert_eq!(resolved.digest, scene.layout.digest);
    scene.proxy.inject(asked(2));
    assert!(
        client()
            .resolve(&pinned)
            .expect_err("a wrong byte")
            .is_corruption()
    );
    scene.proxy.inject(asked(2));
    assert!(
        client()
            .resolve(&name)
            .expect_err("not as the header tells")
            .is_corruption()
    );
    let lie = format!("sha256:{}", "0".repeat(64));
    scene.proxy.inject(Rule::always(
        "HEAD",
        "/manifests/",
        Fault::SetHeader("Docker-Content-Digest", lie),
    ));
    assert!(
        client()
            .resolve_descriptor(&pinned)
            .expect_err("a lie")
            .is_corruption()
    );
}

#[test]
fn schema_1_is_refused_with_a_sentence() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let body = br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec();
    for kind in [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
    ] {
        scene.proxy.inject(Rule::once(
            "GET",
            "/manifests/",
            Fault::Reply {
                status: 200,
                headers: vec![("Content-Type".to_owned(), kind.to_owned())],
                body: body.clone(),
            },
        ));
        let error = client()
            .resolve(&scene.name())
            .expect_err("schema 1")
            .to_string();
        assert!(
            error.contains("schema 1 format, which is obsolete"),
            "{error}"
        );
    }
}

#[test]
fn what_does_not_pass_fails_after_bounded_tries() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    scene
        .proxy
        .inject(Rule::always("GET", "/blobs/", Fault::status(503)));
    let error = pulled(&scene).expect_err("always 503");
    assert!(error.is_transient());
    assert!(
        error.to_string().ends_with("503 Service Unavailable"),
        "{error}"
    );
    assert_eq!(scene.proxy.count("GET", "/blobs/"), 5);
}

#[test]
fn cancelling_ends_a_wait() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let wait = Fault::status_with(503, "Retry-After", "3");
    scene.proxy.inject(Rule::always("GET", "/manifests/", wait));
    let client = client();
    let other = client.clone();
    let begin = Instant::now();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        other.cancel();
    });
    let error = client.resolve(&scene.name()).expect_err("cancelled");
    assert!(matches!(error, RegistryError::Cancelled { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(2));
    canceller.join().expect("a thread");
}
