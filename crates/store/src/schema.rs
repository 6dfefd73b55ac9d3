//! The tables, and how older ones become them.
//!
//! Times are milliseconds since 1970. Digests and keys are 32-byte blobs, layers are named as their directories
//! are. `boot` is the boot in which files were written, `synced` whether they have been forced to the disk since:
//! together they tell which files a power loss may have torn.

use std::path::Path;

use rusqlite::Connection;

use crate::db;
use crate::error::{Result, StoreError};

/// The version of what is in [`TABLES`] and of the layout of directories. An older program refuses a newer
/// root; a newer program migrates an older root when it opens it.
pub(crate) const SCHEMA_VERSION: i64 = 5;

/// Version 1.
const TABLES: &str = "
CREATE TABLE layers (
    id TEXT PRIMARY KEY,
    diff_id BLOB,
    tar_bytes INTEGER,
    bytes INTEGER NOT NULL,
    created INTEGER NOT NULL,
    boot TEXT NOT NULL,
    synced INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX layers_by_diff_id ON layers (diff_id) WHERE diff_id IS NOT NULL;
CREATE INDEX layers_unsynced ON layers (synced) WHERE synced = 0;

CREATE TABLE blobs (
    digest BLOB PRIMARY KEY,
    bytes INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    boot TEXT NOT NULL,
    synced INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX blobs_unsynced ON blobs (synced) WHERE synced = 0;

CREATE TABLE layer_blobs (
    diff_id BLOB NOT NULL,
    digest BLOB NOT NULL,
    compression INTEGER NOT NULL,
    descriptor TEXT NOT NULL,
    PRIMARY KEY (diff_id, digest)
) WITHOUT ROWID;

CREATE TABLE images (
    digest BLOB PRIMARY KEY,
    id BLOB NOT NULL,
    descriptor TEXT NOT NULL,
    origin TEXT,
    created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX images_by_id ON images (id);

CREATE TABLE image_names (
    name TEXT PRIMARY KEY,
    image BLOB NOT NULL REFERENCES images (digest) ON DELETE CASCADE,
    tagged INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX image_names_by_image ON image_names (image);

CREATE TABLE image_blobs (
    image BLOB NOT NULL REFERENCES images (digest) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    PRIMARY KEY (image, digest)
) WITHOUT ROWID;
CREATE INDEX image_blobs_by_digest ON image_blobs (digest);

CREATE TABLE image_layers (
    image BLOB NOT NULL REFERENCES images (digest) ON DELETE CASCADE,
    diff_id BLOB NOT NULL,
    PRIMARY KEY (image, diff_id)
) WITHOUT ROWID;
CREATE INDEX image_layers_by_diff_id ON image_layers (diff_id);

CREATE TABLE records (
    number INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    outcome BLOB NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    run_millis INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX records_by_name ON records (scope, name, created);
CREATE INDEX records_by_use ON records (last_used);

CREATE TABLE record_layers (
    record INTEGER NOT NULL REFERENCES records (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL,
    PRIMARY KEY (record, position)
) WITHOUT ROWID;
CREATE INDEX record_layers_by_layer ON record_layers (layer);

CREATE TABLE preimages (
    record INTEGER PRIMARY KEY REFERENCES records (number) ON DELETE CASCADE,
    packing INTEGER NOT NULL,
    bytes BLOB NOT NULL
);

CREATE TABLE aliases (
    fast BLOB PRIMARY KEY,
    record INTEGER NOT NULL REFERENCES records (number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX aliases_by_record ON aliases (record);

CREATE TABLE resolutions (
    reference TEXT NOT NULL,
    platform TEXT NOT NULL,
    descriptor TEXT NOT NULL,
    resolved INTEGER NOT NULL,
    PRIMARY KEY (reference, platform)
) WITHOUT ROWID;

CREATE TABLE containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    image BLOB,
    image_name TEXT NOT NULL,
    config TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE container_layers (
    container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer TEXT NOT NULL,
    PRIMARY KEY (container, position)
) WITHOUT ROWID;
CREATE INDEX container_layers_by_layer ON container_layers (layer);
";

/// Version 2: a layer travels with other times than its own where `SOURCE_DATE_EPOCH` asks for that, and is another tar
/// then. `begun` is when the step began that made it. `kind` and `epoch` are a `FileTimes`.
const DATED_LAYERS: &str = "
ALTER TABLE layers ADD COLUMN begun INTEGER;

CREATE TABLE dated_layers (
    layer TEXT NOT NULL REFERENCES layers (id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    diff_id BLOB NOT NULL,
    tar_bytes INTEGER NOT NULL,
    PRIMARY KEY (layer, kind, epoch)
) WITHOUT ROWID;
CREATE INDEX dated_layers_by_diff_id ON dated_layers (diff_id);

CREATE VIEW layer_tars AS
    SELECT id AS layer, 0 AS kind, 0 AS epoch, diff_id, tar_bytes FROM layers WHERE diff_id IS NOT NULL
    UNION ALL SELECT layer, kind, epoch, diff_id, tar_bytes FROM dated_layers;
";

/// Version 3: how much room directories take that others fill, `path` below the root, as it was after their use at `used`;
/// and what the bases of builds need, so that they are kept as the cache is. The documents of a base go only with its
/// resolution, its layers when they are worth least.
const MEASURES_AND_BASES: &str = "
CREATE TABLE measured (
    path TEXT PRIMARY KEY,
    used INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE resolutions ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;
UPDATE resolutions SET last_used = resolved;

CREATE TABLE base_blobs (
    reference TEXT NOT NULL,
    platform TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (reference, platform, digest),
    FOREIGN KEY (reference, platform) REFERENCES resolutions (reference, platform) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX base_blobs_by_digest ON base_blobs (digest);

CREATE TABLE base_layers (
    reference TEXT NOT NULL,
    platform TEXT NOT NULL,
    diff_id BLOB NOT NULL,
    PRIMARY KEY (reference, platform, diff_id),
    FOREIGN KEY (reference, platform) REFERENCES resolutions (reference, platform) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX base_layers_by_diff_id ON base_layers (diff_id);
";

/// Version 4: which blobs were pushed where, and the manifest that names them there.
const PUSHES: &str = "
CREATE TABLE pushed_blobs (
    digest BLOB NOT NULL,
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    manifest BLOB NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (digest, registry, repository)
) WITHOUT ROWID;
";

/// Version 5: which repositories have an image, `repository` as `docker.io/library/busybox`.
const REPOSITORIES: &str = "
CREATE TABLE image_repositories (
    image BLOB NOT NULL REFERENCES images (digest) ON DELETE CASCADE,
    repository TEXT NOT NULL,
    PRIMARY KEY (image, repository)
) WITHOUT ROWID;
";

/// Brings the database at `path` to [`SCHEMA_VERSION`]. Costs one read where it is there already.
pub(crate) fn prepare(connection: &mut Connection, path: &Path) -> Result<()> {
    let version = version(connection)?;
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    refuse_newer(version, path)?;
    use_log(connection)?;
    let change = db::immediate(connection).map_err(StoreError::database("begin a migration"))?;
    // Another process may have been faster.
    let version = self::version(&change)?;
    refuse_newer(version, path)?;
    migrate(&change, version).map_err(StoreError::database("migrate the tables"))?;
    change
        .commit()
        .map_err(StoreError::database("commit a migration"))
}

fn migrate(change: &Connection, from: i64) -> rusqlite::Result<()> {
    if from < 1 {
        change.execute_batch(TABLES)?;
    }
    if from < 2 {
        change.execute_batch(DATED_LAYERS)?;
    }
    if from < 3 {
        change.execute_batch(MEASURES_AND_BASES)?;
    }
    if from < 4 {
        change.execute_batch(PUSHES)?;
    }
    if from < 5 {
        change.execute_batch(REPOSITORIES)?;
    }
    change.pragma_update(None, "user_version", SCHEMA_VERSION)
}

fn version(connection: &Connection) -> Result<i64> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(StoreError::database("read the format's version"))
}

fn refuse_newer(found: i64, path: &Path) -> Result<()> {
    if found > SCHEMA_VERSION {
        return Err(StoreError::TooNew {
            path: path.to_owned(),
            found,
            known: SCHEMA_VERSION,
        });
    }
    Ok(())
}

/// Switches to WAL, for which `SQLite` wants the database for itself and does not wait.
fn use_log(connection: &Connection) -> Result<()> {
    let mut attempts = 0;
    loop {
        match connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get::<_, String>(0)) {
            Err(error) if db::is_busy(&error) && attempts < 2_000 => {
                db::pause(attempts);
                attempts += 1;
            }
            Err(error) => return Err(StoreError::database("switch to a write-ahead log")(error)),
            Ok(_) => return Ok(()),
        }
    }
}
