//! `--squash`: all that a build added to its base, as one layer.
//!
//! ```text
//! base  a  b  c        base  a+b+c
//! history of a, b, c   the same, without layers, and one more entry that has it
//! ```

use std::io::BufWriter;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rbuild_image::{HistoryEntry, LayerId};
use rbuild_layer::{ContentIndex, FileTimes, TreeWriter, extract, tar_digest, write_tar};
use rbuild_plan::ImageOutput;
use rbuild_store::{Layer, RootAttributes, Store};
use rbuild_sys::{OverlayFlavor, mount_overlay};

use crate::error::ExportError;

/// Which layers an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layering {
    /// Those that its steps made.
    #[default]
    Kept,
    /// One on top of its base.
    Squashed,
}

/// What an image is when it is [`squashed`].
#[derive(Debug)]
pub struct Squashed {
    /// The image.
    pub output: ImageOutput,
    /// Its layers, bottom first.
    pub layers: Vec<LayerId>,
    /// The one layer, if there is one. Nothing in the store needs it before the image is there, so it stays for as long as this
    /// is held.
    pub layer: Option<Arc<Layer>>,
}

/// `output` and its `layers`, bottom first, with one layer in place of those that are not its base's; as they are where there
/// are none. All of them have to be in the store.
pub fn squashed(
    store: &Store,
    output: &ImageOutput,
    layers: &[LayerId],
    times: FileTimes,
) -> Result<Squashed, ExportError> {
    let is_bases = |id: &LayerId| matches!(id, LayerId::Pulled(_));
    let new = layers.iter().position(|id| !is_bases(id));
    let Some((base, new)) = new.map(|at| layers.split_at(at)) else {
        return Ok(Squashed {
            output: output.clone(),
            layers: layers.to_vec(),
            layer: None,
        });
    };
    let layer = one_layer(store, base, new)?;
    let id = layer.id();
    if store.diff_id(&id, times)?.is_none() {
        let (directory, index) = (layer.open_diff()?, layer.dated_index(times)?);
        let (diff_id, size) = tar_digest(directory.as_fd(), &index)?;
        store.set_diff_id(&id, times, &diff_id, size)?;
    }
    let mut output = output.clone();
    let told = output.config.history.iter_mut().skip(output.base_history);
    told.for_each(|entry| entry.empty_layer = true);
    output.config.history.push(HistoryEntry {
        comment: format!("squashed from {} layers", new.len()),
        ..HistoryEntry::default()
    });
    let mut layers = base.to_vec();
    layers.push(id);
    Ok(Squashed {
        output,
        layers,
        layer: Some(layer),
    })
}

/// What `new` does over `base`, as a layer of the store.
fn one_layer(store: &Store, base: &[LayerId], new: &[LayerId]) -> Result<Arc<Layer>, ExportError> {
    if let [only] = new {
        return open(store, only);
    }
    let layers = open_all(store, new)?;
    let indexes = indexes(&layers)?;
    let below = indexes_of(store, base)?;
    let below = ContentIndex::merge(&references(&below));
    let index = ContentIndex::squash(&references(&indexes), &below);
    // What the files hold is read through an overlay of the new layers alone.
    let lowers: Vec<PathBuf> = layers.iter().rev().map(|layer| layer.diff_path()).collect();
    let root = mount_overlay(&lowers, None, OverlayFlavor::detect())?;
    let draft = store.draft(&RootAttributes::default())?;
    let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
    let (read, write) = std::io::pipe().map_err(ExportError::Archive)?;
    let copied = thread::scope(|scope| {
        let archived = scope.spawn(|| write_tar(root.as_fd(), &index, BufWriter::new(write)));
        let copied = extract(read, writer);
        archived
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        copied
    })?;
    let id = LayerId::Made(copied.index.content_id());
    Ok(store.commit_layer(draft, copied.index, id)?)
}

/// A layer; one of a base image that was built here is there under the name of its contents.
fn open(store: &Store, id: &LayerId) -> Result<Arc<Layer>, ExportError> {
    let known = match id {
        LayerId::Pulled(diff_id) => store.layer_tar(diff_id)?.map(|(known, _)| known),
        LayerId::Made(_) => None,
    };
    let known = known.unwrap_or(*id);
    store.layer(&known)?.ok_or(ExportError::Layer(*id))
}

fn open_all(store: &Store, ids: &[LayerId]) -> Result<Vec<Arc<Layer>>, ExportError> {
    ids.iter().map(|id| open(store, id)).collect()
}

fn indexes(layers: &[Arc<Layer>]) -> Result<Vec<Arc<ContentIndex>>, ExportError> {
    let indexes = layers.iter().map(|layer| layer.index());
    Ok(indexes.collect::<Result<_, _>>()?)
}

fn indexes_of(store: &Store, ids: &[LayerId]) -> Result<Vec<Arc<ContentIndex>>, ExportError> {
    indexes(&open_all(store, ids)?)
}

fn references(indexes: &[Arc<ContentIndex>]) -> Vec<&ContentIndex> {
    indexes.iter().map(AsRef::as_ref).collect()
}

#[cfg(test)]
mod tests {
    use rbuild_image::{ImageConfig, LayerId, Platform};
    use rbuild_layer::{FileTimes, OverlayFlavor, index_upper};
    use rbuild_plan::ImageOutput;
    use rbuild_store::{Action, Limits, RootAttributes, Store};

    use super::{AsFd, squashed};

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    #[test]
    fn the_one_layer_stays_while_the_image_is_written_and_no_longer() -> Result {
        let room = tempfile::tempdir()?;
        let store = Store::open(&room.path().join("store"))?;
        let draft = store.draft(&RootAttributes::default())?;
        std::fs::write(draft.diff_path().join("file"), "contents")?;
        let index = index_upper(draft.open_diff()?.as_fd(), OverlayFlavor::detect())?;
        let id = LayerId::Made(index.content_id());
        let made = store.commit_layer(draft, index, id)?;
        let output = ImageOutput {
            platform: Platform::host(),
            root: None,
            config: ImageConfig::default(),
            base_history: 0,
        };
        let image = squashed(&store, &output, &[id], FileTimes::Own)?;
        drop(made);
        store.collect_garbage(Limits::default(), Action::Remove)?;
        assert!(store.layer(&id)?.is_some());
        drop(image);
        store.collect_garbage(Limits::default(), Action::Remove)?;
        assert!(store.layer(&id)?.is_none());
        Ok(())
    }
}
