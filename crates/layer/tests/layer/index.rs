//! The content index: lookups, identity, merging, its stored form.

use crate::support::{Test, directory, entry, file, hardlink, layer, opaque, paths};
use rbuild_layer::{
    AttributeMask, ContentIndex, Counted, Entry, EntryKind, FileTimes, LayerError, Mtime,
};

fn sample() -> ContentIndex {
    let mut tool = file("usr/bin/tool", "tool");
    tool.mode = 0o4755;
    tool.uid = 1000;
    tool.gid = 4_000_000_000;
    tool.mtime = Mtime {
        seconds: -5,
        nanoseconds: 7,
    };
    tool.xattrs = vec![
        (b"security.capability".to_vec(), vec![1, 0, 0, 2]),
        (b"user.a".to_vec(), vec![]),
    ];
    layer([
        directory("usr"),
        opaque("usr/bin"),
        tool,
        hardlink("usr/bin/tool2", "usr/bin/tool"),
        entry("dev", EntryKind::CharDevice { major: 5, minor: 1 }),
        entry(
            "disk",
            EntryKind::BlockDevice {
                major: 8,
                minor: 300,
            },
        ),
        entry("pipe", EntryKind::Fifo),
        entry(
            "link",
            EntryKind::Symlink {
                target: b"usr/\xff".to_vec(),
            },
        ),
        Entry::whiteout(b"var".to_vec()),
    ])
}

#[test]
fn the_stored_form_comes_back_as_it_was() -> Test {
    let index = sample();
    assert_eq!(ContentIndex::decode(&index.encode())?, index);
    assert_eq!(
        ContentIndex::decode(&ContentIndex::default().encode())?,
        ContentIndex::default()
    );
    Ok(())
}

#[test]
fn the_stored_form_and_the_content_id_stay_what_they_are() {
    // Layers and cache keys on every user's disk have these names. A change needs a new version in
    // index/encode.rs or index/identity.rs, and loses what was built before.
    let encoded = blake3::hash(&sample().encode()).to_hex().to_string();
    assert_eq!(
        encoded,
        "ab757f22952a8fc40a56849b0f4005dfe881b71feb3d5c8388d2a8ade1f2c771"
    );
    assert_eq!(
        sample().content_id().to_string(),
        "b56b251e8bff293efffb2d3ced3b55973536f5c640fdcac099c08d809a5880ac"
    );
    let index = sample();
    let selection = index
        .entries()
        .iter()
        .map(|entry| (entry.path.as_slice(), entry));
    let digest = blake3::Hash::from_bytes(index.tree_digest(selection, AttributeMask::ALL));
    assert_eq!(
        digest.to_hex().to_string(),
        "9cf214666821097b3cd52771f8399253b3ae46a5bc3dc36cce5ae56b409db721"
    );
}

