//! Many processes on one root, killed whenever.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

use crate::common::{Result, image, key, layer, name, record, role, room, spawn};
use rbuild_image::LayerId;
use rbuild_store::{Action, CachePrune, ImagePrune, Limits, PruneOptions, RootAttributes, Store};

/// Steps that every builder shares.
const STEPS: u64 = 12;

/// What a build does to the store: looks up its steps, runs those that are missing, names an image.
fn build(store: &Store, own: &str) -> Result {
    let mut layers = Vec::new();
    for step in 0..STEPS {
        let _one_runs_it = store.lock(&key(step).to_string(), &|| false)?;
        let known = match store.record(&key(step))? {
            Some(found) => store.layer(&found.layers[0])?,
            None => None,
        };
        let made = if let Some(made) = known {
            made
        } else {
            let made = layer(store, &format!("step-{step}"), &[step as u8; 4096])?;
            record(store, step, &[made.id()])?;
            fs::File::options()
                .append(true)
                .create(true)
                .open(store.root().join("executed"))
                .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))?;
            made
        };
        check(store, made.id(), step)?;
        layers.push(made);
    }
    let draft = store.draft(&RootAttributes::default())?;
    fs::write(draft.diff_path().join("half"), [0; 8192])?;
    let handles: Vec<_> = layers.iter().map(AsRef::as_ref).collect();
    let one = image(store, &handles, own)?;
    store.set_tag(&name(&format!("app:{own}")), &one)?;
    Ok(())
}

/// Nothing half-written is visible.
fn check(store: &Store, id: LayerId, step: u64) -> Result {
    let found = store.layer(&id)?.ok_or("a layer in use is gone")?;
    let bytes = fs::read(found.diff_path().join(format!("step-{step}")))?;
    if bytes != [step as u8; 4096] {
        return Err("a layer was torn".into());
    }
    found.index()?;
    Ok(())
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn builds_until_killed() -> Result {
    let Some((root, own)) = role() else {
        return Ok(());
    };
    loop {
        let store = Store::open(&root)?;
        build(&store, &own)?;
        for step in 0..STEPS {
            store.remove_record(&key(step))?;
        }
        store.prune(&PruneOptions::default())?;
        store.sweep()?;
    }
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn builds_once() -> Result {
    let Some((root, own)) = role() else {
        return Ok(());
    };
    build(&Store::open(&root)?, &own)
}

#[test]
fn twenty_processes_build_on_a_new_root_and_run_each_step_once() -> Result {
    let room = tempfile::tempdir()?;
    let builders: Vec<Child> = (0..20)
        .map(|number| spawn("processes::builds_once", room.path(), &number.to_string()))
        .collect::<Result<_>>()?;
    for mut builder in builders {
        assert!(builder.wait()?.success(), "a build failed");
    }
    assert_eq!(fs::read(room.path().join("executed"))?.len() as u64, STEPS);
    let store = Store::open(room.path())?;
    assert_eq!(store.images()?.len(), 20);
    assert_eq!(store.layer_ids()?.len() as u64, STEPS);
    store.sweep()?;
    assert_eq!(fs::read_dir(room.path().join("tmp/trash"))?.count(), 0);
    assert_eq!(fs::read_dir(room.path().join("tmp"))?.count(), 1);
    assert_eq!(fs::read_dir(room.path().join("locks"))?.count(), 0);
    Ok(())
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn does_all_there_is_at_once() -> Result {
    let Some((root, own)) = role() else {
        return Ok(());
    };
    let number: u64 = own.parse()?;
    for round in 0..6 {
        let store = Store::open(&root)?;
        match (number + round) % 6 {
            0 | 1 => build(&store, &own)?,
            2 => drop(store.prune(&PruneOptions {
                cache: CachePrune::All,
                images: ImagePrune::Unused,
                ..PruneOptions::default()
            })?),
            3 => drop(store.usage()?),
            4 => drop(store.check(&|_| {})?),
            _ => {
                store.sync()?;
                store.sweep()?;
                let limits = Limits {
                    max_used: Some(20_000),
                    ..Limits::default()
                };
                store.collect_garbage(limits, Action::Remove)?;
            }
        }
    }
    Ok(())
}

#[test]
fn builds_prunes_checks_and_collections_at_once_never_fail() -> Result {
    let room = tempfile::tempdir()?;
    let processes: Vec<Child> = (0..50)
        .map(|number| {
            spawn(
                "processes::does_all_there_is_at_once",
                room.path(),
                &number.to_string(),
            )
        })
        .collect::<Result<_>>()?;
    for mut process in processes {
        assert!(process.wait()?.success(), "a process failed");
    }
    let store = Store::open(room.path())?;
    store.sweep()?;
    assert_eq!(store.check(&|_| {})?.damages, []);
    Ok(())
}

#[test]
fn killed_at_any_instant_the_next_process_finds_everything_whole() -> Result {
    let room = room()?;
    let seed = std::process::id();
    for round in 0_u32..50 {
        let mut killed: Vec<Child> = (0..2)
            .map(|number| {
                spawn(
                    "processes::builds_until_killed",
                    room.root(),
                    &number.to_string(),
                )
            })
            .collect::<Result<_>>()?;
        // Spread over the start of a process and several of its builds.
        let wait = (seed.wrapping_add(round).wrapping_mul(2_654_435_761) >> 16) % 120;
        std::thread::sleep(Duration::from_millis(u64::from(wait)));
        for child in &mut killed {
            child.kill()?;
        }
        for mut child in killed {
            let ended = child.wait()?.signal();
            assert_eq!(ended, Some(9), "it works until it is killed");
        }
        let store = room.again()?;
        build(&store, "after")?;
        for id in store.layer_ids()? {
            let found = store.layer(&id)?.ok_or("a row has no directory")?;
            let again = rbuild_layer::index_upper(
                std::os::fd::AsFd::as_fd(&found.open_diff()?),
                rbuild_layer::OverlayFlavor::current(),
            )?;
            assert_eq!(again.content_id(), found.index()?.content_id());
        }
        for one in store.images()? {
            assert!(store.read_blob(&one.digest)?.is_some());
            assert!(store.read_blob(&one.id)?.is_some());
        }
    }
    room.again()?.sweep()?;
    let store = room.again()?;
    assert_eq!(room.entries("tmp")?, 1);
    assert_eq!(room.entries("tmp/trash")?, 0);
    assert_eq!(room.entries("layers")?, store.layer_ids()?.len());
    let check: String = rusqlite::Connection::open(room.root().join("rbuild.db"))?.query_row(
        "PRAGMA integrity_check",
        [],
        |row| row.get(0),
    )?;
    assert_eq!(check, "ok");
    Ok(())
}
