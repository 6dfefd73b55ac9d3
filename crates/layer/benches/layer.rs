//! How fast layers go in and out: what the budgets of docs/performance.md are measured with.
//!
//! Large inputs are made once, in `$CARGO_TARGET_TMPDIR`; `cargo bench -p rbuild-layer` needs 3 GB there.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rbuild_image::Compression;
use rbuild_layer::{
    AttributeMask, CompressionLevel, ContentIndex, Entry, EntryKind, Mtime, Opacity, OverlayFlavor,
    TreeWriter, compress, decompress, extract, index_upper, tar_digest, write_tar,
};

const MANY_FILES: usize = 100_000;
const LARGE_BYTES: usize = 1 << 30;

fn open(path: &Path) -> OwnedFd {
    File::open(path).expect("it was made").into()
}

/// A directory that is made once and kept.
fn fixture(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("bench")
        .join(name);
    if !path.exists() {
        let half = path.with_extension("half");
        let _ = fs::remove_dir_all(&half);
        fs::create_dir_all(&half).expect("the target directory can be written");
        make(&half);
        fs::rename(&half, &path).expect("both are there");
    }
    path
}

fn many_files() -> PathBuf {
    fixture("many", |root| {
        for directory in 0..MANY_FILES / 100 {
            let directory = root.join(format!("d{directory}"));
            fs::create_dir(&directory).expect("fresh");
            for file in 0..100 {
                let bytes = text(500 + file * 20);
                fs::write(directory.join(format!("file-{file}.txt")), bytes).expect("fresh");
            }
        }
    })
}

fn one_large_file() -> PathBuf {
    fixture("large", |root| {
        fs::write(root.join("large"), text(LARGE_BYTES)).expect("fresh");
    })
}

/// Bytes that compress about as layers do.
fn text(size: usize) -> Vec<u8> {
    let mut state = size as u32 | 1;
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let _ = write!(bytes, "{:x} ", state >> 12);
    }
    bytes.truncate(size);
    bytes
}

fn index(root: &Path) -> ContentIndex {
    index_upper(open(root).as_fd(), OverlayFlavor::current()).expect("it can be read")
}

/// An index as of a layer with so many files.
fn synthetic(files: usize, salt: &str) -> ContentIndex {
    let entry = |path: String, kind| Entry {
        path: path.into_bytes(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Mtime::default(),
        xattrs: Vec::new(),
    };
    let directories = (0..files / 50).map(|number| {
        let opaque = Opacity::Merged;
        entry(
            format!("usr/share/{number}"),
            EntryKind::Directory { opaque },
        )
    });
    let files = (0..files).map(|number| {
        let digest = [number as u8; 32];
        let path = format!("usr/share/{}/{salt}file-{number}.so", number / 50);
        entry(path, EntryKind::File { size: 1000, digest })
    });
    ContentIndex::from_entries(directories.chain(files).collect())
}

fn walking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index_upper");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    let many = many_files();
    group.bench_function("100,000 files", |bencher| bencher.iter(|| index(&many)));
    let large = one_large_file();
    group.throughput(Throughput::Bytes(LARGE_BYTES as u64));
    group.bench_function("1 GiB file", |bencher| bencher.iter(|| index(&large)));
    group.finish();
}

fn digesting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tar_digest");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    for (name, root) in [
        ("100,000 files", many_files()),
        ("1 GiB file", one_large_file()),
    ] {
        let (index, directory) = (index(&root), open(&root));
        let (_, size) = tar_digest(directory.as_fd(), &index).expect("it can be read");
        group.throughput(Throughput::Bytes(size));
        group.bench_function(name, |bencher| {
            bencher.iter(|| tar_digest(directory.as_fd(), &index));
        });
    }
    group.finish();
}

fn extracting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("extract");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(10));
    for (name, root) in [
        ("100,000 files", many_files()),
        ("1 GiB file", one_large_file()),
    ] {
        let mut tar = Vec::new();
        write_tar(open(&root).as_fd(), &index(&root), &mut tar).expect("it can be read");
        group.throughput(Throughput::Bytes(tar.len() as u64));
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir_in(scratch).expect("there is room"),
                |into| {
                    let writer = TreeWriter::new(open(into.path()), OverlayFlavor::current());
                    extract(&*tar, writer.expect("we have ids")).expect("our own tar");
                    into
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn compressing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compression");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    let bytes = text(256 << 20);
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    for (name, how) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let pack = || {
            let mut compressor =
                compress(Vec::new(), how, CompressionLevel::Default).expect("memory");
            compressor.write_all(&bytes).expect("a vector takes it");
            compressor.finish().expect("a vector takes it")
        };
        group.bench_function(format!("compress {name}"), |bencher| bencher.iter(pack));
        let packed = pack();
        group.bench_function(format!("decompress {name}"), |bencher| {
            bencher.iter(|| {
                let mut buffer = vec![0; 256 << 10];
                let mut reader = decompress(&*packed).expect("our own");
                while reader.read(&mut buffer).expect("our own") > 0 {}
            });
        });
    }
    group.finish();
}

fn indexes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("content index, 50,000 files");
    let large = synthetic(50_000, "");
    let encoded = large.encode();
    group.bench_function("encode", |bencher| bencher.iter(|| large.encode()));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| ContentIndex::decode(black_box(&encoded)));
    });
    group.bench_function("content id", |bencher| bencher.iter(|| large.content_id()));
    group.bench_function("tree digest", |bencher| {
        bencher.iter(|| {
            let selection = large
                .entries()
                .iter()
                .map(|entry| (entry.path.as_slice(), entry));
            large.tree_digest(selection, AttributeMask::ALL)
        });
    });
    let layers: Vec<ContentIndex> = (0..5)
        .map(|salt| synthetic(10_000, &salt.to_string()))
        .collect();
    let layers: Vec<&ContentIndex> = layers.iter().collect();
    group.bench_function("merge of 5 layers", |bencher| {
        bencher.iter(|| ContentIndex::merge(&layers));
    });
    group.finish();
}

criterion_group!(
    benches,
    indexes,
    walking,
    digesting,
    extracting,
    compressing
);
criterion_main!(benches);
