//! What goes when room is made, in which order, and what never does.
mod common;

use std::fs;
use std::time::Duration;

use common::{Hands, Result, Room, container, image, key, layer, name, room};
use rbuild_image::LayerId;
use rbuild_store::{
    Action, CacheMountSpec, CachePrune, CacheSharing, Choice, ImagePrune, Limits, NewRecord, Prune,
    PruneOptions, Store, UsageKind,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn record(store: &Store, number: u64, scope: &str, seconds: u64, layers: &[LayerId]) -> Result {
    store.put_record(&NewRecord {
        key: &key(number),
        scope,
        name: &format!("RUN step {number}"),
        layers,
        outcome: b"",
        preimage: b"",
        run_time: Duration::from_secs(seconds),
    })?;
    Ok(())
}

/// A record of a layer of its own.
fn step(store: &Store, number: u64, seconds: u64, bytes: usize) -> Result<LayerId> {
    let id = layer(store, &format!("file-{number}"), &vec![number as u8; bytes])?.id();
    record(store, number, "project", seconds, &[id])?;
    Ok(id)
}

fn mount(store: &Store, id: &str, bytes: usize) -> Result {
    let spec = CacheMountSpec {
        id,
        seed: "",
        sharing: CacheSharing::Shared,
        mode: 0o755,
        uid: 0,
        gid: 0,
        place: None,
    };
    let mount = store.cache_mount(&spec, &|| false)?;
    fs::write(mount.path().join("file"), vec![0; bytes])?;
    Ok(())
}

fn at_most(bytes: u64) -> Limits {
    Limits {
        max_used: Some(bytes),
        ..Limits::default()
    }
}

/// A store whose clock a test turns; whatever it was opened for before is done.
struct Later {
    room: Room,
    hands: Hands,
}

impl Later {
    fn new() -> Result<Self> {
        Ok(Self {
            room: room()?,
            hands: Hands::new(),
        })
    }

    fn store(&self) -> Result<Store> {
        self.hands.advance(Duration::from_millis(5));
        Ok(Store::open_with_clock(
            self.room.root(),
            self.hands.clock(),
        )?)
    }
}

#[test]
fn what_took_long_and_is_small_outlives_what_was_quick_and_is_large() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        step(&store, 1, 600, 1_000)?; // compiled
        later.hands.advance(HOUR);
        step(&store, 2, 1, 50_000)?; // copied, and used later
    }
    let pruned = later
        .store()?
        .collect_garbage(at_most(10_000), Action::Remove)?;
    assert_eq!(pruned.records, [key(2)]);
    assert_eq!(pruned.bytes, 50_000);
    Ok(())
}

#[test]
fn what_was_not_used_for_two_months_goes_before_what_is_worth_less() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        step(&store, 1, 3_600_000, 1_000)?;
        later.hands.advance(61 * DAY);
        step(&store, 2, 1, 50_000)?;
    }
    let pruned = later
        .store()?
        .collect_garbage(at_most(50_500), Action::Remove)?;
    assert_eq!(pruned.records, [key(1)]);
    Ok(())
}

#[test]
fn within_its_limits_a_cache_keeps_all_however_old() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        step(&store, 1, 1, 1_000)?;
        mount(&store, "cargo", 1_000)?;
    }
    later.hands.advance(400 * DAY);
    let pruned = later
        .store()?
        .collect_garbage(at_most(1_000_000), Action::Remove)?;
    assert_eq!(pruned, rbuild_store::Pruned::default());
    Ok(())
}

#[test]
fn sources_and_cache_mounts_of_the_day_before_yesterday_go_from_a_large_cache() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        step(&store, 1, 1, 1_000)?;
        mount(&store, "old", 1_000)?;
        later.hands.advance(3 * DAY);
        mount(&store, "new", 1_000)?;
    }
    later.room.sql("UPDATE layers SET bytes = 600000000")?;
    let pruned = later
        .store()?
        .collect_garbage(at_most(1 << 40), Action::Remove)?;
    let names: Vec<&str> = pruned
        .mounts
        .iter()
        .map(|mount| mount.name.as_str())
        .collect();
    assert_eq!(names, ["old"]);
    assert_eq!(pruned.records, []);
    Ok(())
}

#[test]
fn a_cap_takes_nothing_that_an_image_a_container_or_a_process_uses() -> Result {
    let later = Later::new()?;
    let builder = later.store()?;
    let of_image = step(&builder, 1, 1, 1_000)?;
    let of_container = step(&builder, 2, 1, 1_000)?;
    let of_process = step(&builder, 3, 1, 1_000)?;
    let of_nobody = step(&builder, 4, 1, 1_000)?;
    let pinned = builder.layer(&of_image)?.expect("made");
    let app = image(&builder, &[&pinned], "app")?;
    builder.set_tag(&name("app"), &app)?;
    container(&builder, "aa11", "busy_bee", &[of_container])?;
    drop((pinned, builder));
    let user = later.store()?;
    let _used = user.layer(&of_process)?.expect("made");
    let store = later.store()?;
    let pruned = store.collect_garbage(at_most(1), Action::Remove)?;
    assert_eq!(pruned.records, [key(4)]);
    assert_eq!(pruned.collected.layers, [of_nobody]);
    for id in [of_image, of_container, of_process] {
        assert!(store.layer(&id)?.is_some());
    }
    assert!(store.record(&key(1))?.is_some());
    Ok(())
}

