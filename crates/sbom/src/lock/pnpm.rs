//! `pnpm-lock.yaml`: only the keys of its table of packages matter.
//!
//! ```text
//! packages:
//!
//!   '@babel/core@7.2.2':        since version 6, before it /@babel/core@7.2.2 and /@babel/core/7.2.2
//! ```

use crate::{Ecosystem, Package};

/// The packages that it names.
#[expect(clippy::unnecessary_wraps, reason = "as all readers of lock files")]
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if !line.starts_with(' ') && !line.trim().is_empty() {
            inside = line.trim_end() == "packages:";
        } else if let (true, Some((name, version))) = (inside, key(line)) {
            found.push(Package::new(Ecosystem::Npm, name, version, path));
        }
    }
    Ok(found)
}

/// Name and version of a key on the first level.
fn key(line: &str) -> Option<(&str, &str)> {
    let rest = line
        .strip_prefix("  ")
        .filter(|rest| !rest.starts_with(' '))?;
    let key = rest.trim_end().strip_suffix(':')?;
    let key = key.trim_matches('\'').trim_start_matches('/');
    // Peers that it was resolved with follow in brackets.
    let key = key.split('(').next().unwrap_or(key);
    let at = key
        .get(1..)?
        .rfind('@')
        .or_else(|| key.get(1..)?.rfind('/'))?
        + 1;
    let (name, version) = key.split_at(at);
    Some((name, &version[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_listed() {
        let text = "lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n\npackages:\n\n  '@a/b@1.2.0':\n    resolution: {integrity: x}\n\n  /c@2.0.0(d@1.0.0):\n    dev: false\n\nsnapshots:\n\n  '@a/b@1.2.0':\n";
        let found = packages(text, "pnpm-lock.yaml").expect("a lock file");
        let names: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.version.as_str()))
            .collect();
        assert_eq!(names, [("@a/b", "1.2.0"), ("c", "2.0.0")]);
    }
}
