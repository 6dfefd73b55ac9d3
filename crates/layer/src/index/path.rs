//! The order of paths, and their normal form.
//!
//! Paths are compared component by component, each component by its bytes. That is the order of the
//! bytes when `/` counts as smaller than every other byte, so a directory stands before its entries
//! and all that is below it is one run: `a`, `a/b`, `a/b/c`, `a.b`.

use std::cmp::Ordering;

/// Compares two paths component by component.
pub fn compare_paths(left: &[u8], right: &[u8]) -> Ordering {
    let shared = left.len().min(right.len());
    match (0..shared).find(|&at| left[at] != right[at]) {
        Some(at) => rank(left[at]).cmp(&rank(right[at])),
        None => left.len().cmp(&right.len()),
    }
}

/// A byte's place in the order: `/` first. No name holds a zero byte.
const fn rank(byte: u8) -> u8 {
    if byte == b'/' { 0 } else { byte }
}

/// Whether `path` is `directory` or below it. The empty directory is the root.
pub(crate) fn is_within(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
}

/// `path` without slashes at its ends.
pub(crate) fn trim(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|&byte| byte != b'/');
    let Some(start) = start else { return &[] };
    let end = path
        .iter()
        .rposition(|&byte| byte != b'/')
        .map_or(start, |last| last + 1);
    &path[start..end]
}

/// The directory that holds `path` (empty for the root), and its last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// `directory/name`.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_all_below_it_are_one_run() {
        let mut paths: Vec<&[u8]> = vec![b"a.b", b"a/b/c", b"a", b"a-b", b"a/b", b"b", b"a/b.c"];
        paths.sort_by(|left, right| compare_paths(left, right));
        assert_eq!(
            paths,
            [
                b"a" as &[u8],
                b"a/b",
                b"a/b/c",
                b"a/b.c",
                b"a-b",
                b"a.b",
                b"b"
            ]
        );
    }

    #[test]
    fn being_within_ends_at_component_borders() {
        assert!(is_within(b"usr/lib", b"usr"));
        assert!(is_within(b"usr", b"usr"));
        assert!(is_within(b"usr", b""));
        assert!(!is_within(b"usr.local", b"usr"));
        assert!(!is_within(b"us", b"usr"));
    }

    #[test]
    fn slashes_at_the_ends_do_not_count() {
        assert_eq!(trim(b"//usr/lib/"), b"usr/lib");
        assert_eq!(trim(b"/"), b"");
        assert_eq!(split(b"usr/lib"), (b"usr" as &[u8], b"lib" as &[u8]));
        assert_eq!(split(b"usr"), (b"" as &[u8], b"usr" as &[u8]));
    }
}
