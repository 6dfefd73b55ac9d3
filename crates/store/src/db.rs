//! The way to the database: one connection that reads, one that writes, and no busy error for anyone.
//!
//! The database is in WAL mode: readers never wait, writers take turns (`BEGIN IMMEDIATE`), between threads
//! by a mutex and between processes by the database's own lock, for which we wait patiently. A commit syncs
//! nothing (`synchronous=NORMAL`); the log is folded into the database by [`Db::checkpoint`], off the critical path.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{Result, StoreError};
use crate::schema;

/// How often a busy database is asked again: at most 5 ms apart, so about ten minutes. Whoever holds
/// the write lock for longer is stopped or broken, and then an error is better than hanging.
const BUSY_ATTEMPTS: i32 = 120_000;

/// Pages in the log at which a commit folds it itself, if nobody called [`Db::checkpoint`] (16 MB).
const CHECKPOINT_PAGES: u32 = 4_000;

/// How long a checkpoint waits for others: what it cannot fold now, the next one will.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(50);

/// Prepared statements kept per connection: more than there are different ones in this crate.
const STATEMENTS: usize = 128;

/// What a closure given to [`Db::read`] or [`Db::write`] fails with.
pub(crate) enum Fault {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    fn explain(self, what: &'static str) -> StoreError {
        match self {
            Self::Sql(source) => StoreError::Database { what, source },
            Self::Store(error) => error,
        }
    }
}

/// The two connections.
pub(crate) struct Db {
    path: PathBuf,
    reader: Mutex<Connection>,
    writer: Mutex<Option<Connection>>,
}

impl Db {
    /// Opens the database, and creates or migrates it where that is needed.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut reader = connect(path)?;
        schema::prepare(&mut reader, path)?;
        Ok(Self {
            path: path.to_owned(),
            reader: Mutex::new(reader),
            writer: Mutex::new(None),
        })
    }

    /// Runs queries that all see the database as it was at one instant.
    pub(crate) fn read<T>(
        &self,
        what: &'static str,
        mut query: impl FnMut(&Connection) -> Result<T, Fault>,
    ) -> Result<T> {
        let reader = lock(&self.reader);
        for attempt in 0.. {
            match snapshot(&reader, &mut query) {
                Err(Fault::Sql(error)) if is_busy(&error) && attempt < BUSY_ATTEMPTS => {
                    pause(attempt);
                }
                other => return other.map_err(|fault| fault.explain(what)),
            }
        }
        unreachable!("the loop ends with its last attempt")
    }

    /// Runs `change` in one transaction: all of it happens, or, where it fails, nothing.
    pub(crate) fn write<T>(
        &self,
        what: &'static str,
        change: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T> {
        let mut slot = lock(&self.writer);
        let writer = match &mut *slot {
            Some(writer) => writer,
            none => none.insert(connect(&self.path)?),
        };
        begin(writer).map_err(StoreError::database(what))?;
        let outcome = change(writer).and_then(|value| {
            commit(writer)?;
            Ok(value)
        });
        if outcome.is_err() && !writer.is_autocommit() {
            // A failed rollback leaves a connection that no one can use; the next call makes a new one.
            if writer.execute_batch("ROLLBACK").is_err() {
                *slot = None;
            }
        }
        outcome.map_err(|fault| fault.explain(what))
    }

    /// Folds the log into the database as far as readers allow, and syncs both. If nobody reads or writes for a
    /// moment, the log is emptied too: the first of the next processes would have to read all of it.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let what = "fold the log";
        let mut slot = lock(&self.writer);
        let writer = match &mut *slot {
            Some(writer) => writer,
            none => none.insert(connect(&self.path)?),
        };
        writer
            .busy_timeout(CHECKPOINT_PATIENCE)
            .map_err(StoreError::database(what))?;
        let outcome = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        writer
            .busy_handler(Some(wait_for_turn))
            .map_err(StoreError::database(what))?;
        match outcome {
            Err(error) if !is_busy(&error) => Err(StoreError::database(what)(error)),
            _ => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic inside a transaction rolls it back when the connection is next used: see `begin`.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path) -> Result<Connection> {
    let what = "open a connection";
    let fail = StoreError::database;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(fail(what))?;
    connection
        .busy_handler(Some(wait_for_turn))
        .map_err(fail(what))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Closing must cost nothing: a checkpoint would sync.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(fail(what))?;
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys=ON; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES};"
        ))
        .map_err(fail(what))?;
    Ok(connection)
}

/// One transaction of reads. Without it, two queries could see a record and then its layers already gone.
fn snapshot<T>(
    reader: &Connection,
    query: &mut impl FnMut(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    if !reader.is_autocommit() {
        reader.execute_batch("ROLLBACK")?; // a panic came in between
    }
    reader.prepare_cached("BEGIN")?.execute([])?;
    let outcome = query(reader);
    reader.prepare_cached("COMMIT")?.execute([])?;
    outcome
}

fn begin(writer: &Connection) -> rusqlite::Result<()> {
    if !writer.is_autocommit() {
        writer.execute_batch("ROLLBACK")?;
    }
    retry(|| writer.prepare_cached("BEGIN IMMEDIATE")?.execute([]))
}

fn commit(writer: &Connection) -> rusqlite::Result<()> {
    retry(|| writer.prepare_cached("COMMIT")?.execute([]))
}

fn retry(mut step: impl FnMut() -> rusqlite::Result<usize>) -> rusqlite::Result<()> {
    let mut attempts = 0;
    loop {
        match step() {
            Err(error) if is_busy(&error) && attempts < BUSY_ATTEMPTS => {
                pause(attempts);
                attempts += 1;
            }
            other => return other.map(|_| ()),
        }
    }
}

/// For [`schema::prepare`]: a transaction on a connection that is not in a [`Db`] yet.
pub(crate) fn immediate(
    connection: &mut Connection,
) -> rusqlite::Result<rusqlite::Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Whether others were in the way. The last is what `SQLite` says when it lost the race for a place among the readers too often.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

fn wait_for_turn(attempts: i32) -> bool {
    pause(attempts);
    attempts < BUSY_ATTEMPTS
}

/// A writer is done in tens of microseconds, so we ask again soon, then less often.
pub(crate) fn pause(attempts: i32) {
    let micros = 100 * u64::from(attempts.clamp(1, 50).unsigned_abs());
    std::thread::sleep(Duration::from_micros(micros));
}
