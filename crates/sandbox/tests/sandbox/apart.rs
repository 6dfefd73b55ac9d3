//! The same cases as root, each sandbox in a user namespace of its own.

use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use rbuild_sandbox::Users;

use crate::cases;

const FIRST: u32 = 400_000;
const COUNT: u32 = 65_536;

static APART: OnceLock<()> = OnceLock::new();

/// Whether this process runs a case with user namespaces.
pub(crate) fn is_asked_for() -> bool {
    APART.get().is_some()
}

/// Whose users sandboxes have.
pub(crate) fn users() -> Users {
    if is_asked_for() {
        Users::Own {
            first: FIRST,
            count: COUNT,
        }
    } else {
        Users::Caller
    }
}

/// In the test's thread: a fresh process does the rest.
pub(crate) fn start(case: &str) {
    let status = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--apart", case])
        .status()
        .expect("this program starts");
    assert!(status.success());
}

/// In that process.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let case = cases::all().find(|(name, _)| arguments.first().is_some_and(|asked| asked == name));
    let Some((_, body)) = case else {
        return ExitCode::FAILURE;
    };
    APART.get_or_init(|| ());
    body();
    ExitCode::SUCCESS
}
