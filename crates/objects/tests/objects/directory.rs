//! A directory as a store: what caches on shared disks rely on.

use std::fs::{self, File};
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use rbuild_objects::{Directory, MAX_READ_BYTES, ObjectName, Objects, ObjectsError};

fn name(text: &str) -> ObjectName {
    text.parse().expect("a name")
}

fn store() -> (tempfile::TempDir, Directory) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Directory::new(dir.path().join("cache"));
    (dir, store)
}

#[test]
fn what_is_written_is_read_back() {
    let (_dir, store) = store();
    let blob = name("blobs/sha256/00ff");
    assert_eq!(store.size(&blob).expect("size"), None);
    assert_eq!(store.read(&blob).expect("read"), None);
    assert!(store.open(&blob).expect("open").is_none());
    store.write(&blob, 5, &mut &b"hello"[..]).expect("write");
    assert_eq!(store.size(&blob).expect("size"), Some(5));
    assert_eq!(store.read(&blob).expect("read"), Some(b"hello".to_vec()));
    let mut object = store.open(&blob).expect("open").expect("it is there");
    let mut text = String::new();
    object.reader.read_to_string(&mut text).expect("read");
    assert_eq!((object.size, text.as_str()), (Some(5), "hello"));
}

#[test]
fn an_object_that_is_there_is_not_written_again_unless_it_is_torn() {
    let (_dir, store) = store();
    let blob = name("blobs/sha256/00ff");
    store.write(&blob, 5, &mut &b"hello"[..]).expect("write");
    store
        .write(&blob, 5, &mut Broken)
        .expect("its source is not even read");
    let path = format!("{}/{blob}", store.address());
    fs::write(&path, b"hel").expect("tear it");
    store.write(&blob, 5, &mut &b"hello"[..]).expect("write");
    assert_eq!(store.read(&blob).expect("read"), Some(b"hello".to_vec()));
}

#[test]
fn a_hint_is_replaced() {
    let (_dir, store) = store();
    let hint = name("latest/main.json");
    for text in ["one", "two"] {
        store.replace(&hint, text.as_bytes()).expect("replace");
        assert_eq!(store.read(&hint).expect("read"), Some(text.into()));
    }
}

#[test]
fn a_source_that_fails_or_has_another_size_leaves_nothing() {
    let (_dir, store) = store();
    let blob = name("blobs/sha256/00ff");
    let failed = store.write(&blob, 5, &mut Broken);
    assert!(
        matches!(failed, Err(ObjectsError::Source { .. })),
        "{failed:?}"
    );
    for (size, actual) in [(6, 5), (4, 5)] {
        let wrong = store.write(&blob, size, &mut &b"hello"[..]);
        assert!(
            matches!(&wrong, Err(ObjectsError::Size { actual: a, .. }) if *a == actual),
            "{wrong:?}"
        );
    }
    assert_eq!(store.size(&blob).expect("size"), None);
    let drafts = format!("{}/.tmp", store.address());
    assert_eq!(fs::read_dir(drafts).expect("drafts").count(), 0);
}

#[test]
fn many_writers_of_the_same_names_get_along() {
    let (_dir, store) = store();
    let contents: Vec<Vec<u8>> = (0..8).map(|i| vec![i; 100_000]).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // As other processes do, which share nothing but the path.
                let own = Directory::new(store.address());
                for (i, bytes) in contents.iter().enumerate() {
                    let blob = name(&format!("blobs/{i}"));
                    own.write(&blob, bytes.len() as u64, &mut bytes.as_slice())
                        .expect("write");
                    assert_eq!(own.read(&blob).expect("read").as_ref(), Some(bytes));
                    own.replace(&name("latest/main"), bytes).expect("replace");
                    let hint = own.read(&name("latest/main")).expect("read");
                    assert!(contents.contains(&hint.expect("it is there")));
                }
            });
        }
    });
}

#[test]
fn what_a_killed_writer_left_goes_after_a_day() {
    let (_dir, store) = store();
    let drafts = format!("{}/.tmp", store.address());
    fs::create_dir_all(&drafts).expect("create");
    for (draft, hours) in [("old", 25), ("young", 23)] {
        let file = File::create(format!("{drafts}/{draft}")).expect("create");
        let then = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        file.set_modified(then).expect("set its time");
    }
    store.replace(&name("latest/main"), b"x").expect("replace");
    let left: Vec<_> = fs::read_dir(&drafts)
        .expect("drafts")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["young"]);
}

#[test]
fn an_object_that_should_be_small_does_not_fill_the_memory() {
    let (_dir, store) = store();
    store.replace(&name("latest/main"), b"x").expect("replace");
    let path = format!("{}/latest/main", store.address());
    let file = File::options().write(true).open(path).expect("open");
    file.set_len(MAX_READ_BYTES + 1).expect("grow");
    let large = store.read(&name("latest/main"));
    assert!(
        matches!(large, Err(ObjectsError::TooLarge { .. })),
        "{large:?}"
    );
}

/// Cannot be read.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}
