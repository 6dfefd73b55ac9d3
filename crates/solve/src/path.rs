//! Paths inside a tree: bytes, relative, `/` between components, no `.`, `..` or empty ones; the root is empty.

/// The components of `path`, without `.` and empty ones.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."))
}

/// `path` without leading slash, `.` and `..`; what leads above the root is clamped to it.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for component in components(path) {
        if component == b".." {
            kept.pop();
        } else {
            kept.push(component);
        }
    }
    kept.join(&b'/')
}

/// `base` and `rest` with a slash between them, unless one is empty.
pub(crate) fn join(base: &[u8], rest: &[u8]) -> Vec<u8> {
    if base.is_empty() {
        return rest.to_vec();
    }
    if rest.is_empty() {
        return base.to_vec();
    }
    [base, b"/", rest].concat()
}

/// The last component.
pub(crate) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// All but the last component.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|&byte| byte == b'/')
        .map_or(b"", |at| &path[..at])
}

/// What of `path` comes after `base`, which is a parent of it or the same.
pub(crate) fn relative<'a>(path: &'a [u8], base: &[u8]) -> &'a [u8] {
    let rest = path.strip_prefix(base).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

/// Whether `path` lies below the directory `base`.
pub(crate) fn is_below(path: &[u8], base: &[u8]) -> bool {
    base.is_empty()
        || path
            .strip_prefix(base)
            .is_some_and(|rest| rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_above_the_root_are_clamped_to_it() {
        assert_eq!(clean(b"/../../etc/./passwd"), b"etc/passwd");
        assert_eq!(clean(b"a/b/../../.."), b"");
    }

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_below() {
        assert!(is_below(b"a/b", b"a"));
        assert!(!is_below(b"ab", b"a"));
    }
}
