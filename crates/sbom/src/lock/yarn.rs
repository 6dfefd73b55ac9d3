//! `yarn.lock`: version 1 and Berry's YAML are alike in the lines that matter.
//!
//! ```text
//! "@babel/core@^7.1.0", "@babel/core@npm:^7.2.0":
//!   version "7.2.2"          or   version: 7.2.2
//! ```

use crate::{Ecosystem, Package};

/// The packages that it names.
#[expect(clippy::unnecessary_wraps, reason = "as all readers of lock files")]
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let mut found = Vec::new();
    let mut name: Option<&str> = None;
    for line in text.lines() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            name = heading(line);
        } else if let (Some(known), Some(version)) = (name, version(line)) {
            found.push(Package::new(Ecosystem::Npm, known, version, path));
            name = None;
        }
    }
    Ok(found)
}

/// The name in `"@a/b@^1.0", c@2:`; none for the workspace itself and for metadata.
fn heading(line: &str) -> Option<&str> {
    let first = line.trim_end_matches(':').split(", ").next()?;
    let first = first.trim_matches('"');
    let at = first.get(1..)?.find('@')? + 1;
    let (name, range) = first.split_at(at);
    (!range.starts_with("@workspace:")).then_some(name)
}

/// The version, if this line has it.
fn version(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("  version")?;
    let value = rest
        .strip_prefix(':')
        .unwrap_or(rest)
        .trim()
        .trim_matches('"');
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_listed_in_both_forms() {
        let first = "# yarn lockfile v1\n\n\"@a/b@^1.0\", \"@a/b@^1.1\":\n  version \"1.2.0\"\n  dependencies:\n    version \"9\"\n\nc@2:\n  version \"2.0.0\"\n";
        let second = "__metadata:\n  version: 6\n\n\"c@npm:^2\":\n  version: 2.0.0\n  resolution: \"c@npm:2.0.0\"\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n";
        let names = |text| -> Vec<String> {
            let found = packages(text, "yarn.lock").expect("a lock file");
            found
                .iter()
                .map(|one| format!("{}@{}", one.name, one.version))
                .collect()
        };
        assert_eq!(names(first), ["@a/b@1.2.0", "c@2.0.0"]);
        assert_eq!(names(second), ["c@2.0.0"]);
    }
}
