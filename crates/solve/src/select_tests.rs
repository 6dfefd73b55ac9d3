//! Tests of `select`.

use rbuild_layer::{Mtime, Opacity};
use rbuild_plan::{Input, Unpack};

use super::*;

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        path: path.into(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Mtime {
            seconds: 0,
            nanoseconds: 0,
        },
        xattrs: Vec::new(),
    }
}

/// `dir/` is a directory, `link -> target` a link, anything else a file that holds its path.
fn tree(paths: &[&str]) -> ContentIndex {
    let entries = paths.iter().map(|path| {
        if let Some(directory) = path.strip_suffix('/') {
            let opaque = Opacity::Merged;
            entry(directory, EntryKind::Directory { opaque })
        } else if let Some((link, target)) = path.split_once(" -> ") {
            let target = target.into();
            entry(link, EntryKind::Symlink { target })
        } else {
            let digest = blake3::hash(path.as_bytes()).into();
            let size = path.len() as u64;
            entry(path, EntryKind::File { size, digest })
        }
    });
    ContentIndex::from_entries(entries.collect())
}

fn copy(source: &str) -> CopyAction {
    CopyAction {
        from: Input(0),
        source: source.into(),
        destination: "/".into(),
        owner: Owner::Source,
        mode: Mode::Source,
        parents: Parents::Dropped,
        excludes: Vec::new(),
        unpack: Unpack::Never,
        wildcard: if source.contains('*') {
            Wildcard::Pattern
        } else {
            Wildcard::Literal
        },
    }
}

fn with_parents(source: &str) -> CopyAction {
    CopyAction {
        parents: Parents::Kept,
        ..copy(source)
    }
}

/// `name` for each file, `name:` and its entries for each directory; or what is wrong.
fn selected(tree: &ContentIndex, copy: &CopyAction) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let matches = match select(tree, copy) {
        Ok(matches) => matches,
        Err(error) => return vec![format!("{error:?}")],
    };
    let lines = matches.iter().map(|found| match &found.kind {
        MatchKind::File(_) => text(&found.name),
        MatchKind::Directory(entries) => {
            let names: Vec<_> = entries.iter().map(|one| text(&one.relative)).collect();
            format!("{}: {}", text(&found.name), names.join(" "))
        }
    });
    lines.collect()
}

#[test]
fn a_directory_gives_its_contents_and_a_file_itself() {
    let tree = tree(&["a/", "a/b/", "a/b/c", "d"]);
    assert_eq!(selected(&tree, &copy("/a")), ["a: b b/c"]);
    assert_eq!(selected(&tree, &copy("/d")), ["d"]);
    assert_eq!(selected(&tree, &copy("/")), [": a a/b a/b/c d"]);
    assert_eq!(
        selected(&tree, &copy("/no")),
        [format!("{:?}", SelectError::Missing(b"no".to_vec()))]
    );
}

#[test]
fn a_pattern_matches_components_and_may_match_nothing() {
    let tree = tree(&["a/", "a/x.c", "a/x.h", "b/", "b/x.c", "x.c"]);
    assert_eq!(selected(&tree, &copy("/*.c")), ["x.c"]);
    assert_eq!(selected(&tree, &copy("/*/*.c")), ["x.c", "x.c"]);
    assert_eq!(selected(&tree, &copy("/a*")), ["a: x.c x.h"]);
    assert_eq!(selected(&tree, &copy("/*.rs")), Vec::<String>::new());
}

#[test]
fn links_on_the_way_and_at_the_end_are_followed_inside_the_tree() {
    let tree = tree(&[
        "link -> real",
        "out -> ../../real",
        "loop -> loop",
        "real/",
        "real/f",
        "real/l -> f",
    ]);
    assert_eq!(selected(&tree, &copy("/link/f")), ["f"]);
    assert_eq!(selected(&tree, &copy("/out")), ["out: f l"]);
    assert_eq!(selected(&tree, &copy("/link/*")), ["f", "l"]);
    assert_eq!(
        selected(&tree, &copy("/loop")),
        [format!("{:?}", SelectError::Link(b"loop".to_vec()))]
    );
}

