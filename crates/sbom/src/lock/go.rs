//! `go.sum`: the modules whose contents were checked, some of which only for their own go.mod.

use crate::{Ecosystem, Package};

/// The modules that it names with their contents.
#[expect(clippy::unnecessary_wraps, reason = "as all readers of lock files")]
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let module = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        (!version.ends_with("/go.mod")).then(|| Package::new(Ecosystem::Go, name, version, path))
    };
    Ok(text.lines().filter_map(module).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_listed_once() {
        let text = "github.com/a/b v1.0.0 h1:x=\ngithub.com/a/b v1.0.0/go.mod h1:y=\ngithub.com/c v2.0.0/go.mod h1:z=\n";
        let found = packages(text, "go.sum").expect("a lock file");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].purl(), "pkg:golang/github.com/a/b@v1.0.0");
    }
}
