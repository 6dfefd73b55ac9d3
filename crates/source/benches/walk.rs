//! The walk of a context of 50,000 files.
#![allow(missing_docs, reason = "the macros of criterion document nothing")]

use std::fs;
use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rbuild_source::{Context, IgnoreRules, Needed};

/// As the benchmarks of whole builds: 500 directories of 100 files.
const DIRECTORIES: usize = 500;
const FILES: usize = 100;

fn make_context(root: &Path) {
    for directory in 0..DIRECTORIES {
        let path = root.join(format!("package-{}/module-{directory}", directory % 20));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        for file in 0..FILES {
            let text = format!("{directory} {file}\n").repeat(40);
            fs::write(path.join(format!("source-{file}.rs")), text).expect("it is writable");
        }
    }
}

fn walks(criterion: &mut Criterion) {
    let context = tempfile::tempdir().expect("there is a temporary directory");
    let cache = tempfile::tempdir().expect("there is a temporary directory");
    make_context(context.path());
    let cache = cache.path().join("stat-cache");
    let rules = IgnoreRules::parse(
        b"**/node_modules\n*.log\n**/*.tmp\n.git\n!keep.log\n",
        ".dockerignore",
    )
    .expect("the rules are well-formed");
    let open =
        |rules: IgnoreRules| Context::open(context.path(), rules).expect("the context is there");
    let plain = open(IgnoreRules::none());
    let filtered = open(rules);
    // What was just written is not trusted yet.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let walk = |context: &Context, cache: Option<&Path>| {
        context.walk(&Needed::All, cache).expect("it can be walked")
    };

    let mut group = criterion.benchmark_group("walk 50,000 files");
    group.sample_size(20);
    group.bench_function("no stat cache", |bencher| {
        bencher.iter(|| walk(&plain, None));
    });
    group.bench_function("first stat cache", |bencher| {
        bencher.iter_batched(
            || drop(fs::remove_file(&cache)),
            |()| walk(&plain, Some(&cache)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("stat cache", |bencher| {
        bencher.iter(|| walk(&plain, Some(&cache)));
    });
    group.bench_function("stat cache, rules", |bencher| {
        bencher.iter(|| walk(&filtered, Some(&cache)));
    });
    group.bench_function("one file changed", |bencher| {
        bencher.iter_batched(
            || fs::write(context.path().join("package-1/module-1/source-1.rs"), "new"),
            |_| walk(&plain, Some(&cache)),
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let small = tempfile::tempdir().expect("there is a temporary directory");
    for file in 0..20 {
        fs::write(small.path().join(file.to_string()), "x").expect("it is writable");
    }
    let small = Context::open(small.path(), IgnoreRules::none()).expect("the context is there");
    criterion.bench_function("walk 20 files", |bencher| {
        bencher.iter(|| walk(&small, None));
    });
}

criterion_group!(benches, walks);
criterion_main!(benches);
