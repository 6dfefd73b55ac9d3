//! What a sandbox costs: from `spawn` to the end of a command that does nothing, beside crun with the same root, the
//! same namespaces and its own defaults. Start to exit is to take at most 1.5 times as long as there.
//!
//! Needs root and /bin/busybox, and crun for the comparison.
#![allow(clippy::print_stderr, reason = "skips are told")]
#![allow(missing_docs, reason = "the macro of criterion documents nothing")]

use std::path::Path;
use std::process::Command;

use criterion::{Criterion, criterion_group};
use rbuild_sandbox::{Merged, Network, Root, Spec, Stdio, Upper, init_if_asked, spawn};

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

/// The same with crun: a bundle as `crun spec` writes it, with a root that can be written and no terminal.
fn crun(criterion: &mut Criterion) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let bundle = temp.path();
    let written = Command::new("crun")
        .arg("spec")
        .current_dir(bundle)
        .status();
    if !written.is_ok_and(|status| status.success()) {
        eprintln!("skipped: crun is not installed");
        return;
    }
    let bin = bundle.join("rootfs/bin");
    std::fs::create_dir_all(&bin).expect("a new directory");
    std::fs::copy("/bin/busybox", bin.join("true")).expect("busybox is installed");
    let path = bundle.join("config.json");
    let text = std::fs::read(&path).expect("crun wrote it");
    let mut config: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    config["process"]["args"] = serde_json::json!(["/bin/true"]);
    config["process"]["terminal"] = false.into();
    config["root"]["readonly"] = false.into();
    std::fs::write(&path, config.to_string()).expect("our file");
    let mut number = 0;
    let mut run = || {
        number += 1;
        let name = format!("rbuild-bench-{}-{number}", std::process::id());
        let mut command = Command::new("crun");
        command.args(["--cgroup-manager=disabled", "run", "--bundle"]);
        command.arg(bundle).arg(name).output()
    };
    // It does not run where control groups of both versions are mounted.
    let output = run().expect("crun starts");
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        eprintln!("skipped: crun does not run here: {}", reason.trim());
        return;
    }
    criterion.bench_function("crun run true, no network", |bencher| {
        bencher.iter(|| assert!(run().expect("crun starts").status.success()));
    });
}

fn run(temp: &Path, lower: &Path, network: Network) {
    let step = tempfile::tempdir_in(temp).expect("a temporary directory");
    let (diff, work) = (step.path().join("diff"), step.path().join("work"));
    std::fs::create_dir(&diff).expect("a new directory");
    std::fs::create_dir(&work).expect("a new directory");
    let root = Root::Overlay(Merged {
        lowers: vec![lower.to_owned()],
        upper: Some(Upper { diff, work }),
    });
    let mut spec = Spec::new(root, temp.join("scaffold"), vec!["/bin/true".into()]);
    spec.network = network;
    let running = spawn(&spec, Stdio::Null, &[]).expect("the command starts");
    assert!(running.wait().expect("it ends").success());
}

criterion_group!(benches, bench, crun);

fn main() {
    init_if_asked();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
