//! `type=local`: an image's files in a directory that may hold something already.

use std::error::Error;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rbuild_export::{BuiltImage, BuiltLayer, TimesNote, write_files};
use rbuild_image::{DiffId, Digest, ImageConfig, LayerId, Platform};
use rbuild_layer::{FileTimes, OverlayFlavor, index_upper};
use rbuild_store::{RootAttributes, Store};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// An image with one layer, which `fill` writes.
fn image(store: &Store, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<BuiltImage> {
    let draft = store.draft(&RootAttributes::default())?;
    fill(&draft.diff_path())?;
    let index = index_upper(draft.open_diff()?.as_fd(), OverlayFlavor::detect())?;
    let id = LayerId::Made(index.content_id());
    store.commit_layer(draft, index, id)?;
    Ok(BuiltImage {
        platform: Platform::host(),
        config: ImageConfig::default(),
        layers: vec![BuiltLayer {
            id,
            diff_id: DiffId(Digest::sha256_of(b"")),
            size: 0,
            times: FileTimes::Own,
            base: None,
            remote: None,
        }],
        note: TimesNote::None,
        attestations: Vec::new(),
    })
}

fn sample(diff: &Path) -> std::io::Result<()> {
    fs::create_dir_all(diff.join("bin"))?;
    fs::set_permissions(diff.join("bin"), fs::Permissions::from_mode(0o711))?;
    fs::write(diff.join("bin/app"), "new")?;
    fs::hard_link(diff.join("bin/app"), diff.join("bin/same"))?;
    symlink("app", diff.join("bin/link"))
}

#[test]
fn files_are_written_over_those_of_the_last_build() -> Result {
    let room = tempfile::tempdir()?;
    let store = Store::open(&room.path().join("store"))?;
    let image = image(&store, sample)?;
    let out = room.path().join("out");
    fs::create_dir_all(out.join("bin"))?;
    fs::write(out.join("bin/app"), "old")?;
    fs::write(out.join("bin/mine"), "kept")?;
    for _ in 0..2 {
        write_files(&store, &[(String::new(), &image)], FileTimes::Own, &out)?;
        assert_eq!(fs::read_to_string(out.join("bin/app"))?, "new");
        assert_eq!(fs::read_to_string(out.join("bin/mine"))?, "kept");
        assert_eq!(fs::read_link(out.join("bin/link"))?, Path::new("app"));
        assert_eq!(fs::metadata(out.join("bin"))?.mode() & 0o7777, 0o711);
        let inode = |name| fs::metadata(out.join(name)).map(|meta| meta.ino());
        assert_eq!(inode("bin/app")?, inode("bin/same")?);
        assert_eq!(fs::read_dir(&out)?.count(), 1, "nothing else is left");
    }
    Ok(())
}

#[test]
fn a_link_in_the_destination_is_not_followed() -> Result {
    let room = tempfile::tempdir()?;
    let store = Store::open(&room.path().join("store"))?;
    let image = image(&store, sample)?;
    let (out, outside) = (room.path().join("out"), room.path().join("outside"));
    fs::create_dir_all(&out)?;
    fs::create_dir_all(&outside)?;
    symlink(&outside, out.join("bin"))?;
    assert!(write_files(&store, &[(String::new(), &image)], FileTimes::Own, &out).is_err());
    assert_eq!(fs::read_dir(&outside)?.count(), 0);
    Ok(())
}

#[test]
fn under_an_epoch_all_files_have_its_time() -> Result {
    const EPOCH: i64 = 1_700_000_000;
    let room = tempfile::tempdir()?;
    let store = Store::open(&room.path().join("store"))?;
    let image = image(&store, sample)?;
    let out = room.path().join("out");
    write_files(
        &store,
        &[(String::new(), &image)],
        FileTimes::Fixed(EPOCH),
        &out,
    )?;
    for name in ["bin", "bin/app", "bin/link"] {
        assert_eq!(
            fs::symlink_metadata(out.join(name))?.mtime(),
            EPOCH,
            "{name}"
        );
    }
    Ok(())
}
