//! Plans, solved on real files: what is copied, what is a hit, what runs, and what must not reach the host.
//!
//! The binary has its own `main`, since a sandbox's init has to be the first thing that it can become.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program"
)]

mod caching;
mod copying;
#[path = "../common/harness.rs"]
mod harness;
mod lab;
mod running;

use std::process::ExitCode;

use harness::Case;

fn main() -> ExitCode {
    harness::main(&[copying::ALL, caching::ALL, running::ALL].concat())
}
