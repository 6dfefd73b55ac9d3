//! Images, their names, and what other tools see of them.

use std::fs;
use std::process::Command;

use crate::common::{Result, image, layer, manifest, name, room};
use rbuild_image::{Compression, Descriptor, DiffId, Digest, ImageConfig, MediaType};
use rbuild_store::{ImageOrigin, NewContainer, StoreError};

#[test]
fn a_name_moves_from_image_to_image_and_leaves_a_dangling_one() -> Result {
    let room = room()?;
    let app = name("app:latest");
    let first = image(&room.store, &[], "first")?;
    let second = image(&room.store, &[], "second")?;
    room.store.set_tag(&app, &first)?;
    room.store.set_tag(&app, &second)?;
    assert_eq!(
        room.again()?.image(&app)?.expect("named").descriptor,
        second
    );
    let images = room.store.images()?;
    assert_eq!(images.len(), 2);
    assert_eq!(images.iter().filter(|one| one.names.is_empty()).count(), 1);
    Ok(())
}

#[test]
fn an_image_is_found_by_the_beginning_of_its_id() -> Result {
    let room = room()?;
    for number in 0..40 {
        let one = image(&room.store, &[], &number.to_string())?;
        room.store.set_tag(&name(&format!("app:{number}")), &one)?;
    }
    let id = room.store.image(&name("app:7"))?.expect("named").id;
    for prefix in [id.hex(), id.short(), id.to_string()] {
        assert_eq!(room.store.image_by_prefix(&prefix)?.expect("found").id, id);
    }
    assert!(room.store.image_by_prefix("zz")?.is_none());
    let first = &id.hex()[..1];
    let ambiguous = room.store.image_by_prefix(first);
    let same = |one: &rbuild_store::StoredImage| {
        one.id.hex().starts_with(first) || one.digest.hex().starts_with(first)
    };
    if room.store.images()?.iter().filter(|one| same(one)).count() > 1 {
        assert!(matches!(ambiguous, Err(StoreError::Ambiguous { .. })));
    }
    Ok(())
}

#[test]
fn removing_the_last_name_removes_the_image_and_only_what_it_needed() -> Result {
    let room = room()?;
    let shared = layer(&room.store, "shared", b"12345")?;
    let own = layer(&room.store, "own", b"123")?;
    let (shared_id, own_id) = (shared.id(), own.id());
    let app = image(&room.store, &[&shared, &own], "app")?;
    let other = image(&room.store, &[&shared], "other")?;
    room.store.set_tag(&name("app:1"), &app)?;
    room.store.set_tag(&name("app:2"), &app)?;
    room.store.set_tag(&name("other"), &other)?;
    drop((shared, own));
    let removal = room.store.untag(&name("app:1"))?.expect("it was there");
    assert_eq!(removal.untagged, [name("app:1")]);
    assert!(removal.deleted.is_empty());
    let removal = room.store.untag(&name("app:2"))?.expect("it was there");
    assert_eq!(removal.deleted.len(), 1);
    assert_eq!(removal.collected.layers, [own_id]);
    assert!(room.store.layer(&shared_id)?.is_some());
    assert!(room.store.untag(&name("app:2"))?.is_none());
    Ok(())
}

#[test]
fn an_image_that_a_container_uses_loses_its_name_only() -> Result {
    let room = room()?;
    let one = layer(&room.store, "file", b"content")?;
    let app = image(&room.store, &[&one], "app")?;
    room.store.set_tag(&name("app"), &app)?;
    let digest = room.store.image(&name("app"))?.expect("named").digest;
    room.store.create_container(&NewContainer {
        id: "c0ffee",
        name: "busy_bee",
        image: Some(&digest),
        image_name: "app",
        config: "{}",
        layers: &[one.id()],
    })?;
    let removal = room.store.untag(&name("app"))?.expect("it was there");
    assert!(removal.deleted.is_empty());
    assert_eq!(room.store.containers_of_image(&digest)?.len(), 1);
    assert!(room.store.image_by_digest(&digest)?.is_some());
    Ok(())
}

