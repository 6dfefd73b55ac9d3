//! The format on disk. A change here means: raise `SCHEMA_VERSION` and migrate, or every root that there is is lost.

use crate::common;
use std::fs;

use crate::common::{Result, room};
use rbuild_image::{DiffId, Digest};
use rbuild_layer::FileTimes;
use rbuild_store::{CacheMountSpec, CacheSharing, Store, StoreError, cache_mount_key};

#[test]
fn the_tree_and_the_tables_are_those_of_version_5() -> Result {
    let room = room()?;
    let mut names: Vec<String> = fs::read_dir(room.root())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.retain(|name| !name.starts_with("rbuild.db-"));
    names.sort();
    assert_eq!(
        names,
        [
            "blobs",
            "containers",
            "contexts",
            "index.json",
            "layers",
            "locks",
            "mounts",
            "oci-layout",
            "rbuild.db",
            "tmp",
        ]
    );
    assert_eq!(
        fs::read_to_string(room.root().join("oci-layout"))?,
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    assert_eq!(
        fs::read_to_string(room.root().join("index.json"))?,
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#
    );
    assert_eq!(room.count("PRAGMA user_version")?, 5);
    let db = rusqlite::Connection::open(room.root().join("rbuild.db"))?;
    let tables: Vec<String> = db
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let digest = Digest::sha256_of(tables.join("\n").as_bytes()).to_string();
    assert_eq!(
        digest,
        "sha256:bb7f62c50c677dc6198c5e80dadb74fb7075cb073fe13434129adedc4b42b34e"
    );
    Ok(())
}

#[test]
fn cache_mounts_keep_their_directories() {
    let spec = CacheMountSpec {
        id: "/root/.cache",
        seed: "",
        sharing: CacheSharing::Shared,
        mode: 0o755,
        uid: 0,
        gid: 0,
        place: None,
    };
    assert_eq!(
        cache_mount_key(&spec),
        Digest::sha256_of(b"/root/.cache\0").hex()
    );
}

#[test]
fn a_root_of_version_1_is_taken_over_with_its_layers() -> Result {
    let room = room()?;
    let id = common::layer(&room.store, "file", b"content")?.id();
    let diff_id = DiffId(Digest::sha256_of(b"its tar"));
    room.store.set_diff_id(&id, FileTimes::Own, &diff_id, 7)?;
    room.sql(
        "DROP TABLE image_repositories; DROP TABLE pushed_blobs; DROP TABLE measured; DROP TABLE base_blobs; DROP TABLE base_layers; ALTER TABLE resolutions DROP COLUMN last_used; DROP VIEW layer_tars; DROP TABLE dated_layers; ALTER TABLE layers DROP COLUMN begun; PRAGMA user_version = 1;",
    )?;
    let store = Store::open(room.root())?;
    assert_eq!(store.layer_tar(&diff_id)?, Some((id, FileTimes::Own)));
    assert!(store.layer(&id)?.is_some());
    store.set_diff_id(
        &id,
        FileTimes::Fixed(1),
        &DiffId(Digest::sha256_of(b"dated")),
        7,
    )?;
    Ok(())
}

#[test]
fn a_root_of_a_newer_program_is_refused_and_left_alone() -> Result {
    let room = room()?;
    room.sql("PRAGMA user_version = 99")?;
    let outcome = Store::open(room.root());
    assert!(matches!(outcome, Err(StoreError::TooNew { found: 99, .. })));
    Ok(())
}
