//! Where the time of a sandbox goes: medians of start and end, in microseconds.
//!
//!     cargo run --release -p rbuild-sandbox --example latency
#![allow(clippy::print_stdout, reason = "this is a program")]

use std::time::{Duration, Instant};

use rbuild_sandbox::{Merged, Root, Spec, Stdio, Upper, init_if_asked, spawn};

const RUNS: usize = 200;

fn main() {
    init_if_asked();
    let temp = tempfile::tempdir().expect("a temporary directory");
    let lower = temp.path().join("lower");
    std::fs::create_dir_all(lower.join("bin")).expect("a new directory");
    std::fs::copy("/bin/busybox", lower.join("bin/true")).expect("busybox is installed");
    let mut starts = Vec::new();
    let mut ends = Vec::new();
    for run in 0..RUNS {
        let [diff, work] = ["diff", "work"].map(|name| temp.path().join(format!("{name}{run}")));
        std::fs::create_dir(&diff).expect("a new directory");
        std::fs::create_dir(&work).expect("a new directory");
        let root = Root::Overlay(Merged {
            lowers: vec![lower.clone()],
            upper: Some(Upper { diff, work }),
        });
        let spec = Spec::new(root, temp.path().join("scaffold"), vec!["/bin/true".into()]);
        let begun = Instant::now();
        let running = spawn(&spec, Stdio::Null, &[]).expect("the command starts");
        starts.push(begun.elapsed());
        let begun = Instant::now();
        assert!(running.wait().expect("it ends").success());
        ends.push(begun.elapsed());
    }
    println!("start {} µs", median(starts));
    println!("end   {} µs", median(ends));
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort();
    times[times.len() / 2].as_micros()
}
