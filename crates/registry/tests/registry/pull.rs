//! Pulling from a real registry what skopeo pushed.

use crate::common;
use std::io::Read;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::common::{Scene, client, client_with, config, push_bytes, reference};
use rbuild_image::{Descriptor, Digest, Manifest, ManifestKind, Platform, Reference, media_type};
use rbuild_registry::{Anonymous, Client, Listed, Referrer, RegistryError};
use rbuild_testkit::{FaultProxy, ImageMaker, Registry};

#[test]
fn an_image_is_pulled_byte_for_byte() {
    let Some(scene) = Scene::start(300_000) else {
        return;
    };
    let client = client();
    let name = scene.name();
    let image = client
        .pull_manifest(&name, &Platform::host())
        .expect("a manifest");
    assert_eq!(image.digest, scene.layout.digest);
    assert_eq!(
        image.bytes,
        scene
            .registry
            .inspect_raw("library/test:latest")
            .expect("a manifest")
    );
    assert_eq!(image.via, scene.proxy.host());
    let (bytes, config) = client
        .config(&name, image.manifest.config())
        .expect("a config");
    assert_eq!(
        Digest::sha256_of(&bytes).to_string(),
        image.manifest.config().digest().to_string()
    );
    assert_eq!(config.rootfs.diff_ids.len(), 2);
    for (descriptor, digest) in image.manifest.layers().iter().zip(&scene.layout.layers) {
        let mut bytes = Vec::new();
        let mut reader = client.blob(&name, descriptor).expect("a blob");
        reader.read_to_end(&mut bytes).expect("all of it");
        assert_eq!(bytes, scene.layout.blob(digest).expect("the same"));
    }
}

#[test]
fn a_descriptor_costs_no_download() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let found = client()
        .resolve_descriptor(&scene.name())
        .expect("a descriptor");
    assert_eq!(found.digest().to_string(), scene.layout.digest.to_string());
    assert_eq!(found.media_type().to_string(), media_type::OCI_MANIFEST);
    assert_eq!(scene.proxy.count("GET", "/manifests/"), 0);
    let pinned = scene.name().with_digest(scene.layout.digest);
    let again = client().resolve(&pinned).expect("a manifest");
    assert_eq!(again.descriptor, found);
}

#[test]
fn progress_is_told_and_small_reads_are_checked_too() {
    let Some(scene) = Scene::start(100_000) else {
        return;
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let layer = scene.layer();
    let mut reader = client()
        .blob(&scene.name(), &layer)
        .expect("a blob")
        .with_progress(move |bytes| told.lock().expect("a lock").push(bytes));
    reader.read_exact(&mut [0; 7]).expect("seven bytes");
    reader.finish().expect("the rest");
    let seen = seen.lock().expect("a lock");
    assert_eq!(seen.last(), Some(&layer.size()));
    assert!(seen.is_sorted());
}

#[test]
fn the_platform_is_chosen_in_indexes_within_indexes() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let layout = ImageMaker::new()
        .layer(&[("a", b"a")])
        .platforms(&[
            ("linux", "arm64"),
            ("unknown", "unknown"),
            ("linux", "amd64"),
        ])
        .write(&dir.path().join("image"), "latest")
        .expect("a layout");
    registry.push(&layout, "multi:1").expect("a push");
    let client = client();
    let name = reference(&registry.host(), "multi:1");
    let wanted: Platform = "linux/amd64".parse().expect("a platform");
    let image = client.pull_manifest(&name, &wanted).expect("an image");
    assert_eq!(image.digest, layout.manifests[2]);
    assert_eq!(image.root.digest().to_string(), layout.digest.to_string());

    let inner = client.resolve(&name).expect("an index");
    assert_eq!(inner.manifest.kind(), ManifestKind::Index);
    let outer = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [inner.descriptor]});
    let outer = serde_json::to_vec(&outer).expect("JSON");
    let nested = name.with_tag("nested").expect("a tag");
    client
        .put_manifest(&nested, media_type::OCI_INDEX, &outer)
        .expect("a push");
    let image = client.pull_manifest(&nested, &wanted).expect("an image");
    assert_eq!(image.digest, layout.manifests[2]);

    let missing: Platform = "linux/s390x".parse().expect("a platform");
    let error = client
        .pull_manifest(&name, &missing)
        .expect_err("no such platform");
    assert!(matches!(error, RegistryError::NoPlatform { .. }));
    let text = error.to_string();
    assert!(
        text.contains("linux/s390x") && text.contains("linux/arm64, linux/amd64"),
        "{text}"
    );
}

#[test]
fn mirrors_are_asked_first_and_the_registry_after_them() {
    let Some(scene) = Scene::start(1000) else {
        return;
    };
    let empty = Registry::start().expect("it is installed");
    let empty = FaultProxy::in_front_of(&empty.host()).expect("a proxy");
    let config = config(&format!(
        "[registry.\"docker.io\"]\nmirrors = [\"127.0.0.1:1\", \"{}\", \"{}\"]",
        empty.host(),
        scene.proxy.host()
    ));
    let client = client_with(config, Arc::new(Anonymous));
    let name = "test".parse().expect("a name");
    let resolved = client.resolve(&name).expect("from the last mirror");
    assert_eq!(resolved.via, scene.proxy.host());
    assert_eq!(
        empty.count("GET", "/v2/library/test/manifests/latest?ns=docker.io"),
        1
    );
    let Manifest::Image(image) = resolved.manifest else {
        panic!("an image")
    };
    let bytes = common::pull_bytes(&client, &name, &image.layers()[0]).expect("a layer");
    assert_eq!(
        bytes,
        scene
            .layout
            .blob(&scene.layout.layers[0])
            .expect("the same")
    );
}

