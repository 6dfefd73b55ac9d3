//! Pushing to a real registry, and reading back with skopeo.

use crate::common;
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Scene, client, image, noise, push_bytes, reference};
use rbuild_image::{Digest, Manifest, descriptor, media_type};
use rbuild_registry::{BlobArrival, BlobState, BlobUpload, MountOutcome, RegistryError};
use rbuild_testkit::{Fault, FaultProxy, Registry, Rule};

const MIB: usize = 1 << 20;

#[test]
fn skopeo_reads_what_we_push() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let layout = image(&dir.path().join("image"), 200_000);
    let client = client();
    let name = reference(&registry.host(), "team/app:1");
    let bytes = layout.blob(&layout.digest).expect("a manifest");
    let Ok(Manifest::Image(manifest)) = Manifest::from_json(&bytes) else {
        panic!("an image")
    };
    for part in manifest.layers().iter().chain([manifest.config()]) {
        let digest = Digest::try_from(part.digest()).expect("a digest");
        assert_eq!(
            client.has_blob(&name, &digest).expect("an answer"),
            BlobState::Missing
        );
        push_bytes(&client, &name, &layout.blob(&digest).expect("a blob")).expect("an upload");
        assert_eq!(
            client.has_blob(&name, &digest).expect("an answer"),
            BlobState::Present
        );
    }
    let digest = client
        .put_manifest(&name, media_type::OCI_MANIFEST, &bytes)
        .expect("a manifest");
    assert_eq!(digest, layout.digest);
    assert_eq!(
        registry.inspect_raw("team/app:1").expect("skopeo reads it"),
        bytes
    );
    let copy = format!("oci:{}:x", dir.path().join("copy").display());
    let source = format!("docker://{}/team/app:1", registry.host());
    registry
        .skopeo(&["copy", "--quiet", "--src-tls-verify=false", &source, &copy])
        .expect("skopeo copies and checks all blobs");
    // By digest alone.
    let pinned = reference(&registry.host(), "team/app").with_digest(digest);
    client
        .put_manifest_by_digest(&pinned, media_type::OCI_MANIFEST, &bytes)
        .expect("a manifest");
}

#[test]
fn a_blob_is_mounted_from_a_neighbour() {
    let Some(scene) = Scene::start(1000) else {
        return;
    };
    let client = client();
    let target = reference(&scene.proxy.host(), "other/app:1");
    let layer = scene.layout.layers[1];
    let outcome = client
        .mount_blob(&target, &layer, &scene.name())
        .expect("an answer");
    assert_eq!(outcome, MountOutcome::Mounted);
    assert_eq!(
        client.has_blob(&target, &layer).expect("an answer"),
        BlobState::Present
    );
    let missing = Digest::sha256_of(b"missing");
    let outcome = client
        .mount_blob(&target, &missing, &scene.name())
        .expect("an answer");
    assert_eq!(outcome, MountOutcome::Declined);
    assert_eq!(
        scene.proxy.count("DELETE", "/uploads/"),
        1,
        "the upload is abandoned"
    );
}

/// A registry behind a proxy with one fault on uploads; the blob must arrive whole.
fn arrives(rules: Vec<Rule>, check: impl FnOnce(&FaultProxy)) {
    let Some(registry) = Registry::start() else {
        return;
    };
    let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
    let client = client();
    let name = reference(&proxy.host(), "a/b:1");
    for rule in rules {
        proxy.inject(rule);
    }
    let bytes = noise(3 * MIB);
    let digest = push_bytes(&client, &name, &bytes).expect("an upload");
    let what = descriptor("application/octet-stream", digest, bytes.len() as u64);
    let direct = reference(&registry.host(), "a/b:1");
    assert_eq!(
        common::pull_bytes(&client, &direct, &what).expect("a blob"),
        bytes
    );
    check(&proxy);
}

#[test]
fn an_upload_that_breaks_is_taken_up_again() {
    arrives(
        vec![Rule::once(
            "PUT",
            "/uploads/",
            Fault::DropUploadAfter(MIB as u64),
        )],
        |_| {},
    );
    arrives(
        vec![
            Rule::once("PUT", "/uploads/", Fault::status(405)),
            Rule::once("PATCH", "/uploads/", Fault::DropUploadAfter(MIB as u64)),
        ],
        |proxy| assert!(proxy.count("PATCH", "/uploads/") >= 2),
    );
    arrives(
        vec![Rule::times("PUT", "/uploads/", 2, Fault::Drop)],
        |_| {},
    );
    arrives(vec![Rule::once("POST", "/uploads/", Fault::Drop)], |_| {});
}

#[test]
fn uploads_wait_out_what_passes() {
    for fault in [
        Fault::status(503),
        Fault::status_with(429, "Retry-After", "0"),
    ] {
        arrives(
            vec![
                Rule::once("POST", "/uploads/", fault.clone()),
                Rule::times("PUT", "/uploads/", 2, fault),
            ],
            |_| {},
        );
    }
}

#[test]
fn a_registry_that_takes_no_whole_blob_gets_chunks() {
    for status in [405, 413, 501] {
        arrives(
            vec![Rule::once("PUT", "/uploads/", Fault::status(status))],
            |proxy| {
                assert_eq!(proxy.count("PATCH", "/uploads/"), 1);
            },
        );
    }
}

