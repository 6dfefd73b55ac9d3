//! Paths of images: always `/`, always clean, never above the root.

/// `path` cleaned below `/`: no `.`, no `..`, no doubled or trailing `/`.
pub(crate) fn clamp(path: &str) -> String {
    if is_clean(path) {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether there is nothing to clean, as nearly always.
fn is_clean(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|parts| !parts.split('/').any(|part| matches!(part, "" | "." | "..")))
}

/// `path`, seen from the directory `base`, clamped.
pub(crate) fn resolve(base: &str, path: &str) -> String {
    if path.starts_with('/') {
        clamp(path)
    } else {
        clamp(&[base, "/", path].concat())
    }
}

/// A COPY's destination: as [`resolve`], and a trailing `/` says that it is a directory. `.`, `/.` and nothing
/// at all mean the directory itself.
pub(crate) fn destination(base: &str, path: &str) -> String {
    let resolved = resolve(base, path);
    let is_directory = path.is_empty()
        || path == "."
        || path == ".."
        || path.ends_with('/')
        || path.ends_with("/.")
        || path.ends_with("/..");
    if is_directory && resolved != "/" {
        resolved + "/"
    } else {
        resolved
    }
}

/// Whether `path` has a pattern of Go's `filepath.Match`; a backslash takes the meaning of the next character.
pub(crate) fn has_wildcards(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    false
}

/// The last component; empty for `/` and for nothing.
pub(crate) fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_never_leave_the_root() {
        assert_eq!(clamp("../../etc/./x//y/"), "/etc/x/y");
        assert_eq!(clamp(".."), "/");
        assert_eq!(clamp("/"), "/");
        assert_eq!(clamp(""), "/");
        assert_eq!(clamp("/a/..b/.c"), "/a/..b/.c");
        assert_eq!(clamp("/a/../b"), "/b");
        assert_eq!(clamp("/a/"), "/a");
        assert_eq!(resolve("/a/b", "../c"), "/a/c");
        assert_eq!(resolve("", "c"), "/c");
    }

    #[test]
    fn a_destination_keeps_its_slash() {
        assert_eq!(destination("/app", "."), "/app/");
        assert_eq!(destination("/", "."), "/");
        assert_eq!(destination("/app", "x"), "/app/x");
        assert_eq!(destination("/app", "x/"), "/app/x/");
        assert_eq!(destination("/app", "/y/."), "/y/");
        assert_eq!(destination("/app", ""), "/app/");
    }

    #[test]
    fn an_escaped_star_is_no_wildcard() {
        assert!(has_wildcards("a*"));
        assert!(has_wildcards("a[0]"));
        assert!(!has_wildcards("a\\*"));
    }
}