#[test]
fn a_mirror_that_says_nothing_is_waited_for_once() {
    let Some(scene) = Scene::start(1000) else {
        return;
    };
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let config = config(&format!(
        "[registry.\"docker.io\"]\nmirrors = [\"http://{address}\", \"{}\"]",
        scene.proxy.host()
    ));
    let client = client_with(config, Arc::new(Anonymous));
    let resolved = client.resolve(&"test".parse().expect("a name"));
    assert_eq!(resolved.expect("from the other").via, scene.proxy.host());
    silent.set_nonblocking(true).expect("a socket");
    assert_eq!(silent.incoming().map_while(Result::ok).count(), 1);
}

#[test]
fn a_mirrors_path_goes_before_the_repository() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let config = config(&format!(
        "[registry.\"r.example.com\"]\nmirrors = [\"{}/library\"]",
        scene.proxy.host()
    ));
    let client = client_with(config, Arc::new(Anonymous));
    let name = "r.example.com/test".parse().expect("a name");
    assert_eq!(
        client.resolve(&name).expect("a manifest").digest,
        scene.layout.digest
    );
}

#[test]
fn what_is_not_there_is_told_with_the_registrys_words() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let name = reference(&scene.registry.host(), "library/nothing:1");
    let error = client().resolve(&name).expect_err("nothing there");
    assert!(error.is_not_found() && !error.is_transient());
    assert!(error.hint().is_some());
    assert_eq!(
        error.to_string(),
        format!(
            "read the manifest of {name} at {}: 404 Not Found: MANIFEST_UNKNOWN: manifest unknown",
            scene.registry.host()
        )
    );
}

#[test]
fn a_mirror_that_has_official_images_without_library_serves_them() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    scene
        .registry
        .push(&scene.layout, "plain:latest")
        .expect("pushed");
    let config = config(&format!(
        "[registry.\"docker.io\"]\nmirrors = [\"{}\"]",
        scene.proxy.host()
    ));
    let client = client_with(config, Arc::new(Anonymous));
    let name = "plain".parse().expect("a name");
    let resolved = client.resolve(&name).expect("it is there as `plain`");
    assert_eq!(resolved.digest, scene.layout.digest);
}
/// Puts a manifest about `subject`, of a kind.
fn put_about(client: &Client, name: &Reference, subject: &Descriptor, kind: &str) -> Listed {
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": kind,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": Digest::sha256_of(b"{}").to_string(),
            "size": 2,
        },
        "layers": [],
        "subject": subject,
    });
    push_bytes(client, name, b"{}").expect("a config");
    let manifest = manifest.to_string();
    let referrer = Referrer {
        bytes: manifest.as_bytes(),
        subject: &Digest::try_from(subject.digest()).expect("a digest"),
        artifact_type: kind,
    };
    client.put_referrer(name, referrer).expect("a referrer")
}

#[test]
fn referrers_are_listed_by_the_registry_where_it_can_and_else_by_a_tag() {
    let Some(scene) = Scene::start(10) else {
        return;
    };
    let client = client();
    let name = scene.name();
    let subject = client.resolve(&name).expect("an image").descriptor;
    let digest = Digest::try_from(subject.digest()).expect("a digest");
    let tag = format!("/manifests/sha256-{}", digest.hex());
    let kinds = ["example/a+json", "example/b", "example/c"];
    for (listed, tags) in [(Listed::ByTag, 3), (Listed::ByRegistry, 0)] {
        if listed == Listed::ByRegistry {
            scene.proxy.list_referrers(Some(2));
        }
        let before = scene.proxy.count("PUT", &tag);
        for kind in kinds {
            assert_eq!(put_about(&client, &name, &subject, kind), listed);
        }
        assert_eq!(scene.proxy.count("PUT", &tag) - before, tags);
        let kinds_of = |wanted: Option<&str>| -> Vec<String> {
            let found = client.referrers(&name, &digest, wanted).expect("a list");
            let kinds = found.iter().map(|found| found.artifact_type().clone());
            kinds
                .map(|kind| kind.expect("a kind").to_string())
                .collect()
        };
        assert_eq!(kinds_of(None), kinds);
        assert_eq!(kinds_of(Some(kinds[0])), [kinds[0]]);
        assert!(kinds_of(Some("example/other")).is_empty());
        let other = Digest::sha256_of(b"nothing");
        assert!(
            client
                .referrers(&name, &other, None)
                .expect("a list")
                .is_empty()
        );
    }
    assert_eq!(
        scene.proxy.count("GET", "artifactType=example%2Fa%2Bjson"),
        2
    );
    assert_eq!(scene.proxy.count("GET", "?last=2"), 1);
}
