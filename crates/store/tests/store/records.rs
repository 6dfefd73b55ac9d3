//! Cache records, base resolutions, containers, and the room that they take.

use std::fs;
use std::time::Duration;

use crate::common::{Hands, Result, container, image, key, keys, layer, name, record, room};
use rbuild_image::{Descriptor, Digest, MediaType, Platform};
use rbuild_store::{
    Action, CacheMountSpec, CachePrune, CacheSharing, ContainerState, FastKey, ImagePrune, Limits,
    NewRecord, Prune, PruneOptions, Store, StoreError, UsageKind,
};

#[test]
fn a_record_gives_back_what_was_put() -> Result {
    let room = room()?;
    let one = layer(&room.store, "one", b"1")?.id();
    let two = layer(&room.store, "two", b"22")?.id();
    let preimage = b"RUN make ".repeat(1000);
    room.store.put_record(&NewRecord {
        key: &key(1),
        scope: "project",
        name: "RUN make",
        layers: &[two, one],
        outcome: b"outcome",
        preimage: &preimage,
        run_time: Duration::from_millis(1500),
    })?;
    let found = room.again()?.record(&key(1))?.expect("it was put");
    assert_eq!(found.layers, [two, one]);
    assert_eq!(found.outcome, b"outcome");
    assert_eq!(found.run_time, Duration::from_millis(1500));
    assert_eq!(found.bytes, 3);
    assert_eq!(room.store.preimage(&key(1))?, Some(preimage));
    assert!(room.store.record(&key(2))?.is_none());
    Ok(())
}

#[test]
fn a_record_is_nothing_without_its_layers() -> Result {
    let room = room()?;
    let id = layer(&room.store, "file", b"content")?.id();
    record(&room.store, 1, &[id])?;
    fs::remove_dir_all(room.root().join("layers").join(id.to_string()))?;
    let store = room.again()?;
    assert!(store.layer(&id)?.is_none());
    assert!(store.record(&key(1))?.is_none());
    let outcome = record(&store, 2, &[id]);
    assert!(outcome.is_err());
    Ok(())
}

#[test]
fn an_alias_leads_to_its_record_and_goes_with_it() -> Result {
    let room = room()?;
    record(&room.store, 1, &[])?;
    let fast = FastKey([9; 32]);
    room.store.alias(&fast, &key(1))?;
    let found = room.store.record_by_alias(&fast)?.expect("it has a record");
    assert_eq!(found.key, key(1));
    assert!(room.store.remove_record(&key(1))?);
    assert!(room.store.record_by_alias(&fast)?.is_none());
    room.store.alias(&fast, &key(2))?;
    assert!(room.store.record_by_alias(&fast)?.is_none());
    Ok(())
}

#[test]
fn earlier_records_of_a_step_come_newest_first() -> Result {
    let room = room()?;
    let hands = Hands::new();
    let store = Store::open_with_clock(room.root(), hands.clock())?;
    for number in 0..5 {
        hands.advance(Duration::from_secs(1));
        record(&store, number, &[])?;
    }
    let found = store.records_named("project", "RUN make", 2)?;
    let keys: Vec<_> = found.iter().map(|one| one.key).collect();
    assert_eq!(keys, [key(4), key(3)]);
    assert!(store.records_named("project", "RUN test", 2)?.is_empty());
    assert_eq!(store.records_in_scope("project", 10)?.len(), 5);
    Ok(())
}

#[test]
fn a_use_is_noted_once_an_hour() -> Result {
    let room = room()?;
    let hands = Hands::new();
    let store = Store::open_with_clock(room.root(), hands.clock())?;
    record(&store, 1, &[])?;
    let made = store.record(&key(1))?.expect("put").last_used;
    hands.advance(Duration::from_secs(600));
    store.record(&key(1))?;
    drop(store);
    let store = Store::open_with_clock(room.root(), hands.clock())?;
    assert_eq!(store.record(&key(1))?.expect("put").last_used, made);
    hands.advance(Duration::from_secs(3600));
    store.record(&key(1))?;
    drop(store);
    let used = room.store.record(&key(1))?.expect("put").last_used;
    assert_eq!(used.duration_since(made)?, Duration::from_secs(4200));
    Ok(())
}

