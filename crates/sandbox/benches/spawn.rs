//! What a sandbox costs: from `spawn` to the end of a command that does nothing.
//!
//! Needs root and /bin/busybox.
#![allow(clippy::print_stderr, reason = "skips are told")]
#![allow(missing_docs, reason = "the macro of criterion documents nothing")]

use std::path::Path;

use criterion::{Criterion, criterion_group};
use rbuild_sandbox::{Network, Root, Spec, Stdio, Upper, init_if_asked, spawn};

fn bench(criterion: &mut Criterion) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let lower = temp.path().join("lower");
    std::fs::create_dir_all(lower.join("bin")).expect("a new directory");
    std::fs::copy("/bin/busybox", lower.join("bin/true")).expect("busybox is installed");
    for (name, network) in [
        ("host network", Network::Host),
        ("no network", Network::None),
    ] {
        criterion.bench_function(&format!("spawn true, {name}"), |bencher| {
            bencher.iter(|| run(temp.path(), &lower, network));
        });
    }
}

fn run(temp: &Path, lower: &Path, network: Network) {
    let step = tempfile::tempdir_in(temp).expect("a temporary directory");
    let (diff, work) = (step.path().join("diff"), step.path().join("work"));
    std::fs::create_dir(&diff).expect("a new directory");
    std::fs::create_dir(&work).expect("a new directory");
    let root = Root::Overlay {
        lowers: vec![lower.to_owned()],
        upper: Some(Upper { diff, work }),
    };
    let mut spec = Spec::new(root, temp.join("scaffold"), vec!["/bin/true".into()]);
    spec.network = network;
    let running = spawn(&spec, Stdio::Null, &[]).expect("the command starts");
    assert!(running.wait().expect("it ends").success());
}

criterion_group!(benches, bench);

fn main() {
    init_if_asked();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
