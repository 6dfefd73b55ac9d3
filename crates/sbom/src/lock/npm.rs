//! `package-lock.json` and `npm-shrinkwrap.json`, versions 1 to 3.

use serde_json::{Map, Value};

use crate::{Ecosystem, Package};

/// How deep dependencies may lie in each other in version 1.
const MAX_DEPTH: usize = 64;

/// The packages that it names.
pub(super) fn packages(text: &str, path: &str) -> Result<Vec<Package>, String> {
    let lock: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    if let Some(Value::Object(entries)) = lock.get("packages") {
        for (place, entry) in entries {
            // The empty name is the project itself; links lead to other entries.
            let Some((_, by_place)) = place.rsplit_once("node_modules/") else {
                continue;
            };
            let name = entry["name"].as_str().unwrap_or(by_place);
            found.extend(package(name, entry, path));
        }
    } else if let Some(Value::Object(entries)) = lock.get("dependencies") {
        nested(entries, path, &mut found, MAX_DEPTH);
    }
    Ok(found)
}

fn nested(entries: &Map<String, Value>, path: &str, found: &mut Vec<Package>, depth: usize) {
    for (name, entry) in entries {
        found.extend(package(name, entry, path));
        if let (Some(Value::Object(inner)), true) = (entry.get("dependencies"), depth > 0) {
            nested(inner, path, found, depth - 1);
        }
    }
}

fn package(name: &str, entry: &Value, path: &str) -> Option<Package> {
    let version = entry["version"].as_str()?;
    Some(Package {
        license: entry["license"].as_str().map(str::to_owned),
        ..Package::new(Ecosystem::Npm, name, version, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let found = packages(text, "package-lock.json").expect("a lock file");
        found
            .iter()
            .map(|one| format!("{}@{}", one.name, one.version))
            .collect()
    }

    #[test]
    fn packages_are_listed_in_every_version_of_the_format() {
        let third = r#"{"packages":{"":{"name":"app","version":"1.0.0"},"node_modules/@a/b":{"version":"2.0.0","license":"MIT"},"node_modules/x/node_modules/y":{"version":"3.0.0"},"node_modules/z":{"resolved":"../z","link":true}}}"#;
        assert_eq!(names(third), ["@a/b@2.0.0", "y@3.0.0"]);
        let first = r#"{"dependencies":{"x":{"version":"1.0.0","dependencies":{"y":{"version":"3.0.0"}}}}}"#;
        assert_eq!(names(first), ["x@1.0.0", "y@3.0.0"]);
    }
}
