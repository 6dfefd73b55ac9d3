//! Programs and rights that a test cannot do without.

use std::path::Path;

/// Whether `program` is installed. If not, says that `test` is skipped; where `CI` is set, panics, since
/// nothing may be skipped there.
pub fn require(program: &str, test: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = dirs.into_iter().any(|dir| is_file(&dir.join(program)));
    if !found {
        skip(test, &format!("{program} is not installed"));
    }
    found
}

#[expect(clippy::print_stderr, reason = "the reader of a test run must see it")]
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{test}: {reason}");
    eprintln!("skipped: {test}: {reason}");
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}
