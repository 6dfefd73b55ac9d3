//! `import`: an image with one layer, of all the files in a tar.

use std::io::Read;
use std::time::SystemTime;

use rbuild_image::{
    Descriptor, Digest, HistoryEntry, ImageConfig, Platform, Rootfs, RuntimeConfig, descriptor,
    media_type,
};
use rbuild_layer::{OverlayFlavor, TreeWriter, extract};
use rbuild_store::{RootAttributes, Store};

use crate::ContainerError;
use crate::commit::{apply, enter_image, enter_layer, timestamp};

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

/// Makes an image of the files in `tar`, which is not packed, without naming it, and gives the descriptor of its manifest and its
/// ID.
pub fn import(
    store: &Store,
    tar: impl Read + Send,
    import: &Import<'_>,
) -> Result<(Descriptor, Digest), ContainerError> {
    let mut runtime = RuntimeConfig::default();
    for text in import.changes {
        apply(&mut runtime, text)?;
    }
    let draft = store.draft(&RootAttributes::default())?;
    let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
    let files = extract(tar, writer)?;
    let (diff_id, size) = enter_layer(store, draft, files)?;
    let created = timestamp(import.now);
    let config = ImageConfig {
        architecture: import.platform.architecture.clone(),
        os: import.platform.os.clone(),
        variant: import.platform.variant.clone(),
        created: Some(created.clone()),
        config: runtime,
        rootfs: Rootfs {
            kind: "layers".to_owned(),
            diff_ids: vec![diff_id],
        },
        history: vec![HistoryEntry {
            created: Some(created),
            comment: import.message.to_owned(),
            ..HistoryEntry::default()
        }],
        ..ImageConfig::default()
    };
    let layer = descriptor(media_type::OCI_LAYER, diff_id.0, size);
    enter_image(store, &config, &[layer])
}
