//! The database of RPM in its SQLite form: a table of package headers (rpm's format description, "Header").
//!
//! ```text
//! header = entries:u32 data_bytes:u32 entry* data        all big-endian
//! entry  = tag:u32 type:u32 offset:u32 count:u32         offset into data
//! ```

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use crate::{Ecosystem, Package};

/// The database of a connection that has no other.
const DATABASE: &str = "main";
/// The most bytes of a value. A header has some hundred kilobytes where a package has very many files.
const MAX_VALUE_BYTES: i32 = 16 << 20;
/// After so many instructions of SQLite's machine the progress is looked at.
const INSTRUCTIONS_A_LOOK: i32 = 10_000;
/// Looks before a database is given up: a schema can be written so that reading it never ends.
const MAX_LOOKS: u32 = 10_000;
/// The columns of the table that are computed instead of stored, and whether it is a table.
const SCHEMA: &str =
    "SELECT (SELECT count(*) FROM pragma_table_xinfo('Packages') WHERE hidden <> 0)
    FROM sqlite_schema WHERE type = 'table' AND name = 'Packages' AND rootpage > 0";

/// Where the versions of formats lie in an SQLite file; 1 stands for one without a write-ahead log beside it.
const FORMAT_VERSIONS: std::ops::Range<usize> = 18..20;
const ENTRY_BYTES: usize = 16;

const TAG_NAME: u32 = 1000;
const TAG_VERSION: u32 = 1001;
const TAG_RELEASE: u32 = 1002;
const TAG_EPOCH: u32 = 1003;
const TAG_VENDOR: u32 = 1011;
const TAG_LICENSE: u32 = 1014;
const TAG_ARCHITECTURE: u32 = 1022;
const TAG_SOURCE: u32 = 1044;

const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;
const TYPE_I18N_STRING: u32 = 9;

/// Whether `path` is the database.
pub(crate) fn is_database(path: &str) -> bool {
    matches!(
        path,
        "var/lib/rpm/rpmdb.sqlite"
            | "usr/lib/sysimage/rpm/rpmdb.sqlite"
            | "usr/share/rpm/rpmdb.sqlite"
    )
}

/// Whether `path` is a database in one of the older forms, which are not read.
pub(crate) fn is_older_database(path: &str) -> bool {
    let dirs = ["var/lib/rpm/", "usr/lib/sysimage/rpm/"];
    let name = dirs.iter().find_map(|dir| path.strip_prefix(dir));
    matches!(name, Some("Packages" | "Packages.db"))
}

/// The installed packages.
pub(crate) fn packages(mut bytes: Vec<u8>, path: &str) -> Result<Vec<Package>, String> {
    // The log is not here; what is in the file is consistent without it.
    match bytes.get_mut(FORMAT_VERSIONS) {
        Some(versions) => versions.fill(1),
        None => return Err("the file is cut off".to_owned()),
    }
    read(&bytes, path).map_err(|error| error.to_string())
}

fn read(bytes: &[u8], path: &str) -> rusqlite::Result<Vec<Package>> {
    let db = open(bytes)?;
    let computed: u32 = db.query_row(SCHEMA, [], |row| row.get(0))?;
    if computed > 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let mut query = db.prepare("SELECT blob FROM Packages")?;
    let blobs = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    let mut found = Vec::new();
    for blob in blobs {
        found.extend(Header::parse(&blob?).and_then(|header| header.package(path)));
    }
    Ok(found)
}

/// The database in `bytes`, whose author nobody knows.
fn open(bytes: &[u8]) -> rusqlite::Result<Connection> {
    let mut db = Connection::open_in_memory()?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let mut looks = 0;
    db.progress_handler(
        INSTRUCTIONS_A_LOOK,
        Some(move || {
            looks += 1;
            looks > MAX_LOOKS
        }),
    )?;
    db.deserialize_read_exact(DATABASE, bytes, bytes.len(), true)?;
    Ok(db)
}

