//! What COPY and ADD take of a context, and how it arrives.

use crate::sources::root_lab;
use crate::support::{Kind, Lab, Project, run};

fn tree_of_files(lab: &Lab, dockerfile: &str) -> Project {
    let project = lab.project(dockerfile);
    for (path, content) in [
        ("a/b/c/d/foo", ""),
        ("a/b/c/d/e/bay", ""),
        ("a/b2/c/d/e/bar", ""),
        ("a/b/c2/d/e/baz", ""),
    ] {
        project.file(path, content);
    }
    project
}

#[test]
fn parents_are_kept_from_pivots_with_wildcards_and_the_target_is_made_in_any_case() {
    let Some(lab) = root_lab() else { return };
    let project = tree_of_files(
        &lab,
        "FROM scratch\nCOPY --parents a/b*/./c/**/e /both/\nCOPY --parents a/b/./z* /none/\nCOPY --parents x*/y /nothing/\n\
         COPY --parents a/b/c*/./d/**/baz a/b*/./c/**/bar /two/\n",
    );
    let tree = lab.tree(&project, &[]);
    for path in [
        "both/c/d/e/bay",
        "both/c/d/e/bar",
        "two/d/e/baz",
        "two/c/d/e/bar",
    ] {
        assert!(tree.has(path), "{path} is not among {:?}", tree.paths());
    }
    assert!(!tree.has("both/c/d/foo") && !tree.has("two/d/e/bay"));
    assert_eq!(tree.get("none").kind, Kind::Directory);
    assert_eq!(tree.get("nothing").kind, Kind::Directory);
    let project = tree_of_files(&lab, "FROM scratch\nCOPY --parents a/nothing /\n");
    let refused = lab.try_build(&project, &[]).failure();
    let reason = "failed to calculate checksum of ref context: \"/a/nothing\": not found";
    assert!(refused.stderr.contains(reason), "{refused}");
}

#[test]
fn directories_on_the_way_keep_their_owner() {
    let Some(lab) = root_lab() else { return };
    let project = tree_of_files(
        &lab,
        "FROM busybox\nRUN mkdir -p /a/b && chown 7:8 /a /a/b\nCOPY --parents --chown=3:4 a/b/c /\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!((tree.get("a/b").uid, tree.get("a/b").gid), (7, 8));
    assert_eq!((tree.get("a/b/c").uid, tree.get("a/b/c").gid), (3, 4));
}

#[test]
fn a_socket_of_the_context_is_an_empty_file() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY . /\n");
    let _listener = std::os::unix::net::UnixListener::bind(project.dir.join("socket"));
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.get("socket").kind, Kind::File(Vec::new()));
}

#[test]
fn an_archive_puts_files_in_the_place_of_directories() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS base\nRUN mkdir -p /opt/x/deep && touch /opt/x/deep/old\nFROM base\nADD in.tar /opt/\n\
         FROM base\nADD in.tar /opt/\nRUN test -f /opt/x && test ! -e /opt/x/deep && cp /opt/x /copy\n",
    );
    project.file("x", "file");
    let script = format!("cd {} && tar -cf in.tar x", project.dir.display());
    run("sh", &["-ec", &script]).success();
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        (tree.text("opt/x").as_str(), tree.text("copy").as_str()),
        ("file", "file")
    );
    assert!(!tree.has("opt/x/deep/old"));
}
