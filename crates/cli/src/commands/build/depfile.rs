//! `--depfile`: which files the result was made of, as a rule for make.
//!
//! ```make
//! image.tar: Dockerfile \
//!   .dockerignore \
//!   src/main.rs
//!
//! Dockerfile:
//! .dockerignore:
//! src/main.rs:
//! ```
//!
//! A file that is gone is no error for make then, but a reason to build again.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rbuild_solve::ContextReads;

use super::local_files::{LocalFiles, Written};
use super::request::Request;

/// Characters that make takes for its own in a rule; a backslash before them helps.
const ESCAPED: &[u8] = b" \t#:;*?[|";
/// In what a rule makes, `%` is one, too.
const ESCAPED_IN_TARGET: &[u8] = b" \t#:;*?[|%";

/// Writes the file. What there is no way to write for make is returned.
pub(super) fn write(
    request: &Request,
    path: &Path,
    reads: &ContextReads,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Written::by(request)?;
    let files = LocalFiles::of(request)?.read(reads, &mut written);
    let mut targets = Written::files(request);
    if targets.is_empty() {
        targets.push(path.with_extension(""));
    }
    let (files, unwritable): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| can_be_written(file));
    std::fs::write(path, rule(&targets, &files))
        .with_context(|| format!("failed to write --depfile {}", path.display()))?;
    Ok(unwritable)
}

fn rule(targets: &[PathBuf], files: &[PathBuf]) -> Vec<u8> {
    let mut text = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        if number > 0 {
            text.push(b' ');
        }
        text.extend(escaped(target, ESCAPED_IN_TARGET));
    }
    text.push(b':');
    // `target: name=value` would be a variable: such a name must not be the first.
    let (plain, assignments): (Vec<_>, Vec<_>) = files
        .iter()
        .partition(|file| !file.as_os_str().as_bytes().contains(&b'='));
    for (number, file) in plain.into_iter().chain(assignments).enumerate() {
        text.extend_from_slice(if number == 0 { b" " } else { b" \\\n  " });
        text.extend(escaped(file, ESCAPED));
    }
    text.push(b'\n');
    for (number, file) in files.iter().filter(|file| can_be_target(file)).enumerate() {
        if number == 0 {
            text.push(b'\n');
        }
        text.extend(escaped(file, ESCAPED_IN_TARGET));
        text.extend_from_slice(b":\n");
    }
    text
}

/// Whether make has a form for this name: it has none for a line's end, a recipe's mark, or a member of an archive.
fn can_be_written(file: &Path) -> bool {
    let name = file.as_os_str().as_bytes();
    let is_member = name.contains(&b'(') && name.ends_with(b")");
    let has_mark = name.iter().any(|byte| b"\n\r;".contains(byte));
    !is_member && !has_mark && !name.ends_with(b"\\")
}

/// Whether the name can stand before a colon as well.
fn can_be_target(file: &Path) -> bool {
    let name = file.as_os_str().as_bytes();
    !name.iter().any(|byte| b"=|\t".contains(byte)) && !name.ends_with(b"&")
}

fn escaped(path: &Path, special: &[u8]) -> Vec<u8> {
    let name = path.as_os_str().as_bytes();
    let mut text = Vec::with_capacity(name.len());
    if name.starts_with(b"~") {
        text.extend_from_slice(b"./");
    }
    let mut backslashes = 0;
    for &byte in name {
        if special.contains(&byte) {
            // Those before a special character count as pairs.
            text.resize(text.len() + backslashes + 1, b'\\');
        } else if byte == b'$' {
            text.push(b'$');
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        text.push(byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_what_is_made_and_what_of_it_is_made() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let text = rule(
            &paths(&["my image.tar"]),
            &paths(&["a=b", "Dockerfile", "50%", r"back\ $lash"]),
        );
        let expected = [
            r"my\ image.tar: Dockerfile \",
            r"  50% \",
            r"  back\\\ $$lash \",
            r"  a=b",
            "",
            "Dockerfile:",
            r"50\%:",
            r"back\\\ $$lash:",
            "",
        ];
        assert_eq!(String::from_utf8_lossy(&text), expected.join("\n"));
    }
}