#[test]
fn an_upload_that_the_registry_lost_begins_anew() {
    let lost = Fault::Reply {
        status: 404,
        headers: Vec::new(),
        body: br#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown to registry"}]}"#.to_vec(),
    };
    let gone = Rule::once("GET", "/uploads/", lost.clone());
    arrives(vec![Rule::once("PUT", "/uploads/", lost), gone], |proxy| {
        assert_eq!(proxy.count("POST", "/uploads/"), 2);
    });
}

#[test]
fn progress_ends_at_the_size() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let bytes = noise(500_000);
    let digest = Digest::sha256_of(&bytes);
    let sent = AtomicU64::new(0);
    let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(noise(500_000)))) };
    let upload = BlobUpload {
        descriptor: &descriptor("application/octet-stream", digest, 500_000),
        open: &open,
        progress: &|position| sent.store(position, Ordering::SeqCst),
    };
    client()
        .push_blob(&reference(&registry.host(), "a:1"), &upload)
        .expect("an upload");
    assert_eq!(sent.load(Ordering::SeqCst), 500_000);
}

#[test]
fn a_source_that_fails_is_told_as_such_and_not_retried() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let name = reference(&registry.host(), "a:1");
    let what = descriptor("application/octet-stream", Digest::sha256_of(b"abc"), 3);
    let fails = || -> io::Result<Box<dyn Read + Send>> { Err(io::Error::other("disk on fire")) };
    let short = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(b"ab"))) };
    for (open, words) in [
        (
            &fails as &dyn Fn() -> io::Result<Box<dyn Read + Send>>,
            "disk on fire",
        ),
        (&short, "fewer bytes"),
    ] {
        let upload = BlobUpload {
            descriptor: &what,
            open,
            progress: &|_| {},
        };
        let error = client().push_blob(&name, &upload).expect_err("no source");
        assert!(matches!(error, RegistryError::Source { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_wrong_digest_is_refused_by_the_registry() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(b"abc"))) };
    let upload = BlobUpload {
        descriptor: &descriptor("application/octet-stream", Digest::sha256_of(b"xyz"), 3),
        open: &open,
        progress: &|_| {},
    };
    let error = client()
        .push_blob(&reference(&registry.host(), "a:1"), &upload)
        .expect_err("a lie");
    assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
}

#[test]
fn an_empty_blob_and_many_at_once_arrive() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let client = client();
    let name = reference(&registry.host(), "a:1");
    push_bytes(&client, &name, b"").expect("nothing at all");
    std::thread::scope(|scope| {
        for number in 0..8u8 {
            let (client, name) = (&client, &name);
            scope.spawn(move || {
                let bytes = vec![number; 300_000];
                let digest = push_bytes(client, name, &bytes).expect("an upload");
                let what = descriptor("application/octet-stream", digest, 300_000);
                assert_eq!(
                    common::pull_bytes(client, name, &what).expect("a blob"),
                    bytes
                );
            });
        }
    });
}

#[test]
fn only_what_is_missing_is_sent() {
    let Some(scene) = Scene::start(1000) else {
        return;
    };
    let client = client();
    let digest = scene.layout.layers[1];
    let bytes = scene.layout.blob(&digest).expect("a blob");
    let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(bytes.clone()))) };
    let upload = BlobUpload {
        descriptor: &scene.layer(),
        open: &open,
        progress: &|_| {},
    };
    let host = scene.proxy.host();
    let arrival = |name: &str, neighbour| {
        let name = reference(&host, name);
        client
            .ensure_blob(&name, &upload, neighbour)
            .expect("a blob")
    };
    let base = scene.name();
    assert_eq!(arrival("library/test", None), BlobArrival::WasThere);
    assert_eq!(arrival("a/b", Some(&base)), BlobArrival::Mounted);
    assert_eq!(arrival("a/b", Some(&base)), BlobArrival::WasThere);
    assert_eq!(scene.proxy.count("PUT", "/uploads/"), 0);
    assert_eq!(arrival("c/d", None), BlobArrival::Uploaded);
    assert_eq!(scene.proxy.count("PUT", "/uploads/"), 1);
}

#[test]
fn a_blob_that_was_damaged_on_its_way_is_sent_again() {
    arrives(
        vec![Rule::times(
            "PUT",
            "/uploads/",
            2,
            Fault::CorruptUpload(MIB as u64),
        )],
        |proxy| assert_eq!(proxy.count("PUT", "/uploads/"), 3),
    );
}

/// A source that interrupts its own upload after its first bytes.
struct Interrupting(rbuild_registry::Client);

impl Read for Interrupting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.cancel();
        buffer.fill(7);
        Ok(buffer.len())
    }
}

#[test]
fn cancelling_ends_an_upload_in_its_middle() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
    let client = client();
    let open =
        || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Interrupting(client.clone()))) };
    let sent = AtomicU64::new(0);
    let size = 1 << 40;
    let upload = BlobUpload {
        descriptor: &descriptor("application/octet-stream", Digest::sha256_of(b"x"), size),
        open: &open,
        progress: &|position| sent.store(position, Ordering::SeqCst),
    };
    let error = client
        .push_blob(&reference(&proxy.host(), "a:1"), &upload)
        .expect_err("interrupted");
    assert!(matches!(error, RegistryError::Cancelled { .. }), "{error}");
    assert!(sent.load(Ordering::SeqCst) < MIB as u64);
    assert!(
        proxy.count("PUT", "/uploads/") <= 1,
        "it is not tried again"
    );
}