#[test]
fn a_damaged_index_is_noticed_wherever_it_is_damaged() {
    let bytes = sample().encode();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let error = ContentIndex::decode(&damaged).expect_err("it is damaged");
        assert!(matches!(error, LayerError::Index { .. }), "byte {at}");
        assert!(ContentIndex::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn entries_are_found_by_path_and_by_directory() {
    let index = layer([
        file("a.b", ""),
        directory("a"),
        file("a/c", ""),
        directory("a/b"),
        file("a/b/d", ""),
    ]);
    assert_eq!(paths(&index), ["a", "a/b", "a/b/d", "a/c", "a.b"]);
    assert!(index.get(b"/a/b/").is_some());
    assert!(index.get(b"a/x").is_none());
    assert_eq!(index.subtree(b"a").len(), 4);
    assert_eq!(index.subtree(b"a/b").len(), 2);
    assert_eq!(index.subtree(b"").len(), 5);
    assert_eq!(index.subtree(b"zzz").len(), 0);
}

#[test]
fn of_entries_with_one_path_the_last_counts() {
    let index = layer([file("a", "1"), file("b", ""), file("a", "2")]);
    assert_eq!(index.get(b"a"), Some(&file("a", "2")));
    assert_eq!(index.len(), 2);
}

#[test]
fn times_are_no_part_of_the_content() {
    let mut later = file("a", "x");
    later.mtime.seconds = 99;
    assert_eq!(
        layer([later]).content_id(),
        layer([file("a", "x")]).content_id()
    );
}

#[test]
fn everything_else_is_part_of_the_content() {
    let base = layer([file("a", "x")]).content_id();
    let change = |change: &dyn Fn(&mut Entry)| {
        let mut entry = file("a", "x");
        change(&mut entry);
        layer([entry]).content_id()
    };
    assert_ne!(base, change(&|entry| entry.path = b"b".to_vec()));
    assert_ne!(base, change(&|entry| entry.mode = 0o755));
    assert_ne!(base, change(&|entry| entry.uid = 1));
    assert_ne!(base, change(&|entry| entry.gid = 1));
    assert_ne!(
        base,
        change(&|entry| entry.xattrs = vec![(b"user.a".to_vec(), vec![])])
    );
    assert_ne!(base, change(&|entry| entry.kind = file("", "y").kind));
    assert_ne!(base, layer([]).content_id());
    assert_ne!(
        layer([directory("a")]).content_id(),
        layer([opaque("a")]).content_id()
    );
}

#[test]
fn a_selection_may_leave_owner_and_mode_out() {
    let mut owned = file("src/a", "x");
    owned.uid = 1000;
    owned.mode = 0o600;
    let (mine, other) = (layer([owned]), layer([file("src/a", "x")]));
    let digest = |index: &ContentIndex, mask| {
        index.tree_digest(index.entries().iter().map(|entry| (&b"a"[..], entry)), mask)
    };
    let mask = AttributeMask {
        owner: Counted::No,
        mode: Counted::No,
    };
    assert_eq!(digest(&mine, mask), digest(&other, mask));
    assert_ne!(
        digest(&mine, AttributeMask::ALL),
        digest(&other, AttributeMask::ALL)
    );
}

#[test]
fn a_selected_hard_link_counts_by_its_bytes() {
    let make = |bytes| {
        layer([
            file("in/a", bytes),
            hardlink("in/b", "in/a"),
            hardlink("in/c", "in/a"),
        ])
    };
    let digest = |index: &ContentIndex, path: &[u8]| {
        index.tree_digest(
            index.subtree(path).iter().map(|entry| (&b"x"[..], entry)),
            AttributeMask::ALL,
        )
    };
    assert_ne!(digest(&make("1"), b"in/b"), digest(&make("2"), b"in/b"));
    assert_eq!(
        digest(&make("1"), b"in/b"),
        digest(&layer([file("in/b", "1")]), b"in/b")
    );
    let both = |index: &ContentIndex| {
        let selection = index
            .subtree(b"in")
            .iter()
            .skip(1)
            .map(|entry| (&entry.path[3..], entry));
        index.tree_digest(selection, AttributeMask::ALL)
    };
    let apart = layer([file("in/a", "1"), file("in/b", "1"), file("in/c", "1")]);
    assert_ne!(
        both(&make("1")),
        both(&apart),
        "two names of one file are not two files"
    );
}

#[test]
fn upper_layers_hide_what_they_remove_and_replace() {
    let bottom = layer([
        directory("a"),
        file("a/keep", "1"),
        file("a/gone", "1"),
        file("a/changed", "1"),
        directory("b"),
        file("b/old", "1"),
        directory("b/sub"),
        file("b/sub/old", "1"),
        directory("c"),
        file("c/x", "1"),
        file("d", "1"),
    ]);
    let top = layer([
        directory("a"),
        Entry::whiteout(b"a/gone".to_vec()),
        file("a/changed", "2"),
        opaque("b"),
        file("b/new", "2"),
        file("c", "now a file"),
        directory("d"),
        file("d/below", "2"),
        Entry::whiteout(b"never-there".to_vec()),
    ]);
    let merged = ContentIndex::merge(&[&bottom, &top]);
    assert_eq!(
        paths(&merged),
        [
            "a",
            "a/changed",
            "a/keep",
            "b",
            "b/new",
            "c",
            "d",
            "d/below"
        ]
    );
    assert_eq!(merged.get(b"a/changed"), Some(&file("a/changed", "2")));
    assert_eq!(
        merged.get(b"b"),
        Some(&directory("b")),
        "a plain tree has no opaque directories"
    );
}

#[test]
fn what_was_removed_can_come_back() {
    let bottom = layer([directory("a"), file("a/x", "1")]);
    let middle = layer([Entry::whiteout(b"a".to_vec())]);
    let top = layer([directory("a"), file("a/y", "2")]);
    let merged = ContentIndex::merge(&[&bottom, &middle, &top]);
    assert_eq!(paths(&merged), ["a", "a/y"]);
    assert_eq!(
        ContentIndex::merge(&[&bottom, &top, &middle]),
        ContentIndex::default()
    );
    assert_eq!(ContentIndex::merge(&[]), ContentIndex::default());
}

#[test]
fn a_hard_link_outlives_its_first_name() {
    let bottom = layer([file("a", "bytes"), hardlink("b", "a"), hardlink("c", "a")]);
    let top = layer([file("a", "other")]);
    let merged = ContentIndex::merge(&[&bottom, &top]);
    assert_eq!(merged.get(b"b"), Some(&file("b", "bytes")));
    assert_eq!(merged.get(b"c"), Some(&hardlink("c", "b")));
    assert_eq!(ContentIndex::merge(&[&bottom]), bottom);
}

#[test]
fn one_layer_does_what_several_did_and_hides_only_what_is_there() {
    let base = layer([
        directory("a"),
        file("a/x", "1"),
        directory("b"),
        file("b/x", "1"),
        file("c", "1"),
    ]);
    let first = layer([
        Entry::whiteout(b"a".to_vec()),
        opaque("b"),
        file("b/y", "2"),
        directory("d"),
        file("d/x", "2"),
    ]);
    let second = layer([
        directory("a"),
        file("a/y", "3"),
        Entry::whiteout(b"c".to_vec()),
        opaque("d"),
        Entry::whiteout(b"never".to_vec()),
    ]);
    let one = ContentIndex::squash(&[&first, &second], &base);
    assert_eq!(
        ContentIndex::merge(&[&base, &one]),
        ContentIndex::merge(&[&base, &first, &second])
    );
    let expected = layer([
        opaque("a"),
        file("a/y", "3"),
        opaque("b"),
        file("b/y", "2"),
        Entry::whiteout(b"c".to_vec()),
        directory("d"),
    ]);
    assert_eq!(one, expected);
    assert_eq!(
        ContentIndex::squash(&[&first, &second], &ContentIndex::default()),
        ContentIndex::merge(&[&first, &second])
    );
}

#[test]
fn a_layer_that_is_dated_anew_keeps_no_time_of_its_making() {
    let at = |seconds| Mtime {
        seconds,
        nanoseconds: 0,
    };
    let mut early = file("a", "");
    early.mtime = at(10);
    let mut made = file("b", "");
    made.mtime = at(20);
    let mut late = file("c", "");
    late.mtime = at(50);
    let index = layer([early, made, late]);
    let seconds = |times, made_since| -> Vec<i64> {
        let dated = index.dated(times, made_since);
        assert_eq!(dated.content_id(), index.content_id());
        let entries = dated.entries().iter();
        entries.map(|entry| entry.mtime.seconds).collect()
    };
    assert_eq!(seconds(FileTimes::Own, None), [10, 20, 50]);
    assert_eq!(seconds(FileTimes::Fixed(30), None), [30, 30, 30]);
    assert_eq!(seconds(FileTimes::Bounded(30), None), [10, 20, 30]);
    // The step ran at 20, so a clean build under this epoch would have made `b` after it.
    assert_eq!(seconds(FileTimes::Bounded(30), Some(at(20))), [10, 30, 30]);
}
