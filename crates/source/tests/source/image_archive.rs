//! Archives of images, of old and new form, and such as mean harm.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::collections::BTreeSet;
use std::path::Path;

use rbuild_image::Digest;
use rbuild_source::{ArchivedImage, ImageArchive, SourceError, unpacked};
use rstest::rstest;
use serde_json::{Value, json};

/// Builds an archive.
struct Maker(tar::Builder<Vec<u8>>);

impl Maker {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn file(&mut self, path: &str, bytes: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // set_path would refuse what the tests are about.
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
    }

    fn json(&mut self, path: &str, value: &Value) {
        self.file(path, value.to_string().as_bytes());
    }

    fn link(&mut self, path: &str, target: &str, kind: tar::EntryType) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.0.append_link(&mut header, path, target).unwrap();
    }

    /// A blob; its descriptor.
    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::sha256_of(bytes);
        self.file(&format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn image(&mut self, layers: &[&[u8]]) -> Value {
        let config = config(layers).to_string();
        let config = self.blob(
            "application/vnd.oci.image.config.v1+json",
            config.as_bytes(),
        );
        let kind = "application/vnd.oci.image.layer.v1.tar";
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(kind, layer)).collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        let kind = "application/vnd.oci.image.manifest.v1+json";
        self.blob(kind, manifest.to_string().as_bytes())
    }

    fn index(&mut self, entries: &[Value]) {
        self.json(
            "index.json",
            &json!({"schemaVersion": 2, "manifests": entries}),
        );
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn config(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<Digest> = layers
        .iter()
        .map(|layer| Digest::sha256_of(layer))
        .collect();
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
}

fn named(mut descriptor: Value, key: &str, name: &str) -> Value {
    descriptor["annotations"][key] = json!(name);
    descriptor
}

fn read(bytes: &[u8], layout: &Path) -> Result<Vec<ArchivedImage>, SourceError> {
    let tar = unpacked(bytes).unwrap();
    ImageArchive::read(tar, "it", layout)?.images()
}

fn refusal(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let error = read(bytes, &layout).unwrap_err();
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing is outside: {left:?}");
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(more) = cause {
        words = format!("{words}: {more}");
        cause = more.source();
    }
    words
}

fn names(image: &ArchivedImage) -> Vec<&str> {
    image.names.iter().map(String::as_str).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

#[rstest]
fn an_oci_layout_is_read_however_it_is_packed(
    #[values(plain, zstd, gzip)] pack: fn(&[u8]) -> Vec<u8>,
) {
    let mut maker = Maker::new();
    let image = maker.image(&[b"one", b"two"]);
    let other = maker.image(&[b"three"]);
    maker.index(&[
        named(
            image.clone(),
            "io.containerd.image.name",
            "docker.io/library/app:v1",
        ),
        named(
            image.clone(),
            "org.opencontainers.image.ref.name",
            "registry.example.com/app:v2",
        ),
        named(other, "org.opencontainers.image.ref.name", "latest"),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let images = read(&pack(&maker.bytes()), dir.path()).unwrap();
    assert_eq!(images.len(), 2, "an image with two names is one image");
    assert_eq!(
        names(&images[0]),
        ["docker.io/library/app:v1", "registry.example.com/app:v2"]
    );
    assert_eq!(images[0].platforms[0].layers.len(), 2);
    assert!(names(&images[1]).is_empty(), "a tag alone is no name");
    assert_eq!(images[0].documents.len(), 2);
}

#[test]
fn dockers_old_form_is_read_with_its_links() {
    let mut maker = Maker::new();
    maker.file("aaa/layer.tar", b"one");
    maker.file("two.tar", b"two");
    maker.link("bbb/layer.tar", "../two.tar", tar::EntryType::Symlink);
    maker.link("ccc/layer.tar", "aaa/layer.tar", tar::EntryType::Link);
    maker.json("id.json", &config(&[b"one", b"two", b"one"]));
    maker.json(
        "manifest.json",
        &json!([{"Config": "id.json", "RepoTags": ["app:v1", "app:v2"],
                 "Layers": ["aaa/layer.tar", "bbb/layer.tar", "ccc/layer.tar"]}]),
    );
    let dir = tempfile::tempdir().unwrap();
    let images = read(&maker.bytes(), dir.path()).unwrap();
    assert_eq!(names(&images[0]), ["app:v1", "app:v2"]);
    let layers = images[0].platforms[0].layers.iter();
    let digests: Vec<String> = layers.map(|layer| layer.digest().to_string()).collect();
    let expected: [&[u8]; 3] = [b"one", b"two", b"one"];
    assert_eq!(
        digests,
        expected.map(|layer| Digest::sha256_of(layer).to_string())
    );
    let blobs: BTreeSet<_> = std::fs::read_dir(dir.path().join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(blobs.contains(std::ffi::OsStr::new(
        Digest::sha256_of(b"two").hex().as_str()
    )));
}

#[test]
fn both_tables_of_contents_name_one_image() {
    let mut maker = Maker::new();
    let image = maker.image(&[b"one"]);
    maker.index(&[image]);
    let config = Digest::sha256_of(config(&[b"one"]).to_string().as_bytes());
    let layer = Digest::sha256_of(b"one");
    maker.json(
        "manifest.json",
        &json!([{"Config": format!("blobs/sha256/{}", config.hex()), "RepoTags": ["app:v1"],
                 "Layers": [format!("blobs/sha256/{}", layer.hex())]}]),
    );
    let dir = tempfile::tempdir().unwrap();
    let images = read(&maker.bytes(), dir.path()).unwrap();
    assert_eq!((images.len(), names(&images[0])), (1, vec!["app:v1"]));
}

#[test]
fn what_is_damaged_or_incomplete_is_refused() {
    let mut maker = Maker::new();
    let name = Digest::sha256_of(b"another");
    maker.file(&format!("blobs/sha256/{}", name.hex()), b"this");
    assert!(refusal(&maker.bytes()).contains("is damaged: it hashes to"));

    let mut maker = Maker::new();
    let mut entry = maker.image(&[b"one"]);
    entry["digest"] = json!(Digest::sha256_of(b"absent"));
    maker.index(&[entry]);
    assert!(refusal(&maker.bytes()).contains("is missing"));

    let mut maker = Maker::new();
    let mut entry = maker.image(&[b"one"]);
    entry["size"] = json!(1);
    maker.index(&[entry]);
    assert!(refusal(&maker.bytes()).contains("bytes instead of 1"));

    let mut maker = Maker::new();
    maker.file("one.tar", b"one");
    maker.json("id.json", &config(&[b"one", b"two"]));
    maker.json(
        "manifest.json",
        &json!([{"Config": "id.json", "Layers": ["one.tar"]}]),
    );
    assert!(refusal(&maker.bytes()).contains("knows 2 layers, and its manifest 1"));

    let mut maker = Maker::new();
    maker.file("one.tar", b"one");
    maker.json("id.json", &config(&[b"two"]));
    maker.json(
        "manifest.json",
        &json!([{"Config": "id.json", "Layers": ["one.tar"]}]),
    );
    assert!(refusal(&maker.bytes()).contains("as its config says"));

    let mut maker = Maker::new();
    maker.file("hello", b"world");
    assert!(refusal(&maker.bytes()).contains("there are no images in it"));
    let mut maker = Maker::new();
    maker.file("repositories", b"{}");
    assert!(refusal(&maker.bytes()).contains("before version 1.10"));

    let mut whole = Maker::new();
    whole.file("one.tar", &[7; 4000]);
    assert!(refusal(&whole.bytes()[..2000]).contains("it"));
    assert!(refusal(b"no archive at all").contains("it"));
}

#[test]
fn no_path_of_an_archive_is_a_path_on_disk() {
    let mut maker = Maker::new();
    maker.file("../../escaped", b"evil");
    maker.file("/escaped", b"evil");
    maker.file("blobs/sha256/../../../escaped", b"evil");
    maker.link("link", "../../../../etc/passwd", tar::EntryType::Symlink);
    maker.link("loop", "loop", tar::EntryType::Symlink);
    maker.json("manifest.json", &json!([{"Config": "loop", "Layers": []}]));
    assert!(refusal(&maker.bytes()).contains("loop is missing"));
    let mut maker = Maker::new();
    maker.link("id.json", "/etc/hostname", tar::EntryType::Symlink);
    maker.json(
        "manifest.json",
        &json!([{"Config": "id.json", "Layers": []}]),
    );
    assert!(refusal(&maker.bytes()).contains("id.json is missing"));
}

#[test]
fn a_small_archive_cannot_ask_for_any_amount_of_memory() {
    let mut maker = Maker::new();
    let manifest = format!(
        "{{\"schemaVersion\":2,\"manifests\":[]{}}}",
        " ".repeat(7 << 20)
    );
    let kind = "application/vnd.oci.image.index.v1+json";
    let entry = maker.blob(kind, manifest.as_bytes());
    let mut image = maker.image(&[]);
    image["mediaType"] = json!(kind);
    // Each entry is an index with the same large document below it, again and again.
    let inner: Vec<Value> = std::iter::repeat_n(entry, 20).collect();
    let inner = json!({"schemaVersion": 2, "manifests": inner}).to_string();
    let inner = maker.blob(kind, inner.as_bytes());
    maker.index(&[inner]);
    assert!(refusal(&maker.bytes()).contains("there is an index in an index"));

    let mut maker = Maker::new();
    let config = format!("{}{}", config(&[]), " ".repeat(7 << 20));
    maker.file("id.json", config.as_bytes());
    let table: Vec<Value> = (0..40)
        .map(|_| json!({"Config": "id.json", "Layers": []}))
        .collect();
    maker.json("manifest.json", &Value::Array(table));
    let dir = tempfile::tempdir().unwrap();
    let images = read(&maker.bytes(), dir.path()).unwrap();
    assert_eq!(images.len(), 1, "the same image many times is one");
}
