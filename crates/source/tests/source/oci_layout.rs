//! OCI layouts as a source of images.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs;
use std::io::Read;
use std::path::Path;

use rbuild_image::{Digest, Platform};
use rbuild_source::{LayoutReference, OciLayout, SourceError};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn blob(dir: &Path, bytes: &[u8]) -> Digest {
    let digest = Digest::sha256_of(bytes);
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(digest.hex()), bytes).unwrap();
    digest
}

fn descriptor(dir: &Path, media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": blob(dir, bytes).to_string(), "size": bytes.len()})
}

fn image(dir: &Path, architecture: &str) -> Value {
    let config = format!("{{\"architecture\":\"{architecture}\",\"os\":\"linux\"}}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(dir, "application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor(dir, "application/vnd.oci.image.layer.v1.tar", b"layer")],
    });
    let mut described = descriptor(dir, MANIFEST, manifest.to_string().as_bytes());
    described["platform"] = json!({"os": "linux", "architecture": architecture});
    described
}

fn write_index(dir: &Path, manifests: &[Value]) {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

#[test]
fn images_are_found_by_tag_digest_and_platform() {
    let dir = tempfile::tempdir().unwrap();
    let (amd, arm) = (image(dir.path(), "amd64"), image(dir.path(), "arm64"));
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [amd, arm]});
    let both = descriptor(dir.path(), INDEX, inner.to_string().as_bytes());
    write_index(
        dir.path(),
        &[
            named(both, "v1"),
            named(amd.clone(), "docker.io/library/app:old"),
        ],
    );
    let layout = OciLayout::open(dir.path()).unwrap();
    let digest = |value: &Value| value["digest"].as_str().unwrap().to_owned();
    let resolve = |tag: Option<&str>, by: Option<&Digest>, architecture: &str| {
        layout
            .resolve(tag, by, &Platform::new("linux", architecture, ""))
            .map(|image| image.descriptor.digest().to_string())
    };
    assert_eq!(resolve(Some("v1"), None, "arm64").unwrap(), digest(&arm));
    assert_eq!(resolve(Some("v1"), None, "amd64").unwrap(), digest(&amd));
    assert_eq!(resolve(Some("old"), None, "amd64").unwrap(), digest(&amd));
    let by = digest(&arm).parse().unwrap();
    assert_eq!(resolve(None, Some(&by), "arm64").unwrap(), digest(&arm));
    assert!(matches!(
        resolve(Some("v2"), None, "amd64"),
        Err(SourceError::OciLayoutImage { .. })
    ));
    assert!(matches!(
        resolve(Some("v1"), None, "s390x"),
        Err(SourceError::OciLayoutImage { .. })
    ));
}

#[test]
fn bytes_that_do_not_fit_their_digest_never_come_through() {
    let dir = tempfile::tempdir().unwrap();
    write_index(dir.path(), &[image(dir.path(), "amd64")]);
    let layout = OciLayout::open(dir.path()).unwrap();
    let image = layout
        .resolve(None, None, &Platform::new("linux", "amd64", ""))
        .unwrap();
    let layer = &image.manifest.layers()[0];
    let mut bytes = Vec::new();
    layout.blob(layer).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"layer");
    let path = dir
        .path()
        .join("blobs/sha256")
        .join(Digest::sha256_of(b"layer").hex());
    for wrong in ["laXer", "laye", "layers", ""] {
        fs::write(&path, wrong).unwrap();
        assert!(
            layout
                .blob(layer)
                .unwrap()
                .read_to_end(&mut Vec::new())
                .is_err(),
            "{wrong}"
        );
    }
    let config = dir.path().join("blobs/sha256").join(
        image
            .manifest
            .config()
            .digest()
            .to_string()
            .replace("sha256:", ""),
    );
    fs::write(config, "{}").unwrap();
    assert!(
        layout
            .resolve(None, None, &Platform::new("linux", "amd64", ""))
            .is_err()
    );
}

#[test]
fn layout_references_have_a_tag_a_digest_or_neither() {
    let parse = |text: &str| LayoutReference::parse(text).unwrap();
    assert_eq!(parse("oci-layout:///a/b:v1").tag.as_deref(), Some("v1"));
    assert_eq!(parse("oci-layout://a").path, Path::new("a"));
    let digest = Digest::sha256_of(b"");
    let both = parse(&format!("oci-layout://a:t@{digest}"));
    assert_eq!(
        (both.tag.as_deref(), both.digest),
        (Some("t"), Some(digest))
    );
    assert!(LayoutReference::parse("oci-layout://:x").is_err());
}
