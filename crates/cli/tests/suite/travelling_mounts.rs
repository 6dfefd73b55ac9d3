//! Cache mounts that travel with remote caches (`mounts=true`).

use std::path::Path;

use rbuild_testkit::Registry;
use rstest::rstest;

use crate::support::{Caller, Lab, Project};

/// A step that leaves one more file in its mount, after it has told which are there. Whatever its key: it runs.
fn project(lab: &Lab) -> Project {
    lab.project(
        "FROM busybox\nARG NAME\nARG BYTES=1\n\
         RUN --mount=type=cache,id=c,target=/c ls /c > /seen && head -c $BYTES /dev/urandom > /c/$NAME && chown 5:6 /c/$NAME && sha256sum /c/* > /sums\n",
    )
}

/// What the step saw, and what was said.
fn build(lab: &Lab, name: &str, options: &[&str]) -> (String, String) {
    let project = project(lab);
    let out = lab.own_folder(&format!("files-{name}"));
    let name = format!("--build-arg=NAME={name}");
    let output = format!("-otype=local,dest={}", out.display());
    let options = [&["--no-cache", &name, &output], options].concat();
    let told = lab.build(&project, &options);
    let seen = std::fs::read_to_string(out.join("seen")).expect("a file");
    (seen, told.stderr)
}

/// `c: 2 of 9 chunks were new`
fn chunks(told: &str) -> (usize, usize) {
    let (before, _) = told.split_once(" chunks were new").expect("it is told");
    let words: Vec<&str> = before.rsplit(' ').take(3).collect();
    let number = |word: &str| word.parse().expect("a number");
    (number(words[2]), number(words[0]))
}

#[rstest]
fn a_cache_mount_travels_with_a_registry_and_only_what_changed_is_sent(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let (Some(one), Some(other)) = (Lab::new(caller), Lab::new(caller)) else {
        return;
    };
    let Some(hub) = Registry::start() else { return };
    for lab in [&one, &other] {
        lab.config(&format!("[registry.\"{}\"]\nhttp = true\n", hub.host()));
    }
    let cache = format!("type=registry,ref={}/app:cache,mounts=true", hub.host());
    let (to, from) = (
        format!("--cache-to={cache}"),
        format!("--cache-from={cache}"),
    );
    let large = "--build-arg=BYTES=6000000";
    let (seen, told) = build(&one, "large", &[large, &to]);
    assert_eq!(seen, "");
    let (new, all) = chunks(&told);
    assert!(new == all && all > 4, "{told}");
    let (seen, told) = build(&other, "small", &[&from, &to]);
    assert_eq!(seen, "large\n", "{told}");
    assert!(told.contains("importing cache mount c from"), "{told}");
    let (new, all) = chunks(&told);
    assert!(new <= 2 && all > 4, "heads and the last contents: {told}");
    // Who has the mount keeps what it has.
    let (seen, told) = build(&one, "more", &[&from]);
    assert_eq!(seen, "large\n");
    assert!(!told.contains("importing cache mount"), "{told}");
    one.rbuild(&["cache", "mounts", "rm", "c"]).success();
    let (seen, _) = build(&one, "again", &[&from]);
    assert_eq!(seen, "large\nsmall\n");
    let owners = project(&one);
    owners.dockerfile("FROM busybox\nRUN --mount=type=cache,id=c,target=/c stat -c %u:%g /c/large /c/small > /owners && sha256sum /c/large > /sum\n");
    let tree = one.tree(&owners, &[]);
    assert_eq!(tree.text("owners"), "5:6\n5:6\n");
    assert_eq!(tree.text("sum"), other.tree(&owners, &[]).text("sum"));
}

fn damage(directory: &Path) {
    for blob in std::fs::read_dir(directory).expect("blobs") {
        let blob = blob.expect("a blob").path();
        let mut bytes = std::fs::read(&blob).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(blob, bytes).expect("our own file");
    }
}

#[test]
fn a_cache_mount_that_cannot_be_had_begins_empty_and_is_told() {
    let (Some(one), Some(other)) = (Lab::new(Caller::Root), Lab::new(Caller::Root)) else {
        return;
    };
    let place = one.path("cache");
    let to = format!(
        "--cache-to=type=local,dest={},mode=min,mounts=true",
        place.display()
    );
    let from = format!(
        "--cache-from=type=local,src={},mounts=true",
        place.display()
    );
    build(&one, "first", &["--build-arg=BYTES=300000", &to]);
    let without = from.replace(",mounts=true", "");
    assert_eq!(build(&other, "a", &[&without]).0, "", "nobody asked for it");
    other.rbuild(&["cache", "mounts", "rm", "c"]).success();
    damage(&place.join("blobs/sha256"));
    let (seen, told) = build(&other, "b", &[&from]);
    assert_eq!(seen, "", "{told}");
    assert!(told.contains("cache mount c does not come from"), "{told}");
    assert_eq!(build(&other, "c", &[&from]).0, "b\n");
}
