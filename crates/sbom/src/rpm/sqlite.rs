//! The database of RPM since version 4.16: a table of package headers in an SQLite file.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

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

/// The headers in the table.
pub(super) fn headers(mut bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, String> {
    // The log is not here; what is in the file is consistent without it.
    match bytes.get_mut(FORMAT_VERSIONS) {
        Some(versions) => versions.fill(1),
        None => return Err("the file is cut off".to_owned()),
    }
    read(&bytes).map_err(|error| error.to_string())
}

fn read(bytes: &[u8]) -> rusqlite::Result<Vec<Vec<u8>>> {
    let db = open(bytes)?;
    let computed: u32 = db.query_row(SCHEMA, [], |row| row.get(0))?;
    if computed > 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let mut query = db.prepare("SELECT blob FROM Packages")?;
    let blobs = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    blobs.collect()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rpm::header::tests::bash_and_a_key;
    use crate::rpm::packages;

    const PATH: &str = "var/lib/rpm/rpmdb.sqlite";

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
        let found = packages(database(&bash_and_a_key()), PATH).expect("packages");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].version, "2:5.2-3.fc40");
        assert_eq!(found[0].license.as_deref(), Some("GPL-3.0-or-later"));
    }

    #[test]
    fn what_is_no_database_is_an_error() {
        assert!(packages(Vec::new(), PATH).is_err());
        assert!(packages(vec![7; 4096], PATH).is_err());
    }

    #[test]
    fn a_schema_that_computes_instead_of_storing_is_refused() {
        let endless = "CREATE VIEW Packages AS
            WITH RECURSIVE n(blob) AS (SELECT 1 UNION ALL SELECT blob + 1 FROM n) SELECT blob FROM n";
        assert!(packages(database_of(endless, &[]), PATH).is_err());
        let large = "CREATE TABLE Packages (n, blob AS (zeroblob(1000000)))";
        assert!(packages(database_of(large, &[]), PATH).is_err());
    }

    proptest! {
        #[test]
        fn no_database_makes_it_panic(at in 0_usize..8192, byte: u8) {
            let mut bytes = database(&bash_and_a_key());
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = packages(bytes, PATH);
        }
    }
}