#[test]
fn an_image_without_its_documents_is_refused() -> Result {
    let room = room()?;
    let nowhere = Descriptor::new(MediaType::ImageManifest, 2, Digest::sha256_of(b"nothing"));
    let outcome = room.store.set_tag(&name("app"), &nowhere);
    assert!(matches!(outcome, Err(StoreError::MissingBlob { .. })));
    assert!(room.store.images()?.is_empty());
    Ok(())
}

#[test]
fn where_an_image_was_pulled_from_is_remembered() -> Result {
    let room = room()?;
    let one = image(&room.store, &[], "pulled")?;
    let origin = ImageOrigin::Registry(name("localhost:5000/team/app:1"));
    assert_eq!(room.store.add_image(&one, &origin)?.origin, origin);
    room.store.set_tag(&name("mine"), &one)?;
    assert_eq!(
        room.store.image(&name("mine"))?.expect("named").origin,
        origin
    );
    Ok(())
}

#[test]
fn every_repository_that_has_an_image_is_remembered() -> Result {
    let room = room()?;
    let one = image(&room.store, &[], "pulled")?;
    for known in [
        "busybox",
        "localhost:5000/team/app:1",
        "localhost:5000/team/app:2",
    ] {
        let origin = ImageOrigin::Registry(name(known));
        room.store.add_image(&one, &origin)?;
    }
    room.store.set_tag(&name("mine"), &one)?;
    let stored = room.store.image(&name("mine"))?.expect("named");
    let digest = stored.digest;
    let published: Vec<String> = stored.published.iter().map(ToString::to_string).collect();
    assert_eq!(
        published,
        [
            format!("docker.io/library/busybox@{digest}"),
            format!("localhost:5000/team/app@{digest}"),
        ]
    );
    // One that was entered before repositories were remembered is known by its origin.
    room.sql("DELETE FROM image_repositories")?;
    let stored = room.store.image(&name("mine"))?.expect("named");
    assert_eq!(stored.published.len(), 1);
    room.store.remove_image(&digest)?;
    assert_eq!(room.count("SELECT COUNT(*) FROM image_repositories")?, 0);
    Ok(())
}

#[test]
fn blobs_are_what_their_names_say_or_nothing() -> Result {
    use std::io::Write as _;
    let room = room()?;
    let mut writer = room.store.blob_writer()?;
    writer.write_all(b"other bytes")?;
    let wanted = Digest::sha256_of(b"bytes");
    let outcome = writer.commit(Some(&wanted), None);
    assert!(matches!(outcome, Err(StoreError::DigestMismatch { .. })));
    let mut writer = room.store.blob_writer()?;
    writer.write_all(b"bytes and more")?;
    let outcome = writer.commit(None, Some(5));
    assert!(matches!(outcome, Err(StoreError::SizeMismatch { .. })));
    assert!(room.store.blob(&wanted)?.is_none());
    assert_eq!(room.entries("blobs/sha256")?, 0);
    room.store.put_blob(b"bytes")?;
    let path = room.store.blob(&wanted)?.expect("stored").path;
    room.sql("UPDATE blobs SET boot = 'an earlier one'")?;
    assert!(room.store.blob(&wanted)?.is_some());
    room.sql("UPDATE blobs SET boot = 'an earlier one'")?;
    fs::write(path, "byt")?;
    assert!(room.store.blob(&wanted)?.is_none());
    room.store.put_blob(b"bytes")?;
    assert_eq!(
        room.store.read_blob(&wanted)?.as_deref(),
        Some(&b"bytes"[..])
    );
    Ok(())
}