/// A package's header.
struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(blob: &'a [u8]) -> Option<Self> {
        let (count, rest) = number(blob)?;
        let (length, rest) = number(rest)?;
        let entries = usize::try_from(count).ok()?.checked_mul(ENTRY_BYTES)?;
        let (entries, data) = rest.split_at_checked(entries)?;
        let data = data.get(..usize::try_from(length).ok()?)?;
        Some(Self { entries, data })
    }

    fn package(&self, path: &str) -> Option<Package> {
        let name = self.text(TAG_NAME)?;
        // The keys that packages are signed with stand among them.
        if name == "gpg-pubkey" {
            return None;
        }
        let (version, release) = (self.text(TAG_VERSION)?, self.text(TAG_RELEASE)?);
        let version = match self.integer(TAG_EPOCH) {
            Some(epoch) if epoch != 0 => format!("{epoch}:{version}-{release}"),
            _ => format!("{version}-{release}"),
        };
        let owned = |tag| self.text(tag).map(str::to_owned);
        Some(Package {
            architecture: owned(TAG_ARCHITECTURE),
            source: owned(TAG_SOURCE),
            license: owned(TAG_LICENSE),
            supplier: owned(TAG_VENDOR),
            ..Package::new(Ecosystem::Rpm, name, &version, path)
        })
    }

    fn value(&self, tag: u32, types: &[u32]) -> Option<&'a [u8]> {
        let entry = self.entries.chunks_exact(ENTRY_BYTES).find(|entry| {
            let (found, rest) = (number(entry), &entry[4..]);
            let kind = number(rest).map(|(kind, _)| kind);
            found.is_some_and(|(found, _)| found == tag)
                && kind.is_some_and(|kind| types.contains(&kind))
        })?;
        let (offset, _) = number(&entry[8..])?;
        self.data.get(usize::try_from(offset).ok()?..)
    }

    fn text(&self, tag: u32) -> Option<&'a str> {
        let value = self.value(tag, &[TYPE_STRING, TYPE_I18N_STRING])?;
        let end = value.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&value[..end]).ok()
    }

    fn integer(&self, tag: u32) -> Option<u32> {
        number(self.value(tag, &[TYPE_INT32])?).map(|(value, _)| value)
    }
}

/// A big-endian number, and what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header as rpm writes it.
    fn header(fields: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let (mut entries, mut data) = (Vec::new(), Vec::<u8>::new());
        for (tag, kind, value) in fields {
            for part in [*tag, *kind, u32::try_from(data.len()).expect("small"), 1] {
                entries.extend(part.to_be_bytes());
            }
            data.extend(*value);
        }
        let mut blob = Vec::new();
        for part in [fields.len(), data.len()] {
            blob.extend(u32::try_from(part).expect("small").to_be_bytes());
        }
        blob.extend(entries);
        blob.extend(data);
        blob
    }

    fn database(headers: &[Vec<u8>]) -> Vec<u8> {
        let schema = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)";
        database_of(schema, headers)
    }

    fn database_of(schema: &str, headers: &[Vec<u8>]) -> Vec<u8> {
        let mut db = Connection::open_in_memory().expect("a database");
        db.execute_batch(schema).expect("a schema");
        for blob in headers {
            db.execute("INSERT INTO Packages (blob) VALUES (?1)", [blob])
                .expect("a row");
        }
        let bytes: &[u8] = &db.serialize(DATABASE).expect("bytes");
        bytes.to_vec()
    }

    #[test]
    fn rpms_packages_are_listed_with_epoch_and_release() {
        let bash = header(&[
            (TAG_NAME, TYPE_STRING, b"bash\0"),
            (TAG_VERSION, TYPE_STRING, b"5.2\0"),
            (TAG_RELEASE, TYPE_STRING, b"3.fc40\0"),
            (TAG_EPOCH, TYPE_INT32, &2_u32.to_be_bytes()),
            (TAG_ARCHITECTURE, TYPE_STRING, b"x86_64\0"),
            (TAG_LICENSE, TYPE_STRING, b"GPL-3.0-or-later\0"),
        ]);
        let key = header(&[
            (TAG_NAME, TYPE_STRING, b"gpg-pubkey\0"),
            (TAG_VERSION, TYPE_STRING, b"1\0"),
            (TAG_RELEASE, TYPE_STRING, b"1\0"),
        ]);
        let found = packages(database(&[bash, key]), "var/lib/rpm/rpmdb.sqlite").expect("packages");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].version, "2:5.2-3.fc40");
        assert_eq!(found[0].license.as_deref(), Some("GPL-3.0-or-later"));
    }

    #[test]
    fn what_is_no_database_is_an_error() {
        assert!(packages(Vec::new(), "x").is_err());
        assert!(packages(vec![7; 4096], "x").is_err());
    }

    #[test]
    fn a_schema_that_computes_instead_of_storing_is_refused() {
        let endless = "CREATE VIEW Packages AS
            WITH RECURSIVE n(blob) AS (SELECT 1 UNION ALL SELECT blob + 1 FROM n) SELECT blob FROM n";
        assert!(packages(database_of(endless, &[]), "x").is_err());
        let large = "CREATE TABLE Packages (n, blob AS (zeroblob(1000000)))";
        assert!(packages(database_of(large, &[]), "x").is_err());
    }

    proptest! {
        #[test]
        fn no_database_makes_it_panic(at in 0_usize..8192, byte: u8) {
            let mut bytes = database(&[header(&[(TAG_NAME, TYPE_STRING, b"a\0")])]);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = packages(bytes, "x");
        }

        #[test]
        fn no_header_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::parse(&bytes).and_then(|header| header.package("x"));
        }
    }
}