#[test]
fn two_records_of_one_layer_go_together_or_not_at_all() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        let shared = step(&store, 1, 1, 10_000)?;
        record(&store, 2, "project", 1, &[shared])?;
        step(&store, 3, 100, 10_000)?;
    }
    let pruned = later
        .store()?
        .collect_garbage(at_most(15_000), Action::Remove)?;
    assert_eq!(pruned.records, [key(1), key(2)]);
    assert_eq!(pruned.bytes, 10_000);
    Ok(())
}

#[test]
fn a_rehearsal_tells_what_a_prune_then_does_and_changes_nothing() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        let one = step(&store, 1, 1, 1_000)?;
        step(&store, 2, 1, 2_000)?;
        mount(&store, "cargo", 5_000)?;
        let layer = store.layer(&one)?.expect("made");
        let app = image(&store, &[&layer], "app")?;
        store.set_tag(&name("app"), &app)?;
        container(&store, "aa11", "busy_bee", &[one])?;
    }
    let everything = PruneOptions {
        images: ImagePrune::Unused,
        cache: CachePrune::All,
        mounts: Prune::Unused,
        fetched: Prune::Unused,
        blobs: Prune::Unused,
        containers: Prune::Unused,
        ..PruneOptions::default()
    };
    let rehearsed = later.store()?.prune(&PruneOptions {
        action: Action::Rehearse,
        ..everything
    })?;
    let store = later.store()?;
    assert_eq!(store.records()?.len(), 2);
    assert_eq!(store.images()?.len(), 1);
    drop(store);
    let mut pruned = later.store()?.prune(&everything)?;
    pruned.collected.layers.sort_by_key(ToString::to_string);
    pruned.collected.blobs.sort();
    assert_eq!(rehearsed.bytes, pruned.bytes);
    assert_eq!(rehearsed.records, pruned.records);
    assert_eq!(rehearsed.mounts, pruned.mounts);
    assert_eq!(rehearsed.images, pruned.images);
    assert_eq!(rehearsed.containers, pruned.containers);
    assert_eq!(rehearsed.collected.layers, pruned.collected.layers);
    assert_eq!(rehearsed.collected.blobs, pruned.collected.blobs);
    assert_eq!(later.room.entries("layers")?, 0);
    Ok(())
}

#[test]
fn only_what_was_chosen_goes() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        step(&store, 1, 1, 1_000)?;
        step(&store, 2, 1, 1_000)?;
        mount(&store, "cargo", 5_000)?;
    }
    let pruned = later.store()?.prune(&PruneOptions {
        cache: CachePrune::All,
        mounts: Prune::Unused,
        only: Some(Choice(&|item| item.name == "RUN step 2")),
        ..PruneOptions::default()
    })?;
    assert_eq!(pruned.records, [key(2)]);
    assert_eq!(pruned.mounts, []);
    Ok(())
}

#[test]
fn clones_and_downloads_go_unless_a_build_uses_them() -> Result {
    let later = Later::new()?;
    let root = later.room.root();
    for hash in ["aa", "bb"] {
        fs::create_dir_all(root.join(format!("git/{hash}.git/objects")))?;
        fs::write(
            root.join(format!("git/{hash}.git/objects/pack")),
            vec![0; 9_000],
        )?;
        fs::write(root.join(format!("git/{hash}.lock")), "")?;
    }
    fs::create_dir_all(root.join("http"))?;
    fs::write(
        root.join("http/cc.json"),
        r#"{"url":"https://u:p@example.com/x?key=1"}"#,
    )?;
    fs::write(root.join("http/cc-0123"), vec![0; 9_000])?;
    fs::write(root.join("contexts/dd"), "known")?;
    let used = fs::File::open(root.join("git/bb.lock"))?;
    used.lock()?;

    let store = later.store()?;
    let usage = store.usage()?;
    let of = |kind| {
        usage
            .totals
            .iter()
            .find(|total| total.kind == kind)
            .copied()
    };
    let git = of(UsageKind::Git).expect("every kind has a total");
    assert_eq!((git.count, git.active), (2, 1));
    assert!(git.reclaimable >= 9_000 && git.reclaimable < git.bytes);
    let http = usage
        .items
        .iter()
        .find(|item| item.kind == UsageKind::Http)
        .expect("listed");
    assert_eq!(http.name, "https://example.com/x");
    assert!(http.bytes >= 9_000);

    let pruned = store.prune(&PruneOptions {
        fetched: Prune::Unused,
        ..PruneOptions::default()
    })?;
    assert_eq!(pruned.fetched.len(), 3);
    assert!(root.join("git/bb.git").exists());
    assert!(!root.join("git/aa.git").exists());
    assert_eq!(later.room.entries("http")?, 0);
    assert_eq!(later.room.entries("contexts")?, 0);
    Ok(())
}

#[test]
fn a_project_tells_what_it_shares_with_others() -> Result {
    let later = Later::new()?;
    let store = later.store()?;
    let shared = layer(&store, "shared", &[1; 1_000])?.id();
    let own = layer(&store, "own", &[2; 100])?.id();
    record(&store, 1, "one", 1, &[shared])?;
    record(&store, 2, "one", 1, &[own])?;
    record(&store, 3, "other", 1, &[shared])?;
    let projects = store.usage()?.projects;
    let lines: Vec<_> = projects
        .iter()
        .map(|one| (one.scope.as_str(), one.count, one.bytes, one.shared))
        .collect();
    assert_eq!(
        lines,
        [("one", 2, 1_100, 1_000), ("other", 1, 1_000, 1_000)]
    );
    Ok(())
}