#[test]
fn a_resolution_is_remembered_per_platform() -> Result {
    let room = room()?;
    let amd64: Platform = "linux/amd64".parse()?;
    let arm64: Platform = "linux/arm64".parse()?;
    let digest = Digest::sha256_of(b"manifest");
    let descriptor = Descriptor::new(MediaType::ImageManifest, 8, digest);
    room.store
        .set_resolution(&name("debian"), &amd64, &descriptor)?;
    let found = room.store.resolution(&name("debian"), &amd64)?;
    assert_eq!(found.expect("remembered").descriptor, descriptor);
    assert!(room.store.resolution(&name("debian"), &arm64)?.is_none());
    Ok(())
}

#[test]
fn a_container_is_found_by_name_and_by_the_beginning_of_its_id() -> Result {
    let room = room()?;
    container(&room.store, "aa11", "busy_bee", &[])?;
    container(&room.store, "aa22", "lazy_fox", &[])?;
    let taken = container(&room.store, "aa33", "busy_bee", &[]);
    assert!(taken.is_err_and(|error| error.to_string().contains("busy_bee")));
    assert_eq!(room.store.container("lazy_fox")?.expect("there").id, "aa22");
    assert_eq!(room.store.container("aa1")?.expect("there").id, "aa11");
    let ambiguous = room.store.container("aa");
    assert!(matches!(ambiguous, Err(StoreError::Ambiguous { .. })));
    assert!(room.store.container("")?.is_none());
    room.store.rename_container("aa11", "calm_cat")?;
    assert!(room.store.container("busy_bee")?.is_none());
    let taken = room.store.rename_container("aa11", "lazy_fox");
    assert!(matches!(taken, Err(StoreError::NameTaken { .. })));
    Ok(())
}

#[test]
fn only_one_of_many_starts_a_container() -> Result {
    let room = room()?;
    container(&room.store, "aa11", "busy_bee", &[])?;
    let stores: Vec<_> = (0..6).map(|_| room.again()).collect::<Result<_>>()?;
    let started = std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .map(|store| scope.spawn(|| start(store).is_ok()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .filter(|&started| started)
            .count()
    });
    assert_eq!(started, 1);
    assert!(room.store.remove_container("aa11")?);
    assert!(!room.store.remove_container("aa11")?);
    assert_eq!(room.entries("containers")?, 0);
    Ok(())
}

fn start(store: &Store) -> std::result::Result<(), Box<dyn std::error::Error>> {
    store.update_container("aa11", |one| {
        if one.state != ContainerState::Created {
            return Err("it was started".into());
        }
        one.state = ContainerState::Running {
            pid: 1,
            start_ticks: 2,
            boot: String::new(),
            since: std::time::UNIX_EPOCH,
            restarts: 0,
        };
        Ok(())
    })
}

#[test]
fn of_equal_records_the_least_recently_used_go_until_the_cache_fits() -> Result {
    let room = room()?;
    let hands = Hands::new();
    let store = Store::open_with_clock(room.root(), hands.clock())?;
    let mut ids = Vec::new();
    for number in 0..5 {
        let one = layer(&store, &format!("file-{number}"), &[0; 1000])?;
        record(&store, number, &[one.id()])?;
        ids.push(one.id());
        hands.advance(Duration::from_secs(3600));
    }
    store.record(&key(0))?.expect("put"); // the oldest was just of use
    drop(store); // and the process is done
    hands.advance(Duration::from_secs(1));
    let store = Store::open_with_clock(room.root(), hands.clock())?;
    assert_eq!(store.build_cache_bytes()?, 5000);
    let limits = Limits {
        max_used: Some(2500),
        ..Limits::default()
    };
    let pruned = store.collect_garbage(limits, Action::Remove)?;
    assert_eq!(keys(&pruned), [key(1), key(2), key(3)]);
    assert_eq!(pruned.bytes, 3000);
    assert_eq!(store.build_cache_bytes()?, 2000);
    assert!(store.layer(&ids[0])?.is_some());
    assert!(store.layer(&ids[1])?.is_none());
    assert_eq!(room.entries("layers")?, 2);
    Ok(())
}

#[test]
fn what_a_living_process_made_or_uses_is_not_pruned() -> Result {
    let room = room()?;
    let builder = room.again()?;
    let used = layer(&builder, "used", b"content")?;
    record(&builder, 1, &[used.id()])?;
    let blob = builder.put_blob(b"a manifest")?;
    let all = PruneOptions {
        images: ImagePrune::Unused,
        cache: CachePrune::All,
        mounts: Prune::Unused,
        containers: Prune::Unused,
        ..PruneOptions::default()
    };
    let pruned = room.store.prune(&all)?;
    assert_eq!(pruned, rbuild_store::Pruned::default());
    let id = used.id();
    drop((used, builder));
    std::thread::sleep(Duration::from_millis(2));
    let pruned = room.store.prune(&all)?;
    assert_eq!(keys(&pruned), [key(1)]);
    assert_eq!(pruned.collected.layers, [id]);
    assert_eq!(pruned.collected.blobs, [blob]);
    Ok(())
}

