//! Runs a command over a directory without changing it, the changes going to a temporary one.
//!
//!     cargo run -p rbuild-sandbox --example run -- /path/to/rootfs sh -c 'echo hello'
#![allow(clippy::print_stderr, reason = "this is a program")]

use std::os::fd::AsFd;
use std::process::ExitCode;

use rbuild_sandbox::{Merged, Root, Spec, Stdio, Upper, init_if_asked, spawn};

fn main() -> ExitCode {
    init_if_asked();
    let mut arguments = std::env::args_os().skip(1);
    let Some(lower) = arguments.next() else {
        eprintln!("usage: run ROOTFS COMMAND…");
        return ExitCode::FAILURE;
    };
    let temp = tempfile::tempdir().expect("a temporary directory");
    let [diff, work] = ["diff", "work"].map(|name| temp.path().join(name));
    std::fs::create_dir(&diff).expect("a new directory");
    std::fs::create_dir(&work).expect("a new directory");
    let root = Root::Overlay(Merged {
        lowers: vec![lower.into()],
        upper: Some(Upper { diff, work }),
    });
    let mut spec = Spec::new(root, temp.path().join("scaffold"), arguments.collect());
    spec.hosts = std::fs::read_to_string("/etc/hosts").ok();
    spec.resolv_conf = std::fs::read_to_string("/etc/resolv.conf").ok();
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams = Stdio::Descriptors {
        stdin: Some(stdin.as_fd()),
        stdout: stdout.as_fd(),
        stderr: stderr.as_fd(),
    };
    match spawn(&spec, streams, &[]).and_then(rbuild_sandbox::Running::wait) {
        Ok(exit) => ExitCode::from(u8::try_from(exit.code()).unwrap_or(1)),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            eprintln!("failed to {error}: {}", cause.unwrap_or_default());
            ExitCode::from(error.exit_code())
        }
    }
}