#[test]
fn parents_are_kept_from_the_pivot_on() {
    let tree = tree(&["a/", "a/b/", "a/b/c", "a/b/d"]);
    assert_eq!(selected(&tree, &with_parents("/a/b/c")), [": a a/b a/b/c"]);
    assert_eq!(selected(&tree, &with_parents("/a/./b/c")), ["a: b b/c"]);
    assert_eq!(selected(&tree, &with_parents("/a/./b")), ["a: b b/c b/d"]);
    assert_eq!(
        selected(&tree, &with_parents("/a/no")),
        [format!("{:?}", SelectError::Missing(b"a/no".to_vec()))]
    );
}

#[test]
fn both_sides_of_a_pivot_may_have_wildcards_and_a_directory_without_matches_counts() {
    let tree = tree(&["a1/", "a1/x/", "a1/x/c", "a2/", "a2/x/", "a2/x/d", "a2/y"]);
    assert_eq!(
        selected(&tree, &with_parents("/a*/./**/x")),
        ["a1: x x/c", "a2: x x/d"]
    );
    assert_eq!(selected(&tree, &with_parents("/a1/./z*")), ["a1: "]);
    assert_eq!(
        selected(&tree, &with_parents("/b*/./c")),
        Vec::<String>::new()
    );
}

#[test]
fn whether_a_directory_was_asked_for_or_is_on_the_way_is_in_the_digest() {
    let tree = tree(&["a/", "a/b"]);
    let digest_of = |source: &str| {
        let copy = with_parents(source);
        select(&tree, &copy).map(|matches| digest(&tree, &matches, &copy))
    };
    assert_ne!(digest_of("/a"), digest_of("/a/b"));
}

#[test]
fn the_mode_of_a_directory_on_the_way_counts_whatever_mode_the_copy_gives() {
    let digest_with = |mode| {
        let mut entries = tree(&["a/", "a/b"]).entries().to_vec();
        entries[0].mode = mode;
        let tree = ContentIndex::from_entries(entries);
        let copy = CopyAction {
            mode: Mode::Octal(0o755),
            ..with_parents("/a/b")
        };
        select(&tree, &copy).map(|matches| digest(&tree, &matches, &copy))
    };
    assert_ne!(digest_with(0o700), digest_with(0o755));
}

#[test]
fn an_excluded_directory_stays_for_what_is_taken_back() {
    let tree = tree(&["a/", "a/x/", "a/x/keep", "a/x/drop", "a/y/", "a/y/z"]);
    let excludes = ["x", "y", "!x/keep"].map(str::to_owned).to_vec();
    let copy = CopyAction {
        excludes,
        ..copy("/a")
    };
    assert_eq!(selected(&tree, &copy), ["a: x x/keep"]);
}

#[test]
fn the_digest_tells_names_kinds_and_attributes_but_not_what_the_copy_overrides() {
    let digest_of = |tree: &ContentIndex, copy: &CopyAction| {
        select(tree, copy).map(|matches| digest(tree, &matches, copy))
    };
    let one = tree(&["a/", "a/f"]);
    let other = ContentIndex::from_entries(
        one.entries()
            .iter()
            .map(|entry| Entry {
                mode: 0o600,
                uid: 7,
                ..entry.clone()
            })
            .collect(),
    );
    let plain = copy("/a");
    assert_ne!(digest_of(&one, &plain), digest_of(&other, &plain));
    let overridden = CopyAction {
        owner: Owner::Ids { uid: 1, gid: 1 },
        mode: Mode::Octal(0o755),
        ..copy("/a")
    };
    assert_eq!(digest_of(&one, &overridden), digest_of(&other, &overridden));
    assert_ne!(digest_of(&one, &plain), digest_of(&one, &copy("/a/f")));
}
