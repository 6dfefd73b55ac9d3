#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use super::*;

const STAMP: Stamp = Stamp {
    inode: 7,
    size: 3,
    mtime: (1_700_000_000, 5),
    ctime: (1_700_000_001, 6),
};

fn sample() -> Vec<u8> {
    let empty = StatCache::default();
    let mut writer = StatCacheWriter::new(&empty, Unvisited::Aged);
    writer.directory(b"", |records| {
        records.add(b"a", STAMP, &[1; 32], &Xattrs::new());
        let xattrs = vec![(b"user.x".to_vec(), b"y".to_vec())];
        records.add(b"b", STAMP, &[2; 32], &xattrs);
    });
    writer.directory(b"empty", |_| {});
    writer.directory(b"sub", |records| {
        records.add(b"c", STAMP, &[3; 32], &Xattrs::new());
    });
    writer.finish()
}

/// What is stored on disk may only change together with the version in `MAGIC`.
#[test]
fn the_format_is_golden() {
    let bytes = sample();
    assert_eq!(&bytes[..8], b"RBSTAT\0\x01");
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "d813d42fcf6d200f979bf739698ac851c55d88ed9d811f8fa2ffab601b6a91b2"
    );
}

#[test]
fn records_are_found_in_order() {
    let cache = StatCache::decode(sample()).unwrap();
    let mut records = cache.directory(b"");
    assert!(records.find(b"0").is_none());
    assert_eq!(records.find(b"a").unwrap().digest, [1; 32]);
    assert!(records.find(b"aa").is_none());
    let b = records.find(b"b").unwrap();
    assert_eq!(
        (b.stamp, b.xattrs()),
        (STAMP, vec![(b"user.x".to_vec(), b"y".to_vec())])
    );
    assert!(records.find(b"c").is_none());
    assert_eq!(cache.directory(b"sub").find(b"c").unwrap().digest, [3; 32]);
    assert!(cache.directory(b"empty").find(b"c").is_none());
}

#[test]
fn a_damaged_cache_counts_as_empty() {
    let good = sample();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(StatCache::decode(bad).is_none(), "byte {at}");
        assert!(
            StatCache::decode(good[..at].to_vec()).is_none(),
            "cut at {at}"
        );
    }
}

#[test]
fn directories_that_are_not_visited_grow_old_and_go() {
    let mut bytes = sample();
    for round in 1..=u32::from(MAX_AGE) {
        let old = StatCache::decode(bytes).unwrap();
        assert_eq!(old.position(b"sub").is_some(), round <= u32::from(MAX_AGE));
        let mut writer = StatCacheWriter::new(&old, Unvisited::Aged);
        writer.directory(b"", |records| {
            records.add(b"a", STAMP, &[1; 32], &Xattrs::new());
        });
        bytes = writer.finish();
    }
    let last = StatCache::decode(bytes).unwrap();
    assert_eq!(last.position(b"sub"), None);
    assert!(last.position(b"").is_some());

    let old = StatCache::decode(sample()).unwrap();
    let kept = StatCache::decode(StatCacheWriter::new(&old, Unvisited::Kept).finish()).unwrap();
    assert_eq!(kept.directories.len(), 2);
}
