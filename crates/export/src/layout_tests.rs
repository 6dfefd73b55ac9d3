//! Tests of `layout`.

use super::*;

fn named(content: &[u8], names: &[&str], known: Vec<Value>) -> Vec<Value> {
    let digest = Digest::sha256_of(content);
    let image = json!({ "digest": digest.to_string(), "annotations": { "made": "now" } });
    let names = names.iter().map(|name| name.parse().expect("a reference"));
    let names: Vec<Reference> = names.collect();
    match index_json(&image, &names, Before::Images(known))["manifests"].take() {
        Value::Array(images) => images,
        other => vec![other],
    }
}

#[test]
fn a_layout_keeps_the_images_of_other_names() {
    let first = named(b"first", &["one", "two"], Vec::new());
    let second = named(b"second", &["two"], first.clone());
    assert_eq!(second.len(), 2);
    assert_eq!(second[0], first[0], "one is as it was");
    assert_eq!(
        second[1]["annotations"][NAME_ANNOTATION],
        "docker.io/library/two:latest"
    );
    assert_ne!(second[1]["digest"], first[1]["digest"]);
    assert_eq!(named(b"second", &["two"], second.clone()), second, "again");
}

#[test]
fn an_image_without_a_name_is_the_latest_of_its_directory() {
    let first = named(b"first", &[], named(b"other", &["other"], Vec::new()));
    assert_eq!(first.len(), 2);
    assert_eq!(first[1]["annotations"][TAG_ANNOTATION], "latest");
    assert_eq!(first[1]["annotations"][NAME_ANNOTATION], Value::Null);
    let second = named(b"second", &[], first.clone());
    assert_eq!(second.len(), 2, "the new one stands for the old one");
    assert_eq!(second[0], first[0], "a named one has nothing to do with it");
    assert_ne!(second[1]["digest"], first[1]["digest"]);
}
