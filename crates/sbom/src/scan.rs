//! The way through a file system: every database that is known is read, once.

use std::io;

use crate::{Distribution, Package, apk, dpkg, lock, python, rpm};

/// Databases of packages that are larger than this are not read, in bytes. A whole distribution's has some megabytes.
const MAX_DATABASE_BYTES: u64 = 64 << 20;
/// The same for lock files and descriptions of single packages.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The packages of an inventory at most: a document of them has half a gigabyte.
const MAX_PACKAGES: usize = 500_000;

/// A file system to look through. Its files are hostile; it sees to it that paths stay inside.
pub trait Files {
    /// The paths of all regular files, without a slash before them.
    fn paths(&self) -> Vec<String>;

    /// A file's bytes; `None` if there are more than `limit`.
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>>;
}

/// A database that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {path}: {reason}")]
pub struct Finding {
    /// Where it is.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Which distribution the system is.
    pub distribution: Option<Distribution>,
    /// The packages, in order, each once.
    pub packages: Vec<Package>,
    /// What could not be read.
    pub findings: Vec<Finding>,
}

/// Looks through `files`.
pub fn scan(files: &dyn Files) -> Inventory {
    let paths = files.paths();
    let mut inventory = Inventory {
        distribution: distribution(files, &paths),
        ..Inventory::default()
    };
    for path in &paths {
        let room = MAX_PACKAGES - inventory.packages.len();
        let found = packages_of(files, path).and_then(|found| {
            if found.len() > room {
                return Err(format!("there are more than {MAX_PACKAGES} packages"));
            }
            Ok(found)
        });
        match found {
            Ok(found) => inventory.packages.extend(found),
            Err(reason) => inventory.findings.push(Finding {
                path: path.clone(),
                reason,
            }),
        }
    }
    for package in &mut inventory.packages {
        if dpkg::is_database(&package.found_in)
            || apk::is_database(&package.found_in)
            || rpm::is_database(&package.found_in)
        {
            package.distribution.clone_from(&inventory.distribution);
        }
    }
    inventory.packages.sort();
    inventory.packages.dedup();
    inventory
        .findings
        .sort_by(|one, other| one.path.cmp(&other.path));
    inventory
}

fn distribution(files: &dyn Files, paths: &[String]) -> Option<Distribution> {
    let told = Distribution::FILES
        .iter()
        .filter(|file| paths.iter().any(|path| path == *file));
    told.filter_map(|file| text(files, file).ok())
        .find_map(|text| Distribution::parse(&text))
}

fn packages_of(files: &dyn Files, path: &str) -> Result<Vec<Package>, String> {
    let database = || bytes(files, path, MAX_DATABASE_BYTES);
    if dpkg::is_database(path) {
        return Ok(dpkg::packages(&String::from_utf8_lossy(&database()?), path));
    }
    if apk::is_database(path) {
        return Ok(apk::packages(&String::from_utf8_lossy(&database()?), path));
    }
    if rpm::is_database(path) {
        return rpm::packages(database()?, path);
    }
    if python::is_metadata(path) {
        return Ok(python::package(&text(files, path)?, path)
            .into_iter()
            .collect());
    }
    match lock::reader(path) {
        Some(read) => read(&text(files, path)?, path),
        None => Ok(Vec::new()),
    }
}

fn text(files: &dyn Files, path: &str) -> Result<String, String> {
    let bytes = bytes(files, path, MAX_FILE_BYTES)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn bytes(files: &dyn Files, path: &str, limit: u64) -> Result<Vec<u8>, String> {
    match files.read(path, limit) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(format!("it has more than {limit} bytes")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Tree(BTreeMap<&'static str, &'static str>);

    impl Files for Tree {
        fn paths(&self) -> Vec<String> {
            self.0.keys().map(|path| (*path).to_owned()).collect()
        }

        fn read(&self, path: &str, _limit: u64) -> io::Result<Option<Vec<u8>>> {
            Ok(self.0.get(path).map(|text| text.as_bytes().to_vec()))
        }
    }

    #[test]
    fn packages_of_all_managers_are_found_and_those_of_the_system_know_it() {
        let tree = Tree(BTreeMap::from([
            ("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
            (
                "var/lib/dpkg/status",
                "Package: bash\nStatus: install ok installed\nVersion: 5\n",
            ),
            (
                "app/Cargo.lock",
                "[[package]]\nname = \"libc\"\nversion = \"1\"\n",
            ),
            ("app/vendor/Cargo.lock", "broken ["),
            ("app/main.rs", "fn main() {}"),
        ]));
        let found = scan(&tree);
        let purls: Vec<String> = found.packages.iter().map(Package::purl).collect();
        assert_eq!(
            purls,
            ["pkg:deb/debian/bash@5?distro=debian-12", "pkg:cargo/libc@1"]
        );
        assert_eq!(found.findings.len(), 1);
        assert_eq!(found.findings[0].path, "app/vendor/Cargo.lock");
    }
}
