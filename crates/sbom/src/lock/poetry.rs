//! `poetry.lock` and `uv.lock`, which agree in what matters here.

use serde::Deserialize;

use crate::{Ecosystem, Package};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    /// uv leaves it out for what has none.
    version: Option<String>,
}

/// The distributions that it names.
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let lock: Lock = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let package = |entry: &Entry| {
        let version = entry.version.as_deref()?;
        Some(Package::new(Ecosystem::PyPi, &entry.name, version, path))
    };
    Ok(lock.package.iter().filter_map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_listed() {
        let text = "[[package]]\nname = \"attrs\"\nversion = \"23.1\"\noptional = false\n[[package]]\nname = \"here\"\nsource = { editable = \".\" }\n";
        let found = packages(text, "uv.lock").expect("a lock file");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].purl(), "pkg:pypi/attrs@23.1");
    }
}
