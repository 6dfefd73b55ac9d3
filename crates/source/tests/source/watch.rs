//! Waiting for changes, with the ways in which editors write.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rbuild_source::{DirectoryWatch, Grown, Woken};

/// Far more than an event takes.
const LONG: Duration = Duration::from_secs(20);

struct Bench {
    dir: tempfile::TempDir,
    watch: DirectoryWatch,
    nothing: (std::io::PipeReader, std::io::PipeWriter),
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            watch: DirectoryWatch::new().unwrap(),
            nothing: std::io::pipe().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn wait(&mut self, time: Duration) -> Woken {
        self.watch
            .wait(self.nothing.0.as_fd(), Some(time))
            .expect("it can wait")
    }

    fn root(&self) -> [PathBuf; 1] {
        [self.dir.path().to_owned()]
    }
}

fn write_beside_and_rename(path: &Path) {
    let draft = path.with_extension("swp");
    fs::write(&draft, "new").unwrap();
    fs::rename(draft, path).unwrap();
}

#[test]
fn every_way_of_changing_a_directory_wakes() {
    let mut bench = Bench::new();
    let file = bench.path("file");
    fs::write(&file, "old").unwrap();
    let root = bench.root();
    assert_eq!(bench.watch.set(root.clone()).unwrap(), Grown::Yes);
    assert_eq!(bench.watch.set(root).unwrap(), Grown::No);
    assert_eq!(bench.wait(Duration::ZERO), Woken::Timeout);
    let ways: [&dyn Fn(); 5] = [
        &|| fs::write(&file, "in place").unwrap(),
        &|| write_beside_and_rename(&file),
        &|| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&file, mode).unwrap();
        },
        &|| fs::remove_file(&file).unwrap(),
        &|| fs::create_dir(file.with_file_name("dir")).unwrap(),
    ];
    for way in ways {
        way();
        assert_eq!(bench.wait(LONG), Woken::Change);
        while bench.wait(Duration::ZERO) == Woken::Change {}
    }
}

#[test]
fn only_what_was_asked_for_is_watched() {
    let mut bench = Bench::new();
    let (one, other) = (bench.path("one"), bench.path("other"));
    for directory in [&one, &other] {
        fs::create_dir(directory).unwrap();
    }
    let missing = bench.path("missing");
    bench.watch.set([one.clone(), missing.clone()]).unwrap();
    fs::write(other.join("f"), "").unwrap();
    assert_eq!(bench.wait(Duration::ZERO), Woken::Timeout);
    assert_eq!(bench.watch.set([other.clone()]).unwrap(), Grown::Yes);
    while bench.wait(Duration::ZERO) == Woken::Change {}
    fs::write(one.join("f"), "").unwrap();
    assert_eq!(bench.wait(Duration::ZERO), Woken::Timeout);
    fs::remove_dir_all(&other).unwrap();
    assert_eq!(bench.wait(LONG), Woken::Change);
    fs::create_dir(&other).unwrap();
    let again = bench.watch.set([other]).unwrap();
    assert_eq!(again, Grown::Yes, "it is another directory");
}

#[test]
fn a_wait_ends_when_it_is_told_to() {
    use std::io::Write as _;
    let mut bench = Bench::new();
    let root = bench.root();
    bench.watch.set(root).unwrap();
    let mut stop = bench.nothing.1.try_clone().unwrap();
    let stopper = std::thread::spawn(move || stop.write_all(b"x"));
    let woken = bench.watch.wait(bench.nothing.0.as_fd(), None).unwrap();
    assert_eq!(woken, Woken::Other);
    stopper.join().unwrap().unwrap();
}
