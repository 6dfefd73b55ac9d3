//! `import`: an image with one layer, of all the files in a tar.

use std::io::Read;
use std::time::SystemTime;

use rbuild_image::{HistoryEntry, ImageConfig, Platform, Rootfs, RuntimeConfig};
use rbuild_layer::{OverlayFlavor, TreeWriter, extract};
use rbuild_store::{RootAttributes, Store};

use crate::ContainerError;
use crate::commit::{NewImage, apply, enter_layer, timestamp, write_image};

/// What an import takes besides the files.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// What the image is for.
    pub platform: &'a Platform,
    /// What its history says.
    pub message: &'a str,
    /// `--change`: instructions of a Dockerfile.
    pub changes: &'a [String],
    /// When.
    pub now: SystemTime,
}

/// Makes an image of the files in `tar`, which is not packed. It is not among the images yet.
pub fn import(
    store: &Store,
    tar: impl Read + Send,
    import: &Import<'_>,
) -> Result<NewImage, ContainerError> {
    let mut runtime = RuntimeConfig::default();
    for text in import.changes {
        apply(&mut runtime, text)?;
    }
    let draft = store.draft(&RootAttributes::default())?;
    let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
    let files = extract(tar, writer)?;
    let layer = enter_layer(store, draft, files)?;
    let created = timestamp(import.now);
    let config = ImageConfig {
        architecture: import.platform.architecture.clone(),
        os: import.platform.os.clone(),
        variant: import.platform.variant.clone(),
        created: Some(created.clone()),
        config: runtime,
        rootfs: Rootfs {
            kind: "layers".to_owned(),
            diff_ids: vec![layer.diff_id],
        },
        history: vec![HistoryEntry {
            created: Some(created),
            comment: import.message.to_owned(),
            ..HistoryEntry::default()
        }],
        ..ImageConfig::default()
    };
    write_image(store, &config, &[layer.descriptor()], layer)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rbuild_image::Platform;
    use rbuild_store::{Action, Limits, Store};

    use super::{Import, import};

    #[test]
    fn what_is_removed_meanwhile_is_not_the_layer_of_an_image_that_is_about_to_be() {
        let room = tempfile::tempdir().expect("a directory can be made");
        let store = Store::open(&room.path().join("store")).expect("a store can be made");
        let image = import(
            &store,
            [0; 1024].as_slice(),
            &Import {
                platform: &Platform::host(),
                message: "",
                changes: &[],
                now: SystemTime::UNIX_EPOCH,
            },
        )
        .expect("an empty tar is no trouble");
        let layers = store.layer_ids().expect("the store can be read");
        let collect = || {
            store
                .collect_garbage(Limits::default(), Action::Remove)
                .expect("what nobody needs can be removed")
        };
        collect();
        image.enter(&store, None).expect("the image is whole");
        collect();
        assert_eq!(layers.len(), 1);
        assert_eq!(store.layer_ids().expect("likewise"), layers);
    }
}
