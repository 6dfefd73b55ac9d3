//! What objects are called: `blobs/sha256/4f9c…`, `latest/main.json`.

use std::fmt;
use std::str::FromStr;

use crate::ObjectsError;

/// The longest name, in bytes: keys of GitHub's cache have 512, and prefixes and scopes come before ours.
const MAX_NAME_BYTES: usize = 384;

/// A relative path: letters, digits and `._-+=`, in parts separated by `/`. No part begins with a dot, so none leads
/// out of the store, and what a store keeps beside its objects can have such a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(String);

impl ObjectName {
    /// The name as it stands in a path or a key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = ObjectsError;

    fn from_str(text: &str) -> Result<Self, ObjectsError> {
        let wrong = |reason| {
            Err(ObjectsError::Name {
                name: text.to_owned(),
                reason,
            })
        };
        if text.len() > MAX_NAME_BYTES {
            return wrong("it is longer than 384 bytes");
        }
        if text.split('/').any(str::is_empty) {
            return wrong("it has an empty part");
        }
        if text.split('/').any(|part| part.starts_with('.')) {
            return wrong("a part begins with a dot");
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "/._-+=".contains(c);
        if !text.chars().all(fits) {
            return wrong("only letters, digits and ._-+= may be in it");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_paths_that_stay_inside() {
        for good in ["a", "blobs/sha256/00ff", "latest/my-app_v1.2+x=y.json"] {
            assert_eq!(good.parse::<ObjectName>().expect(good).as_str(), good);
        }
        let long = "a".repeat(385);
        for bad in [
            "", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.tmp", "a b", "a\\b", "a:b", "é", &long,
        ] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad:?}");
        }
    }
}
