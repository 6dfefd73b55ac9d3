//! `Cargo.lock`.

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
    version: String,
}

/// The crates that it names.
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let lock: Lock = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let entries = lock.package.iter();
    let package = |entry: &Entry| Package::new(Ecosystem::Cargo, &entry.name, &entry.version, path);
    Ok(entries.map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_listed() {
        let text = "version = 4\n[[package]]\nname = \"libc\"\nversion = \"0.2.1\"\nsource = \"registry+x\"\n";
        let found = packages(text, "Cargo.lock").expect("a lock file");
        assert_eq!(found[0].purl(), "pkg:cargo/libc@0.2.1");
        assert!(packages("[[package", "x").is_err());
    }
}
