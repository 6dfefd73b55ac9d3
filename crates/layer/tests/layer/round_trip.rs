//! Random trees: directory → index → tar → directory → the same index and the same tar.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Test, at, index, scratch, tar_of, unpack};
use proptest::prelude::*;
use rbuild_layer::ContentIndex;

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, u32),
    Large(usize),
    Sparse(u64),
    Symlink(Vec<u8>),
    LinkToFirst,
    Fifo,
    Directory(Vec<(Vec<u8>, Node)>, u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-c.-]{1,3}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(1_u8..=255, 1..6),
        1 => (90_usize..255).prop_map(|length| vec![b'n'; length]),
    ]
    .prop_filter("a name", |name| {
        name != b"." && name != b".." && !name.contains(&b'/') && !name.starts_with(b".wh.")
    })
}

fn node() -> impl Strategy<Value = Node> {
    let mode = prop_oneof![
        Just(0o644),
        Just(0o755),
        Just(0o4755),
        Just(0o400),
        0_u32..0o10000
    ];
    let leaf = prop_oneof![
        4 => (proptest::collection::vec(any::<u8>(), 0..1500), mode.clone()).prop_map(|(bytes, mode)| Node::File(bytes, mode)),
        1 => (100_000_usize..600_000).prop_map(Node::Large),
        1 => (0_u64..2_000_000).prop_map(Node::Sparse),
        2 => proptest::collection::vec(1_u8..=255, 1..200).prop_map(Node::Symlink),
        2 => Just(Node::LinkToFirst),
        1 => Just(Node::Fifo),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        (
            proptest::collection::vec((name(), inner), 0..8),
            mode.clone(),
        )
            .prop_map(|(children, mode)| Node::Directory(children, mode | 0o700))
    })
}

/// Makes a tree, and remembers its first file for hard links.
fn make(root: &Path, name: &[u8], node: &Node, first: &mut Option<std::path::PathBuf>) -> Test {
    let path = at(root, name);
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    match node {
        Node::File(bytes, mode) => {
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode | 0o400))?;
            first.get_or_insert(path);
        }
        Node::Large(size) => fs::write(&path, vec![3; *size])?,
        Node::Sparse(size) => fs::File::create(&path)?.set_len(*size)?,
        Node::Symlink(target) => std::os::unix::fs::symlink(at(Path::new(""), target), &path)?,
        Node::LinkToFirst => {
            if let Some(first) = first {
                fs::hard_link(first, &path)?;
            }
        }
        Node::Fifo => rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )?,
        Node::Directory(children, mode) => {
            fs::create_dir(&path)?;
            for (name, child) in children {
                make(&path, name, child, first)?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_survives(children in proptest::collection::vec((name(), node()), 0..8)) {
        let (from, to) = (scratch(), scratch());
        let mut first = None;
        for (name, child) in &children {
            make(from.path(), name, child, &mut first).expect("the tree can be made");
        }
        let before = index(from.path());
        let tar = tar_of(from.path());
        let extracted = unpack(&tar, to.path()).expect("our own tar");
        prop_assert_eq!(extracted.index.content_id(), before.content_id());
        prop_assert_eq!(&index(to.path()), &extracted.index);
        prop_assert!(tar_of(to.path()) == tar);
        prop_assert_eq!(&ContentIndex::decode(&before.encode()).expect("our own index"), &before);
        prop_assert_eq!(&ContentIndex::merge(&[&before]), &before);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_escape(bytes in proptest::collection::vec(any::<u8>(), 0..3000), at in 0_usize..2000) {
        let from = scratch();
        fs::write(from.path().join("file"), b"some bytes").expect("fresh");
        std::os::unix::fs::symlink("..", from.path().join("up")).expect("fresh");
        let mut tar = tar_of(from.path());
        for (offset, byte) in bytes.iter().enumerate().take(40) {
            let position = (at + offset * 37) % tar.len();
            tar[position] ^= byte;
        }
        let to = scratch();
        let _ = unpack(&tar, to.path());
        let _ = unpack(&bytes, to.path());
        let _ = ContentIndex::decode(&bytes);
    }
}
