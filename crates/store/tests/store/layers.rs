//! Layers: nothing half-written is ever handed out, and nothing in use ever goes.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Result, dated_image, layer, record, room};
use rbuild_image::{DiffId, Digest, LayerId};
use rbuild_layer::FileTimes;
use rbuild_store::{ImageOrigin, PruneOptions, RootAttributes};

#[test]
fn a_committed_layer_is_found_by_every_handle() -> Result {
    let room = room()?;
    let made = layer(&room.store, "file", b"content")?;
    let found = room.again()?.layer(&made.id())?.expect("it was committed");
    assert_eq!(fs::read(found.diff_path().join("file"))?, b"content");
    assert_eq!(found.bytes(), 7);
    assert_eq!(found.index()?.content_id(), made.index()?.content_id());
    Ok(())
}

#[test]
fn committing_a_known_layer_gives_the_known_one() -> Result {
    let room = room()?;
    let first = layer(&room.store, "file", b"content")?;
    let second = layer(&room.store, "file", b"content")?;
    assert!(Arc::ptr_eq(&first, &second));
    let other = layer(&room.again()?, "file", b"content")?;
    assert_eq!(other.id(), first.id());
    assert_eq!(room.entries("layers")?, 1);
    Ok(())
}

#[test]
fn a_layer_made_here_serves_where_its_tar_is_asked_for() -> Result {
    let room = room()?;
    let made = layer(&room.store, "file", b"content")?;
    let diff_id = DiffId(Digest::sha256_of(b"its tar"));
    let pulled = LayerId::Pulled(diff_id);
    assert!(room.store.layer(&pulled)?.is_none());
    room.store
        .set_diff_id(&made.id(), FileTimes::Own, &diff_id, 7)?;
    let found = room.store.layer(&pulled)?.expect("its tar is known");
    assert!(Arc::ptr_eq(&made, &found));
    assert_eq!(
        room.store.diff_id(&pulled, FileTimes::Own)?,
        Some((diff_id, 7))
    );
    Ok(())
}

#[test]
fn a_dropped_draft_leaves_nothing_after_a_sweep() -> Result {
    let room = room()?;
    let draft = room.store.draft(&RootAttributes::default())?;
    fs::write(draft.diff_path().join("file"), "content")?;
    fs::create_dir(draft.work_path().join("work"))?;
    drop(draft);
    room.store.sweep()?;
    assert_eq!(room.entries("tmp/trash")?, 0);
    assert_eq!(room.entries("layers")?, 0);
    Ok(())
}

#[test]
fn a_draft_begins_with_the_root_attributes_of_the_layer_below() -> Result {
    let room = room()?;
    let below = RootAttributes {
        mode: 0o1751,
        mtime: Some(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000)),
        ..RootAttributes::default()
    };
    let draft = room.store.draft(&below)?;
    let index = rbuild_layer::ContentIndex::default();
    let id = LayerId::Made(index.content_id());
    let made = room.store.commit_layer(draft, index, id)?;
    let found = RootAttributes::of(&made)?;
    assert_eq!((found.mode, found.mtime), (below.mode, below.mtime));
    Ok(())
}

#[test]
fn a_row_whose_directory_is_gone_is_forgotten() -> Result {
    let room = room()?;
    let id = layer(&room.store, "file", b"content")?.id();
    fs::remove_dir_all(room.root().join("layers").join(id.to_string()))?;
    assert!(room.again()?.layer(&id)?.is_none());
    assert_eq!(room.count("SELECT COUNT(*) FROM layers")?, 0);
    layer(&room.again()?, "file", b"content")?;
    Ok(())
}

#[test]
fn a_directory_without_a_row_is_never_used_and_swept() -> Result {
    let room = room()?;
    let id = layer(&room.store, "file", b"content")?.id();
    room.sql("DELETE FROM layers")?;
    fs::write(
        room.root()
            .join("layers")
            .join(id.to_string())
            .join("diff/file"),
        "changed",
    )?;
    let store = room.again()?;
    assert!(store.layer(&id)?.is_none());
    // The next commit of that layer puts its own files there.
    let made = layer(&store, "file", b"content")?;
    assert_eq!(fs::read(made.diff_path().join("file"))?, b"content");
    drop(made);
    room.sql("DELETE FROM layers")?;
    assert_eq!(store.sweep()?.unknown_layers, 1);
    assert_eq!(room.entries("layers")?, 0);
    assert_eq!(room.entries("tmp/trash")?, 0);
    Ok(())
}

#[test]
fn a_layer_of_an_earlier_boot_is_used_only_if_it_is_whole() -> Result {
    let room = room()?;
    let whole = layer(&room.store, "whole", b"content")?.id();
    let torn = layer(&room.store, "torn", b"content")?.id();
    room.sql("UPDATE layers SET boot = 'an earlier one'")?;
    let path = room.root().join("layers").join(torn.to_string());
    fs::write(path.join("diff/torn"), [0; 7])?;
    let store = room.again()?;
    assert!(store.layer(&whole)?.is_some());
    assert!(store.layer(&torn)?.is_none());
    assert!(!path.exists());
    Ok(())
}

