//! Containers as users meet them: a small `run` program, started by the tests with real streams, signals and terminals.
//!
//! The binary has its own `main`, since an init has to be the first thing that it can become. It understands enough of
//! libtest's arguments for `cargo test` and nextest.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program"
)]

mod cases;
mod program;
mod world;

use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    rbuild_sandbox::init_if_asked();
    rbuild_container::supervise_if_asked(std::time::SystemTime::now);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .first()
        .is_some_and(|first| first == program::ARGUMENT)
    {
        return program::main(&arguments[1..]);
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let chosen = cases::ALL.iter().filter(|(name, _)| {
        let named = |filter: &&String| {
            if has("--exact") {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        filters.is_empty() || filters.iter().any(named)
    });
    if has("--list") {
        // nextest asks a second time for ignored tests: there are none.
        for (name, _) in chosen.filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() || !world::has_busybox() {
        eprintln!("skipped: these tests need root and busybox-static");
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    let mut failed = 0;
    let mut passed = 0;
    for (name, body) in chosen {
        let held = catch_unwind(body).is_ok();
        println!("test {name} ... {}", if held { "ok" } else { "FAILED" });
        if held { passed += 1 } else { failed += 1 }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n"
    );
    ExitCode::from(u8::from(failed > 0))
}
