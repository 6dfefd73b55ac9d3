//! Lists of manifests that are put together here and pushed later: `rbuild manifest create`.
//!
//! ```text
//! manifests/<sha256 of the name>.json     replaced by renaming; changed by one process at a time
//! ```
//!
//! A list says what registries have. Nothing here needs what it names.

use std::fs;
use std::path::PathBuf;

use rbuild_image::{Digest, Reference};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Store;
use crate::error::{Result, StoreError};

/// The version of the files: one of another version is refused, and can be made anew.
const FORMAT_VERSION: u32 = 1;

/// Manifests under one name, in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestList {
    version: u32,
    /// What it is called.
    pub name: Reference,
    /// What is in it, each reference once.
    pub entries: Vec<ListedManifest>,
}

/// A manifest in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedManifest {
    /// Where it is.
    pub reference: Reference,
    /// What an index says of it, with the platform that it is for.
    pub descriptor: Map<String, Value>,
}

impl ManifestList {
    /// An empty list.
    pub fn new(name: Reference) -> Self {
        Self {
            version: FORMAT_VERSION,
            name,
            entries: Vec::new(),
        }
    }

    /// Adds a manifest, in the place of the one that was added under this reference.
    pub fn put(&mut self, new: ListedManifest) {
        let known = self.entries.iter_mut();
        match known.into_iter().find(|old| old.reference == new.reference) {
            Some(old) => *old = new,
            None => self.entries.push(new),
        }
    }
}

impl Store {
    /// The list that is called so.
    pub fn manifest_list(&self, name: &Reference) -> Result<Option<ManifestList>> {
        let path = self.list_path(name);
        match fs::read(&path) {
            Ok(bytes) => read(&path, &bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    /// All lists, by name.
    pub fn manifest_lists(&self) -> Result<Vec<ManifestList>> {
        let mut lists = Vec::new();
        for path in crate::lease::list(&self.paths().manifests())? {
            // One that is being removed is no list any more.
            if let Ok(bytes) = fs::read(&path) {
                lists.push(read(&path, &bytes)?);
            }
        }
        lists.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(lists)
    }

    /// Lets `change` make another list of the one that is called `name`, if there is one; nobody else changes it meanwhile.
    pub fn change_manifest_list<E: From<StoreError>>(
        &self,
        name: &Reference,
        change: impl FnOnce(Option<ManifestList>) -> Result<ManifestList, E>,
    ) -> Result<(), E> {
        let _lock = self.lock(&format!("manifest list {name}"), &|| false)?;
        let list = change(self.manifest_list(name)?)?;
        let directory = self.paths().manifests();
        fs::create_dir_all(&directory).map_err(StoreError::io("create", &directory))?;
        let draft = self.lease()?.fresh("list");
        let text = serde_json::to_string(&list).expect("a list is plain JSON");
        fs::write(&draft, text).map_err(StoreError::io("write", &draft))?;
        fs::rename(&draft, self.list_path(name)).map_err(StoreError::io("rename", &draft))?;
        Ok(())
    }

    /// Forgets a list; tells whether there was one.
    pub fn remove_manifest_list(&self, name: &Reference) -> Result<bool> {
        let path = self.list_path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", path)(error)),
        }
    }

    fn list_path(&self, name: &Reference) -> PathBuf {
        let hash = Digest::sha256_of(name.to_string().as_bytes());
        self.paths()
            .manifests()
            .join(format!("{}.json", hash.hex()))
    }
}

fn read(path: &std::path::Path, bytes: &[u8]) -> Result<ManifestList> {
    let damaged = |reason: String| {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
        StoreError::io("read", path)(error)
    };
    let list: ManifestList =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if list.version != FORMAT_VERSION {
        let version = list.version;
        return Err(damaged(format!(
            "it has version {version} of its format, and this program knows {FORMAT_VERSION}: remove it and create it again"
        )));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_written_as_it_was() {
        let mut list = ManifestList::new("me/app:1".parse().expect("a name"));
        let entry = |tag: &str, os: &str| ListedManifest {
            reference: format!("me/app:{tag}").parse().expect("a name"),
            descriptor: Map::from_iter([("platform".to_owned(), json!({ "os": os }))]),
        };
        list.put(entry("a", "linux"));
        list.put(entry("b", "linux"));
        list.put(entry("a", "windows"));
        let text = serde_json::to_string(&list).expect("JSON");
        assert_eq!(
            text,
            r#"{"version":1,"name":"docker.io/me/app:1","entries":[{"reference":"docker.io/me/app:a","descriptor":{"platform":{"os":"windows"}}},{"reference":"docker.io/me/app:b","descriptor":{"platform":{"os":"linux"}}}]}"#
        );
        let path = std::path::Path::new("list.json");
        assert_eq!(read(path, text.as_bytes()).expect("the list"), list);
        let newer = text.replace("\"version\":1", "\"version\":2");
        let refused = read(path, newer.as_bytes()).expect_err("another format");
        assert!(format!("{refused:?}").contains("version 2"), "{refused:?}");
    }
}
