//! A `main` for tests whose process becomes a sandbox's init: enough of libtest's arguments for `cargo test` and
//! nextest.

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

/// What the steps of the tests run.
pub(crate) const BUSYBOX: &str = "/bin/busybox";

/// A test's end.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A test and its name.
pub(crate) type Case = (&'static str, fn() -> Result);

/// Runs the tests that the command line asks for.
pub(crate) fn main(all: &[Case]) -> ExitCode {
    rbuild_sandbox::init_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters = filters(&arguments);
    let chosen = all.iter().filter(|(name, _)| {
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
    if !rustix::process::geteuid().is_root() || !Path::new(BUSYBOX).exists() {
        eprintln!("skipped: these tests need root and busybox-static");
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    let mut failed = 0;
    let mut passed = 0;
    for (name, body) in chosen {
        let held = match catch_unwind(body) {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                println!("{error}");
                false
            }
            Err(_) => false,
        };
        println!("test {name} ... {}", if held { "ok" } else { "FAILED" });
        if held { passed += 1 } else { failed += 1 }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n"
    );
    ExitCode::from(u8::from(failed > 0))
}

/// The names that were asked for: what is neither a flag nor the value of one.
fn filters(arguments: &[String]) -> Vec<&String> {
    const WITH_VALUE: [&str; 2] = ["--format", "--test-threads"];
    let before = std::iter::once("").chain(arguments.iter().map(String::as_str));
    arguments
        .iter()
        .zip(before)
        .filter(|(argument, before)| !argument.starts_with('-') && !WITH_VALUE.contains(before))
        .map(|(argument, _)| argument)
        .collect()
}
