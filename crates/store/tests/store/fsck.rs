//! What a check of the store finds, and what is left after a repair.

use std::fs;
use std::io::Write as _;

use crate::common::{Result, Room, container, image, key, layer, name, record, room};
use rbuild_store::{CacheMountSpec, CacheSharing, Check, Damage, Needed};

fn check(room: &Room) -> Result<Check> {
    Ok(room.store.check(&|_| {})?)
}

/// A store with a record and a named image over one layer.
fn filled() -> Result<(Room, rbuild_image::LayerId)> {
    let room = room()?;
    let id = {
        let one = layer(&room.store, "file", b"content")?;
        record(&room.store, 1, &[one.id()])?;
        let app = image(&room.store, &[&one], "app")?;
        room.store.set_tag(&name("app:latest"), &app)?;
        one.id()
    };
    Ok((room, id))
}

#[test]
fn a_whole_store_has_no_damage() -> Result {
    let (room, _) = filled()?;
    let check = check(&room)?;
    assert_eq!(check.damages, []);
    assert_eq!((check.layers, check.records, check.images), (1, 1, 1));
    assert_eq!(check.blobs, 2);
    Ok(())
}

#[test]
fn a_changed_file_of_a_layer_is_found_and_what_needs_it_goes() -> Result {
    let (room, id) = filled()?;
    let file = room.root().join(format!("layers/{id}/diff/file"));
    fs::write(&file, "CONTENT")?;
    let found = check(&room)?;
    assert_eq!(found.damages, [Damage::Layer(id)]);
    // Looking changes nothing.
    assert_eq!(check(&room)?, found);
    assert_eq!(room.store.repair(&found)?, []);
    assert!(room.store.record(&key(1))?.is_none());
    assert!(room.store.image(&name("app:latest"))?.is_none());
    assert_eq!(check(&room)?.damages, []);
    Ok(())
}

#[test]
fn a_layer_in_use_is_left_and_said_so() -> Result {
    let (room, id) = filled()?;
    let other = room.again()?;
    let _in_use = other.layer(&id)?.expect("there");
    fs::write(room.root().join(format!("layers/{id}/diff/file")), "x")?;
    let found = check(&room)?;
    assert_eq!(room.store.repair(&found)?, [Damage::Layer(id)]);
    Ok(())
}

#[test]
fn a_damaged_document_costs_its_image_and_a_lost_index_nothing() -> Result {
    let (room, _) = filled()?;
    let found = room.store.image(&name("app:latest"))?.expect("named");
    fs::write(room.root().join("blobs/sha256").join(found.id.hex()), "{}")?;
    fs::remove_file(room.root().join("index.json"))?;
    let damages = check(&room)?.damages;
    assert!(damages.contains(&Damage::Blob(found.id)), "{damages:?}");
    assert!(damages.contains(&Damage::Index), "{damages:?}");
    let image = damages.iter().find_map(|damage| match damage {
        Damage::Image { names, needs, .. } => Some((names.clone(), *needs)),
        _ => None,
    });
    assert_eq!(
        image,
        Some((vec![name("app:latest")], Needed::Document(found.id)))
    );
    room.store.repair(&check(&room)?)?;
    assert_eq!(check(&room)?.damages, []);
    assert!(room.root().join("index.json").exists());
    assert!(room.store.record(&key(1))?.is_some(), "the cache stays");
    Ok(())
}

#[test]
fn an_index_from_before_a_change_that_was_cut_off_is_no_damage() -> Result {
    let (room, _) = filled()?;
    let index = room.root().join("index.json");
    let now = fs::read(&index)?;
    fs::write(
        &index,
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    )?;
    assert_eq!(check(&room)?.damages, []);
    room.store.sweep()?;
    assert_eq!(fs::read(&index)?, now);
    Ok(())
}

#[test]
fn a_blob_whose_removal_was_cut_off_is_no_damage() -> Result {
    let (room, _) = filled()?;
    let mut writer = room.store.blob_writer()?;
    writer.write_all(b"nobody needs this")?;
    let blob = writer.commit(None, None)?;
    assert_eq!(check(&room)?.blobs, 3);
    fs::remove_file(room.root().join("blobs/sha256").join(blob.hex()))?;
    assert_eq!(check(&room)?.damages, []);
    room.store.sweep()?;
    assert_eq!(check(&room)?.blobs, 2);
    Ok(())
}

#[test]
fn a_record_of_a_layer_that_is_gone_is_found() -> Result {
    let (room, id) = filled()?;
    room.sql(&format!(
        "PRAGMA foreign_keys = OFF; DELETE FROM layers WHERE id = '{id}'"
    ))?;
    let damages = check(&room)?.damages;
    assert!(damages.contains(&Damage::Record(key(1))), "{damages:?}");
    room.store.repair(&check(&room)?)?;
    assert_eq!(check(&room)?.damages, []);
    Ok(())
}

#[test]
fn mounts_without_a_description_and_containers_without_files_are_told() -> Result {
    let (room, id) = filled()?;
    let spec = CacheMountSpec {
        id: "cargo",
        seed: "",
        sharing: CacheSharing::Shared,
        mode: 0o755,
        uid: 0,
        gid: 0,
        place: None,
    };
    drop(room.store.cache_mount(&spec, &|| false)?);
    container(&room.store, "aa11", "busy_bee", &[id])?;
    assert_eq!(check(&room)?.damages, []);
    // As a loss of power leaves a file whose bytes were never written.
    let key = rbuild_store::cache_mount_key(&spec);
    fs::write(room.root().join(format!("mounts/{key}/meta.json")), "")?;
    fs::remove_dir_all(room.root().join("containers/aa11"))?;
    let found = check(&room)?;
    let lost = Damage::Container {
        id: "aa11".to_owned(),
        name: "busy_bee".to_owned(),
        layer: None,
    };
    assert_eq!(found.damages, [Damage::CacheMount(key), lost.clone()]);
    // What a container wrote is nothing that could be made again.
    let lost = [lost];
    assert_eq!(room.store.repair(&found)?, lost);
    assert_eq!(check(&room)?.damages, lost);
    Ok(())
}

#[test]
fn what_killed_commands_left_is_counted_and_no_damage() -> Result {
    let (room, _) = filled()?;
    fs::create_dir(room.root().join("tmp/1-2-3"))?;
    fs::write(room.root().join("blobs/sha256").join("0".repeat(64)), "x")?;
    let found = check(&room)?;
    assert_eq!((found.leftovers, found.damages.len()), (2, 0));
    assert_eq!(room.store.repair(&found)?, []);
    assert_eq!(check(&room)?.leftovers, 0);
    Ok(())
}
