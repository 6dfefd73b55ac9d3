//! What users rely on, tried with a real busybox: as root, as root with user namespaces, and as a normal user.
//!
//! The binary has its own `main`, since an init has to be the first thing that it can become. It
//! understands enough of libtest's arguments for `cargo test` and nextest.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program"
)]

mod apart;
mod cases;
mod probe;
mod rootless;
mod world;

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

fn main() -> ExitCode {
    rbuild_sandbox::init_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--probe") => return probe::run(&arguments[1..]),
        Some("--prepare-user") => return rootless::prepare(&arguments[1..]),
        Some("--rootless") => return rootless::run(&arguments[1..]),
        Some("--apart") => return apart::run(&arguments[1..]),
        Some("--builder") => return world::be_a_builder(),
        _ => {}
    }
    let selection = Selection::parse(&arguments);
    let tests = tests();
    let chosen: Vec<&Test> = tests
        .iter()
        .filter(|test| selection.has(&test.name))
        .collect();
    if selection.list {
        for test in chosen {
            println!("{}: test", test.name);
        }
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: these tests need root (they become a normal user themselves)");
        return ExitCode::SUCCESS;
    }
    run_all(&chosen)
}

struct Test {
    name: String,
    body: Box<dyn Fn() + Send + Sync + std::panic::RefUnwindSafe>,
}

fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (name, body) in cases::all() {
        tests.push(Test {
            name: format!("root::{name}"),
            body: Box::new(*body),
        });
    }
    for kind in [rootless::Kind::Ranges, rootless::Kind::Single] {
        for (name, _) in cases::all() {
            tests.push(Test {
                name: format!("{}::{name}", kind.name()),
                body: Box::new(move || rootless::start(kind, name)),
            });
        }
    }
    for (name, _) in cases::all() {
        tests.push(Test {
            name: format!("root_in_a_user_namespace::{name}"),
            body: Box::new(move || apart::start(name)),
        });
    }
    tests
}

fn run_all(tests: &[&Test]) -> ExitCode {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let passed = catch_unwind(|| (test.body)()).is_ok();
                    if !passed {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    let word = if passed { "ok" } else { "FAILED" };
                    let _ = writeln!(
                        std::io::stdout(),
                        "test {} ... {word} ({:.2?})",
                        test.name,
                        begun.elapsed()
                    );
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!(
        "\ntest result: {} passed; {failed} failed",
        tests.len() - failed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[derive(Default)]
struct Selection {
    list: bool,
    exact: bool,
    ignored: bool,
    filters: Vec<String>,
}

impl Selection {
    fn parse(arguments: &[String]) -> Self {
        let mut selection = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => selection.list = true,
                "--exact" => selection.exact = true,
                "--ignored" => selection.ignored = true,
                "--format" | "--test-threads" | "--color" | "-Z" => drop(arguments.next()),
                option if option.starts_with('-') => {}
                filter => selection.filters.push(filter.to_owned()),
            }
        }
        selection
    }

    fn has(&self, name: &str) -> bool {
        !self.ignored
            && (self.filters.is_empty()
                || self.filters.iter().any(|filter| {
                    if self.exact {
                        name == filter
                    } else {
                        name.contains(filter.as_str())
                    }
                }))
    }
}
