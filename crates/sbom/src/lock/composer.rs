//! `composer.lock`.

use serde::Deserialize;

use crate::{Ecosystem, Package};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    #[serde(default)]
    license: Vec<String>,
}

/// The packages that it names, without those for development.
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let lock: Lock = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let package = |entry: &Entry| Package {
        license: (!entry.license.is_empty()).then(|| entry.license.join(" OR ")),
        ..Package::new(Ecosystem::Composer, &entry.name, &entry.version, path)
    };
    Ok(lock.packages.iter().map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_listed_with_their_licences() {
        let text = r#"{"packages":[{"name":"a/b","version":"v1.0","license":["MIT","Apache-2.0"]}],"packages-dev":[{"name":"c/d","version":"1"}]}"#;
        let found = packages(text, "composer.lock").expect("a lock file");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].license.as_deref(), Some("MIT OR Apache-2.0"));
    }
}
