//! A cache inside an image: its config tells what its steps' keys are, and its own layers are what they stand for.
//!
//! ```json
//! {"architecture": "amd64", …, "rootfs": {"diff_ids": ["sha256:…", "sha256:0d…"]},
//!  "vnd.rbuild.cache.v1": {"version": 1, "entries": [{"version": 1, "key": "9c…", "layers": [{"id": "blake3-7e…", "diffId": "sha256:0d…", …}]}]}}
//! ```
//!
//! Entries are written without blobs: who reads them takes the image's layer that has the diffID. Steps whose layers are not in
//! the image are told, too, since the keys of others are found through them.

use std::collections::HashMap;
use std::sync::Arc;

use rbuild_image::{Descriptor, DiffId, ImageConfig, LayerId};
use rbuild_store::Store;
use serde_json::Value;

use crate::publish::{Come, Finished, millis};
use crate::{Bundle, Entry, EntryLayer, RemoteError};

/// The field of an image's config.
pub const INLINE_FIELD: &str = "vnd.rbuild.cache.v1";

/// A layer as an image has it.
#[derive(Debug, Clone, Copy)]
pub struct ImageLayer {
    /// By content.
    pub id: LayerId,
    /// The digest of its tar in the image.
    pub diff_id: DiffId,
    /// The bytes of that tar.
    pub size: u64,
}

/// What the config of an image with these `layers` tells of `steps`. Where the image is dated, `date` (milliseconds since 1970)
/// stands for all times, so that the same image comes out whenever it is built.
pub fn inline_cache(
    store: &Store,
    steps: &[Arc<Finished>],
    layers: &[ImageLayer],
    date: Option<u64>,
) -> Result<Value, RemoteError> {
    let layers: HashMap<LayerId, &ImageLayer> =
        layers.iter().map(|layer| (layer.id, layer)).collect();
    let mut entries = Vec::new();
    for step in steps {
        let Some(mut entry) = entry_of(store, step)? else {
            continue;
        };
        for layer in &mut entry.layers {
            *layer = EntryLayer {
                diff_id: layers.get(&layer.id).map(|known| known.diff_id),
                size: layers.get(&layer.id).map_or(0, |known| known.size),
                blob: None,
                forms: Vec::new(),
                index: None,
                ..layer.clone()
            };
            if let Some(date) = date {
                (layer.created, layer.begun) = (date, None);
            }
        }
        if let Some(date) = date {
            (entry.created, entry.run_millis) = (date, 0);
        }
        if let Some(fast) = &step.fast {
            entry.add_alias(fast);
        }
        entries.push(entry);
    }
    // Not in the order in which they happened to end.
    entries.sort_by_key(|entry| entry.key().0);
    let bytes = Bundle::new(entries).encode();
    Ok(serde_json::from_slice(&bytes).expect("a bundle is JSON"))
}

/// What is known of a step, without its layers' tars.
fn entry_of(store: &Store, step: &Finished) -> Result<Option<Entry>, RemoteError> {
    let (name, created, run_millis, layers) = match &step.come {
        Come::Remote(hit) => {
            let entry = &hit.entry;
            (
                entry.name.clone(),
                entry.created,
                entry.run_millis,
                entry.layers.clone(),
            )
        }
        Come::Here | Come::Again => {
            let Some(record) = store.record(&step.key)? else {
                return Ok(None);
            };
            let layers = record.layers.iter().map(|id| EntryLayer::timed(store, id));
            (
                record.name.clone(),
                millis(record.created),
                record.run_time.as_millis() as u64,
                layers.collect::<Result<_, _>>()?,
            )
        }
    };
    let mut entry = Entry::new(&step.key, layers);
    (entry.name, entry.created, entry.run_millis) = (name, created, run_millis);
    Ok(Some(entry))
}

/// The entries that an image's config tells, the image's layers being their blobs; `None` if it tells none.
pub(crate) fn read_inline(
    config: &ImageConfig,
    blobs: &[Descriptor],
) -> Result<Option<Bundle>, RemoteError> {
    let Some(told) = config.other.get(INLINE_FIELD) else {
        return Ok(None);
    };
    let listed = Bundle::decode(told.to_string().as_bytes())?;
    let diff_ids = config.rootfs.diff_ids.iter().copied();
    let blobs: HashMap<DiffId, &Descriptor> = diff_ids.zip(blobs).collect();
    let entries = listed.entries().iter().map(|entry| {
        let mut entry = entry.clone();
        for layer in &mut entry.layers {
            let blob = layer.diff_id.and_then(|diff_id| blobs.get(&diff_id));
            layer.blob = blob.map(|&blob| blob.clone());
            layer.forms.clear();
        }
        entry
    });
    let good = entries.filter(|entry| entry.check().is_ok());
    Ok(Some(Bundle::new(good)))
}

#[cfg(test)]
mod tests {
    use rbuild_image::{ContentId, Digest, descriptor, media_type};
    use rbuild_store::StepKey;

    use super::*;

    #[test]
    fn layers_are_those_of_the_image() {
        let tar = DiffId(Digest::sha256_of(b"tar"));
        let layer = |number, diff_id| EntryLayer {
            id: LayerId::Made(ContentId([number; 32])),
            created: 0,
            begun: None,
            diff_id,
            size: 3,
            blob: Some(descriptor(
                media_type::OCI_LAYER,
                Digest::sha256_of(b"another's"),
                9,
            )),
            forms: Vec::new(),
            index: None,
        };
        let entries = [
            Entry::new(&StepKey([1; 32]), vec![layer(1, Some(tar))]),
            Entry::new(
                &StepKey([2; 32]),
                vec![layer(2, Some(DiffId(Digest::sha256_of(b"other"))))],
            ),
        ];
        let told = Bundle::new(entries).encode();
        let mut config = ImageConfig::default();
        assert_eq!(read_inline(&config, &[]).expect("none"), None);
        config.rootfs.diff_ids = vec![tar];
        config.other.insert(
            INLINE_FIELD.to_owned(),
            serde_json::from_slice(&told).expect("JSON"),
        );
        let blob = descriptor(media_type::OCI_LAYER_GZIP, Digest::sha256_of(b"gz"), 2);
        let read = read_inline(&config, std::slice::from_ref(&blob)).expect("a bundle");
        let read = read.expect("a bundle");
        let blobs: Vec<_> = read
            .entries()
            .iter()
            .map(|entry| entry.layers[0].blob.clone())
            .collect();
        assert_eq!(blobs, [Some(blob), None]);
    }
}
