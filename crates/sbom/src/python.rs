//! Python's installed distributions: `*.dist-info/METADATA` and `*.egg-info/PKG-INFO` (core metadata specification).

use crate::{Ecosystem, Package};

/// Whether `path` describes a distribution.
pub(crate) fn is_metadata(path: &str) -> bool {
    path.ends_with(".dist-info/METADATA")
        || path.ends_with(".egg-info/PKG-INFO")
        || (path.ends_with(".egg-info") && path.contains("-packages/"))
}

/// The distribution; a description that follows the headers is not looked at.
pub(crate) fn package(text: &str, path: &str) -> Option<Package> {
    let headers = text.split("\n\n").next().unwrap_or(text);
    let field = |name: &str| {
        let mut values = headers
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = values.next().map(str::trim);
        value.filter(|value| !value.is_empty() && *value != "UNKNOWN")
    };
    let license = field("License-Expression").or_else(|| field("License"));
    Some(Package {
        license: license.map(str::to_owned),
        supplier: field("Author").map(str::to_owned),
        ..Package::new(Ecosystem::PyPi, field("Name")?, field("Version")?, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_distribution_is_known_by_its_metadata() {
        let path = "usr/lib/python3/dist-packages/requests-2.28.1.dist-info/METADATA";
        assert!(is_metadata(path));
        let text = "Metadata-Version: 2.1\nName: requests\nVersion: 2.28.1\nLicense: Apache 2.0\n\nName: not this\n";
        let found = package(text, path).expect("a package");
        assert_eq!(
            (found.name.as_str(), found.version.as_str()),
            ("requests", "2.28.1")
        );
        assert_eq!(found.license.as_deref(), Some("Apache 2.0"));
    }
}