#[test]
fn what_an_image_was_built_from_stays_cached_when_only_the_unneeded_is_pruned() -> Result {
    let room = room()?;
    {
        let builder = room.again()?;
        let one = layer(&builder, "one", b"1")?;
        let two = layer(&builder, "two", b"2")?;
        record(&builder, 1, &[one.id()])?;
        record(&builder, 2, &[two.id()])?;
        let app = image(&builder, &[&one], "app")?;
        builder.set_tag(&name("app"), &app)?;
    }
    std::thread::sleep(Duration::from_millis(2));
    let pruned = room.store.prune(&PruneOptions {
        cache: CachePrune::Unneeded,
        ..PruneOptions::default()
    })?;
    assert_eq!(pruned.records.len(), 1);
    assert_eq!(room.store.records()?.len(), 1);
    Ok(())
}

#[test]
fn images_and_containers_keep_their_layers_from_every_prune() -> Result {
    let room = room()?;
    let (of_image, of_container) = {
        let builder = room.again()?;
        let one = layer(&builder, "one", b"1")?;
        let two = layer(&builder, "two", b"2")?;
        record(&builder, 1, &[one.id()])?;
        record(&builder, 2, &[two.id()])?;
        let app = image(&builder, &[&one], "app")?;
        builder.set_tag(&name("app"), &app)?;
        container(&builder, "aa11", "busy_bee", &[two.id()])?;
        (one.id(), two.id())
    };
    std::thread::sleep(Duration::from_millis(2));
    let pruned = room.store.prune(&PruneOptions {
        images: ImagePrune::Dangling,
        cache: CachePrune::All,
        ..PruneOptions::default()
    })?;
    assert_eq!(pruned.records.len(), 2);
    assert_eq!(pruned.bytes, 0);
    assert!(room.store.layer(&of_image)?.is_some());
    assert!(room.store.layer(&of_container)?.is_some());
    let pruned = room.store.prune(&PruneOptions {
        images: ImagePrune::Unused,
        containers: Prune::Unused,
        ..PruneOptions::default()
    })?;
    assert_eq!(pruned.containers, ["aa11"]);
    assert_eq!(pruned.images.len(), 1);
    assert_eq!(pruned.collected.layers.len(), 2);
    assert_eq!(pruned.collected.blobs.len(), 2);
    Ok(())
}

#[test]
fn usage_counts_what_is_shared_once() -> Result {
    let room = room()?;
    {
        let builder = room.again()?;
        let one = layer(&builder, "one", &[1; 100])?;
        let two = layer(&builder, "two", &[2; 10])?;
        record(&builder, 1, &[one.id()])?;
        record(&builder, 2, &[two.id()])?;
        for text in ["app", "other"] {
            let app = image(&builder, &[&one], text)?;
            builder.set_tag(&name(text), &app)?;
        }
        let spec = CacheMountSpec {
            id: "cargo",
            seed: "",
            sharing: CacheSharing::Shared,
            mode: 0o755,
            uid: 0,
            gid: 0,
            place: None,
        };
        let mount = builder.cache_mount(&spec, &|| false)?;
        fs::write(mount.path().join("crate"), [0; 5000])?;
    }
    let usage = room.store.usage()?;
    let total = |kind| {
        let found = usage.totals.iter().find(|total| total.kind == kind);
        found.copied().expect("every kind has a total")
    };
    let blobs: i64 = room.count("SELECT SUM(bytes) FROM blobs")?;
    let images = total(UsageKind::Image);
    assert_eq!((images.count, images.active), (2, 0));
    assert_eq!(images.bytes, 100 + blobs as u64);
    assert_eq!(total(UsageKind::BuildCache).bytes, 10);
    assert!(total(UsageKind::CacheMount).bytes >= 5000);
    let app = usage
        .items
        .iter()
        .find(|item| item.name == "app:latest")
        .expect("listed");
    assert_eq!(app.shared_bytes, 100);
    Ok(())
}
