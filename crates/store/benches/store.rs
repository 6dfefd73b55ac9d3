//! What every build pays: opening the store, and lookups, with few records and with many.
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rbuild_store::{FastKey, NewRecord, StepKey, Store};

fn key(number: u64) -> StepKey {
    let mut bytes = [0; 32];
    // Spread over the tree, as digests are.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    StepKey(bytes)
}

fn filled(records: u64) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(directory.path()).expect("a new store");
    for number in 0..records {
        store
            .put_record(&NewRecord {
                key: &key(number),
                scope: "project",
                name: &format!("RUN step {}", number % 50),
                layers: &[],
                outcome: b"",
                preimage: &[0x5a; 200],
                run_time: Duration::from_secs(1),
            })
            .expect("a record is put");
    }
    store
        .alias(&FastKey([1; 32]), &key(0))
        .expect("an alias is put");
    store.sync().expect("it is synced");
    (directory, store)
}

fn benches(criterion: &mut Criterion) {
    for records in [100, 100_000] {
        let (directory, store) = filled(records);
        let mut next = 0;
        criterion.bench_function(&format!("look up one of {records} records"), |bencher| {
            bencher.iter(|| {
                next = (next + 7) % records;
                black_box(store.record(&key(next)).expect("a lookup"))
            });
        });
        criterion.bench_function(&format!("miss among {records} records"), |bencher| {
            bencher.iter(|| black_box(store.record(&key(u64::MAX)).expect("a lookup")));
        });
        drop(store);
        criterion.bench_function(
            &format!("open a store of {records} records, look up one"),
            |bencher| {
                bencher.iter(|| {
                    let store = Store::open(directory.path()).expect("it opens");
                    black_box(store.record(&key(1)).expect("a lookup"))
                });
            },
        );
    }
    let (_directory, store) = filled(100);
    criterion.bench_function("put a record", |bencher| {
        let mut number = 1_000;
        bencher.iter(|| {
            number += 1;
            store
                .put_record(&NewRecord {
                    key: &key(number),
                    scope: "project",
                    name: "RUN make",
                    layers: &[],
                    outcome: b"",
                    preimage: &[0x5a; 200],
                    run_time: Duration::from_secs(1),
                })
                .expect("a record is put");
        });
    });
    criterion.bench_function("take and free a lock", |bencher| {
        bencher.iter(|| store.lock("step", &|| false).expect("nobody holds it"));
    });
}

criterion_group!(store, benches);
criterion_main!(store);