#[test]
fn a_synced_layer_of_an_earlier_boot_is_not_read_again() -> Result {
    let room = room()?;
    let id = layer(&room.store, "file", b"content")?.id();
    room.store.sync()?;
    room.sql("UPDATE layers SET boot = 'an earlier one'")?;
    fs::write(
        room.root()
            .join("layers")
            .join(id.to_string())
            .join("index"),
        "",
    )?;
    assert!(room.again()?.layer(&id)?.is_some());
    Ok(())
}

#[test]
fn a_layer_is_found_by_its_diff_id() -> Result {
    let room = room()?;
    let id = layer(&room.store, "file", b"content")?.id();
    let diff_id = DiffId(Digest::sha256_of(b"its tar"));
    assert_eq!(room.store.diff_id(&id, FileTimes::Own)?, None);
    assert_eq!(room.store.layer_by_diff_id(&diff_id)?, None);
    room.store
        .set_diff_id(&id, FileTimes::Own, &diff_id, 2048)?;
    assert_eq!(
        room.store.diff_id(&id, FileTimes::Own)?,
        Some((diff_id, 2048))
    );
    assert_eq!(room.store.layer_by_diff_id(&diff_id)?, Some(id));
    Ok(())
}

#[test]
fn a_layer_has_another_diff_id_for_each_dating() -> Result {
    let room = room()?;
    let id = layer(&room.store, "file", b"content")?.id();
    let diff_id = |text: &[u8]| DiffId(Digest::sha256_of(text));
    let fixed = FileTimes::Fixed(1_700_000_000);
    let known = [
        (FileTimes::Own, diff_id(b"own")),
        (fixed, diff_id(b"fixed")),
        (FileTimes::Fixed(-1), diff_id(b"before 1970")),
        (FileTimes::Bounded(1_700_000_000), diff_id(b"bounded")),
    ];
    for (times, digest) in &known {
        room.store.set_diff_id(&id, *times, digest, 2048)?;
    }
    for (times, digest) in known {
        assert_eq!(room.store.diff_id(&id, times)?, Some((digest, 2048)));
        assert_eq!(room.store.layer_tar(&digest)?, Some((id, times)));
    }
    let pulled = LayerId::Pulled(diff_id(b"fixed"));
    let found = room
        .store
        .layer(&pulled)?
        .ok_or("the base of another build")?;
    assert_eq!(found.id(), id);
    assert_eq!(
        found.dated_index(fixed)?.entries()[0].mtime.seconds,
        1_700_000_000
    );
    Ok(())
}

#[test]
fn an_image_keeps_its_layers_whatever_their_dates() -> Result {
    let room = room()?;
    let id = {
        let layer = layer(&room.store, "file", b"content")?;
        let descriptor = dated_image(&room.store, &[&layer], FileTimes::Fixed(5), "dated")?;
        room.store.add_image(&descriptor, &ImageOrigin::Local)?;
        layer.id()
    };
    let pruned = room.store.prune(&PruneOptions::default())?;
    assert_eq!(pruned.collected.layers, []);
    assert!(room.store.layer(&id)?.is_some());
    Ok(())
}

#[test]
fn a_layer_stays_while_any_handle_of_any_store_is_open() -> Result {
    let room = room()?;
    let other = room.again()?;
    let id = layer(&room.store, "file", b"content")?.id();
    let handle = other.layer(&id)?.expect("it was committed");
    let pruned = room.store.prune(&PruneOptions::default())?;
    assert!(pruned.collected.layers.is_empty());
    drop(handle);
    let pruned = room.store.prune(&PruneOptions::default())?;
    assert_eq!(pruned.collected.layers, [id]);
    assert_eq!(pruned.bytes, 7);
    assert!(other.layer(&id)?.is_none());
    Ok(())
}

#[test]
fn a_layer_that_a_record_names_stays() -> Result {
    let room = room()?;
    let id = layer(&room.store, "file", b"content")?.id();
    record(&room.store, 1, &[id])?;
    room.store.prune(&PruneOptions::default())?;
    assert!(room.store.layer(&id)?.is_some());
    Ok(())
}

#[test]
fn threads_that_commit_the_same_layer_get_the_same() -> Result {
    let room = room()?;
    let stores: Vec<_> = (0..8).map(|_| room.again()).collect::<Result<_>>()?;
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(move || {
                for round in 0..20 {
                    let made = layer(store, "file", format!("round {round}").as_bytes())
                        .expect("commits do not disturb each other");
                    assert!(made.diff_path().join("file").exists());
                }
            });
        }
    });
    assert_eq!(room.entries("layers")?, 20);
    Ok(())
}