#[test]
fn the_forms_of_a_layer_are_told_by_compression() -> Result {
    let room = room()?;
    let diff_id = DiffId(Digest::sha256_of(b"a tar"));
    let here = room.store.put_blob(b"gzipped")?;
    let here = Descriptor::new(MediaType::ImageLayerGzip, 7, here);
    let away = Descriptor::new(MediaType::ImageLayerZstd, 9, Digest::sha256_of(b"zstd"));
    room.store
        .set_layer_blob(&diff_id, Compression::Gzip, &here)?;
    room.store
        .set_layer_blob(&diff_id, Compression::Zstd, &away)?;
    assert_eq!(room.store.layer_blobs(&diff_id)?.len(), 2);
    assert_eq!(
        room.store.layer_blob(&diff_id, Compression::Gzip)?,
        Some(here)
    );
    assert_eq!(room.store.layer_blob(&diff_id, Compression::Zstd)?, None);
    Ok(())
}

/// Stores an image of one file with all its blobs.
fn whole_image(store: &rbuild_store::Store) -> Result<Descriptor> {
    let mut tar = vec![0_u8; 512];
    tar[..5].copy_from_slice(b"hello");
    tar[100..107].copy_from_slice(b"0000644");
    tar[108..115].copy_from_slice(b"0000000");
    tar[116..123].copy_from_slice(b"0000000");
    tar[124..135].copy_from_slice(b"00000000006");
    tar[136..147].copy_from_slice(b"00000000000");
    tar[156] = b'0';
    tar[257..265].copy_from_slice(b"ustar\x0000");
    tar[148..156].fill(b' ');
    let sum: u32 = tar.iter().map(|&byte| u32::from(byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(b"world\n");
    tar.resize(512 * 4, 0);
    let digest = store.put_blob(&tar)?;
    let mut config = ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        ..ImageConfig::default()
    };
    config.rootfs.diff_ids.push(DiffId(digest));
    let layer = Descriptor::new(MediaType::ImageLayer, tar.len() as u64, digest);
    manifest(store, &config, &[layer])
}

fn output(program: &str, arguments: &[&str]) -> Result<Option<String>> {
    let outcome = match Command::new(program).args(arguments).output() {
        Ok(outcome) => outcome,
        Err(_) if std::env::var_os("CI").is_none() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    assert!(
        outcome.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    Ok(Some(String::from_utf8(outcome.stdout)?))
}

#[test]
fn skopeo_and_umoci_read_the_root() -> Result {
    let room = room()?;
    let one = whole_image(&room.store)?;
    for text in ["app:latest", "localhost:5000/team/app:1.0"] {
        room.store.set_tag(&name(text), &one)?;
        let at = format!("oci:{}:{text}", room.root().display());
        let Some(raw) = output("skopeo", &["inspect", "--raw", &at])? else {
            return Ok(());
        };
        assert_eq!(
            Digest::sha256_of(raw.as_bytes()).to_string(),
            one.digest().to_string()
        );
        let copy = room.root().join("copy");
        output("skopeo", &["copy", &at, &format!("dir:{}", copy.display())])?;
    }
    let bundle = room.root().join("bundle");
    let at = format!("{}:app:latest", room.root().display());
    output(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            &at,
            &bundle.display().to_string(),
        ],
    )?;
    assert_eq!(fs::read(bundle.join("rootfs/hello"))?, b"world\n");
    Ok(())
}

#[test]
fn a_stale_index_is_repaired_by_a_sweep() -> Result {
    let room = room()?;
    let one = image(&room.store, &[], "app")?;
    room.store.set_tag(&name("app"), &one)?;
    let path = room.root().join("index.json");
    let good = fs::read(&path)?;
    fs::write(&path, "{")?;
    room.store.sweep()?;
    assert_eq!(fs::read(&path)?, good);
    Ok(())
}

#[test]
fn names_set_side_by_side_are_all_in_the_index() -> Result {
    let room = room()?;
    let one = image(&room.store, &[], "app")?;
    let stores: Vec<_> = (0..6).map(|_| room.again()).collect::<Result<_>>()?;
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            let one = &one;
            scope.spawn(move || {
                for round in 0..10 {
                    store
                        .set_tag(&name(&format!("app:{number}-{round}")), one)
                        .expect("naming works side by side");
                }
            });
        }
    });
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(room.root().join("index.json"))?)?;
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(60));
    Ok(())
}
