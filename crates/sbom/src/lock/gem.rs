//! `Gemfile.lock`.
//!
//! ```text
//! GEM
//!   remote: https://rubygems.org/
//!   specs:
//!     rack (2.2.3)          four spaces: a gem; six: what it needs
//! ```

use crate::{Ecosystem, Package};

/// The gems that it names.
#[expect(clippy::unnecessary_wraps, reason = "as all readers of lock files")]
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            section = line.trim();
        } else if let ("GEM", Some((name, version))) = (section, gem(line)) {
            found.push(Package::new(Ecosystem::Gem, name, version, path));
        }
    }
    Ok(found)
}

fn gem(line: &str) -> Option<(&str, &str)> {
    let rest = line
        .strip_prefix("    ")
        .filter(|rest| !rest.starts_with(' '))?;
    let (name, version) = rest.trim_end().split_once(" (")?;
    Some((name, version.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gems_are_listed() {
        let text = "GEM\n  remote: https://rubygems.org/\n  specs:\n    rack (2.2.3)\n    sinatra (2.1.0)\n      rack (~> 2.2)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  sinatra\n";
        let found = packages(text, "Gemfile.lock").expect("a lock file");
        let names: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.version.as_str()))
            .collect();
        assert_eq!(names, [("rack", "2.2.3"), ("sinatra", "2.1.0")]);
    }
}
