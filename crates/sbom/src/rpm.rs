//! The database of RPM, in each of its three forms.
//!
//! ```text
//! rpmdb.sqlite   since rpm 4.16                 SQLite
//! Packages       before (RHEL up to 8)          a hash table of BerkeleyDB
//! Packages.db    SUSE                           rpm's own "NDB"
//!                                                 └─ each: headers of packages
//! ```

mod berkeley;
mod header;
mod ndb;
mod sqlite;

use self::header::Header;
use crate::Package;

/// Where rpm keeps it: `/usr/share/rpm` is rpm-ostree's.
const DIRECTORIES: [&str; 3] = ["var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"];

/// What the database is.
enum Form {
    Sqlite,
    Berkeley,
    Ndb,
}

impl Form {
    fn of(path: &str) -> Option<Self> {
        let mut names = DIRECTORIES.iter();
        match names.find_map(|directory| path.strip_prefix(directory))? {
            "rpmdb.sqlite" => Some(Self::Sqlite),
            "Packages" => Some(Self::Berkeley),
            "Packages.db" => Some(Self::Ndb),
            _ => None,
        }
    }
}

/// Whether `path` is the database.
pub(crate) fn is_database(path: &str) -> bool {
    Form::of(path).is_some()
}

/// The installed packages.
pub(crate) fn packages(bytes: Vec<u8>, path: &str) -> Result<Vec<Package>, String> {
    let headers = match Form::of(path) {
        Some(Form::Sqlite) => sqlite::headers(bytes)?,
        Some(Form::Berkeley) => berkeley::values(&bytes)?,
        Some(Form::Ndb) => ndb::blobs(&bytes)?,
        None => Vec::new(),
    };
    let found = headers.iter();
    Ok(found
        .filter_map(|header| Header::parse(header)?.package(path))
        .collect())
}

/// A little-endian number at `offset`.
fn number_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by libdb 5.3 with pages of 1 KiB, read by rpm 4.18 as well: two packages, the header of one larger than a page,
    /// and what is left of a third that was removed.
    const BERKELEY: &[u8] = include_bytes!("../testdata/rpm-bdb");
    /// The same by a machine of the other byte order: the first package.
    const BERKELEY_BIG_ENDIAN: &[u8] = include_bytes!("../testdata/rpm-bdb-big-endian");
    /// Both packages as SUSE's rpm has them.
    const NDB: &[u8] = include_bytes!("../testdata/rpm-ndb");

    const BERKELEY_PATH: &str = "var/lib/rpm/Packages";
    const NDB_PATH: &str = "usr/lib/sysimage/rpm/Packages.db";

    fn names(bytes: &[u8], path: &str) -> Vec<String> {
        let found = packages(bytes.to_vec(), path).expect("packages");
        let mut names: Vec<String> = found
            .iter()
            .map(|found| format!("{} {}", found.name, found.version))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn older_forms_are_read_as_well() {
        let both = ["rbuild-large 1.0-3", "rbuild-sample 2:1.0-3"];
        assert_eq!(names(BERKELEY, BERKELEY_PATH), both);
        assert_eq!(names(BERKELEY_BIG_ENDIAN, BERKELEY_PATH), both[1..]);
        assert_eq!(names(NDB, NDB_PATH), both);
    }

    #[test]
    fn older_forms_that_are_cut_off_anywhere_are_errors_or_hold_less() {
        for (bytes, path) in [(BERKELEY, BERKELEY_PATH), (NDB, NDB_PATH)] {
            for length in (0..bytes.len()).step_by(97) {
                if let Ok(found) = packages(bytes[..length].to_vec(), path) {
                    assert!(found.len() <= 2);
                }
            }
            assert!(packages(Vec::new(), path).is_err());
            assert!(packages(vec![7; 4096], path).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_older_form_makes_it_panic(
            changes in prop::collection::vec((0_usize..20_000, any::<u8>()), 1..40),
        ) {
            for (bytes, path) in [
                (BERKELEY, BERKELEY_PATH),
                (BERKELEY_BIG_ENDIAN, BERKELEY_PATH),
                (NDB, NDB_PATH),
            ] {
                let mut bytes = bytes.to_vec();
                for (at, byte) in &changes {
                    let at = at % bytes.len();
                    bytes[at] = *byte;
                }
                let _ = packages(bytes, path);
            }
        }
    }
}
