//! What builds start from: known as long as it is remembered, here as long as there is room.

use crate::common::{
    DAY, Later, Result, at_most, base, container, is_known, key, keys, manifest, name, over,
    pulled_layer, step,
};
use rbuild_image::{DiffId, Digest, ImageConfig, LayerId};
use rbuild_store::{Action, CachePrune, ImagePrune, Prune, PruneOptions, UsageKind};

#[test]
fn what_builds_start_from_stays_though_no_image_has_it() -> Result {
    let later = Later::new()?;
    let made = base(&later.store()?, 1, 1_000)?;
    later.hands.advance(400 * DAY);
    let store = later.store()?;
    let pruned = store.collect_garbage(at_most(1_000_000), Action::Remove)?;
    assert_eq!(pruned, rbuild_store::Pruned::default());
    assert!(is_known(&store, 1)?);
    assert!(store.layer(&made)?.is_some());
    Ok(())
}

#[test]
fn the_layers_of_bases_go_when_room_is_needed_but_not_what_their_names_stand_for() -> Result {
    let later = Later::new()?;
    let (unused, used) = {
        let store = later.store()?;
        let layers = (base(&store, 1, 2_000)?, base(&store, 2, 2_000)?);
        later.hands.advance(30 * DAY);
        // A warm build looks its base up, and reads nothing of it.
        assert!(is_known(&store, 2)?);
        step(&store, 3, 600, 1_000)?;
        layers
    };
    let store = later.store()?;
    let rehearsed = store.collect_garbage(at_most(3_500), Action::Rehearse)?;
    assert_eq!(rehearsed.collected.layers, [unused]);
    let pruned = store.collect_garbage(at_most(3_500), Action::Remove)?;
    assert_eq!(pruned.collected.layers, [unused]);
    assert_eq!(pruned.bytes, rehearsed.bytes);
    let pruned = store.collect_garbage(at_most(1_500), Action::Remove)?;
    assert_eq!(pruned.collected.layers, [used]);
    let pruned = store.collect_garbage(at_most(1), Action::Remove)?;
    assert_eq!(keys(&pruned), [key(3)]);
    assert!(is_known(&store, 1)? && is_known(&store, 2)?);
    Ok(())
}

#[test]
fn a_prune_forgets_bases_unless_an_image_is_built_on_them() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        base(&store, 1, 1_000)?;
        let of_app = base(&store, 2, 1_000)?;
        let LayerId::Pulled(diff_id) = of_app else {
            unreachable!("it was pulled");
        };
        let config = ImageConfig {
            author: "app".to_owned(),
            ..over(diff_id)
        };
        store.set_tag(&name("app"), &manifest(&store, &config, &[])?)?;
    }
    let store = later.store()?;
    let bases = store.usage()?.totals;
    let bases = bases.iter().find(|total| total.kind == UsageKind::Base);
    let bases = bases.expect("every kind has a total");
    assert_eq!((bases.count, bases.active, bases.bytes), (2, 1, 1_000));
    let unused = PruneOptions {
        cache: CachePrune::All,
        bases: Prune::Unused,
        ..PruneOptions::default()
    };
    let rehearsed = store.prune(&PruneOptions {
        action: Action::Rehearse,
        ..unused
    })?;
    let pruned = later.store()?.prune(&unused)?;
    assert_eq!(pruned.bases.len(), 1);
    assert_eq!(rehearsed.bytes, pruned.bytes);
    assert!(!is_known(&store, 1)?);
    assert!(is_known(&store, 2)?);
    Ok(())
}

#[test]
fn a_pulled_layer_goes_with_the_last_image_and_container_that_needs_it() -> Result {
    let later = Later::new()?;
    {
        let store = later.store()?;
        let diff_id = DiffId(Digest::sha256_of(b"of the image"));
        let own = pulled_layer(&store, diff_id, 1_000)?;
        let other = pulled_layer(&store, DiffId(Digest::sha256_of(b"other")), 1_000)?;
        store.set_tag(&name("app"), &manifest(&store, &over(diff_id), &[])?)?;
        container(&store, "aa11", "busy_bee", &[own, other])?;
    }
    let all = PruneOptions {
        images: ImagePrune::Unused,
        containers: Prune::Unused,
        ..PruneOptions::default()
    };
    let rehearsed = later.store()?.prune(&PruneOptions {
        action: Action::Rehearse,
        ..all
    })?;
    let pruned = later.store()?.prune(&all)?;
    assert_eq!(pruned.collected.layers.len(), 2);
    assert_eq!(pruned.bytes, rehearsed.bytes);
    assert_eq!(later.room.entries("layers")?, 0);
    Ok(())
}

#[test]
fn removing_an_image_takes_what_only_it_needed_and_nothing_else() -> Result {
    let later = Later::new()?;
    let (of_image, other) = {
        let store = later.store()?;
        let diff_id = DiffId(Digest::sha256_of(b"of the image"));
        let of_image = pulled_layer(&store, diff_id, 1_000)?;
        let other = pulled_layer(&store, DiffId(Digest::sha256_of(b"other")), 1_000)?;
        store.set_tag(&name("app"), &manifest(&store, &over(diff_id), &[])?)?;
        (of_image, other)
    };
    let store = later.store()?;
    let removal = store.untag(&name("app"))?.expect("it is there");
    assert_eq!(removal.collected.layers, [of_image]);
    assert_eq!(removal.collected.blobs.len(), 2);
    assert!(store.layer(&other)?.is_some());
    Ok(())
}
