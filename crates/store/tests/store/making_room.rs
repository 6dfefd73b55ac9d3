//! What goes when room is made, in which order, and what never does.

use std::fs;

use crate::common::{
    DAY, HOUR, Later, Result, at_most, container, image, key, keys, layer, mount, name, record_of,
    step,
};
use rbuild_store::{
    Action, CachePrune, Choice, ImagePrune, Limits, Prune, PruneOptions, Store, UsageKind,
};

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
    assert_eq!(keys(&pruned), [key(2)]);
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
    assert_eq!(keys(&pruned), [key(1)]);
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
fn sources_of_the_day_before_yesterday_go_from_a_large_cache() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        step(&store, 1, 1, 1_000)?;
        mount(&store, "cargo", 1_000)?;
        fs::write(later.room.root().join("contexts/dd"), "known")?;
        later.hands.advance(3 * DAY);
    }
    later.room.sql("UPDATE layers SET bytes = 600000000")?;
    let reserved = Limits {
        reserved: Some(1 << 40),
        ..Limits::default()
    };
    let kept = later.store()?.collect_garbage(reserved, Action::Remove)?;
    assert_eq!(kept, rbuild_store::Pruned::default());
    let pruned = later
        .store()?
        .collect_garbage(at_most(1 << 40), Action::Remove)?;
    let kinds: Vec<UsageKind> = pruned.fetched.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [UsageKind::Context]);
    assert_eq!(pruned.mounts, []);
    assert_eq!(keys(&pruned), []);
    Ok(())
}

/// Needs more to be free than is: by what factor.
fn scarce(store: &Store, factor: u64) -> Result<Limits> {
    Ok(Limits {
        min_free: Some(store.disk()?.free * factor),
        ..Limits::default()
    })
}

#[test]
fn a_disk_full_of_other_things_takes_neither_what_is_reserved_nor_what_was_just_used() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        step(&store, 1, 600, 1_000)?; // compiled
        step(&store, 2, 1, 1_000)?;
        later.hands.advance(3 * HOUR);
        step(&store, 3, 1, 9_000)?; // just now, worth least
    }
    let store = later.store()?;
    let reserved = Limits {
        reserved: Some(10_000),
        ..scarce(&store, 2)?
    };
    let pruned = store.collect_garbage(reserved, Action::Remove)?;
    assert_eq!(keys(&pruned), [key(2)]);
    let pruned = store.collect_garbage(scarce(&store, 2)?, Action::Remove)?;
    assert_eq!(keys(&pruned), [key(1)]);
    // Where next to nothing is free, all must go.
    let pruned = store.collect_garbage(scarce(&store, 8)?, Action::Remove)?;
    assert_eq!(keys(&pruned), [key(3)]);
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
    assert_eq!(keys(&pruned), [key(4)]);
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
        record_of(&store, 2, "project", 1, &[shared])?;
        step(&store, 3, 100, 10_000)?;
    }
    let pruned = later
        .store()?
        .collect_garbage(at_most(15_000), Action::Remove)?;
    assert_eq!(keys(&pruned), [key(1), key(2)]);
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
        let made = store.layer(&one)?.expect("made");
        let app = image(&store, &[&made], "app")?;
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
    assert_eq!(keys(&pruned), [key(2)]);
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
    record_of(&store, 1, "one", 1, &[shared])?;
    record_of(&store, 2, "one", 1, &[own])?;
    record_of(&store, 3, "other", 1, &[shared])?;
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
