//! Who keeps what, as the database said at one instant; and what would be free if something went.
//!
//! ```text
//! record ──┐
//! image ───┼→ layer ──→ blob (a form of the layer's tar)
//! container┘     image, base ──↗
//! base ····→ layer
//! ```
//!
//! A layer goes with the last record, image and container that keeps it; a blob goes with its layer unless an image or a base names
//! it. The layers of a base are fetched again where they are missed: it keeps them only as long as there is room. A pulled layer that
//! nothing keeps counts as a base without a name.
//! Removal is tried out here first (a rehearsal prints what this says), and done by [`crate::prune`], which asks again in each transaction.

mod read;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use rbuild_image::{Digest, LayerId};

use crate::record::StepKey;
use crate::uses::BaseName;

/// Names a node in one of a [`Ledger`]'s lists.
pub(crate) type Index = usize;

/// A layer, and how many keep it.
#[derive(Debug)]
pub(crate) struct LayerNode {
    pub(crate) id: LayerId,
    pub(crate) bytes: u64,
    /// Images and containers.
    pub(crate) holders: usize,
    /// Records, each once for every time that it names the layer.
    pub(crate) records: Vec<Index>,
    /// Bases of builds.
    pub(crate) bases: Vec<Index>,
    created: SystemTime,
    /// Of the records, those that are not gone.
    keeping: usize,
    /// Of the bases, those that are not gone.
    based: usize,
    blobs: Vec<Index>,
    pub(crate) gone: bool,
}

/// A cache record.
#[derive(Debug)]
pub(crate) struct RecordNode {
    pub(crate) key: StepKey,
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) created: SystemTime,
    pub(crate) last_used: SystemTime,
    pub(crate) run_time: Duration,
    pub(crate) layers: Vec<Index>,
    pub(crate) gone: bool,
}

/// What a build started from.
#[derive(Debug)]
pub(crate) struct BaseNode {
    /// `None`: a pulled layer that nothing names.
    pub(crate) name: Option<BaseName>,
    /// Its manifest, or the layer.
    pub(crate) id: String,
    pub(crate) created: SystemTime,
    pub(crate) last_used: SystemTime,
    pub(crate) layers: Vec<Index>,
    pub(crate) gone: bool,
}

/// A blob.
#[derive(Debug)]
pub(crate) struct BlobNode {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) created: SystemTime,
    pub(crate) last_used: SystemTime,
    /// Images and bases that name it.
    images: usize,
    /// Layers whose tar it is.
    layers: usize,
    pub(crate) gone: bool,
}

#[derive(Debug, Default)]
struct Held {
    layers: Vec<Index>,
    blobs: Vec<Index>,
    gone: bool,
}

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) layers: Vec<LayerNode>,
    pub(crate) records: Vec<RecordNode>,
    pub(crate) bases: Vec<BaseNode>,
    pub(crate) blobs: Vec<BlobNode>,
    holders: HashMap<Vec<u8>, Held>,
    /// What the names of bases stand for.
    documents: HashMap<BaseName, Vec<Index>>,
}

impl Ledger {
    /// The layers and blobs that no image and no container needs, together in bytes.
    pub(crate) fn cache_bytes(&self) -> u64 {
        let layers = self
            .layers
            .iter()
            .filter(|layer| !layer.gone && layer.holders == 0);
        let blobs = self.blobs.iter().filter(|blob| blob.is_spare());
        layers.map(|layer| layer.bytes).sum::<u64>() + blobs.map(|blob| blob.bytes).sum::<u64>()
    }

    /// The bytes of the layers of a record or base, and of those among them that something else needs too.
    pub(crate) fn bytes_of(&self, layers: &[Index]) -> (u64, u64) {
        let layers = || layers.iter().map(|&layer| &self.layers[layer]);
        let shared = layers().filter(|layer| layer.holders + layer.keeping + layer.based > 1);
        let all = layers().map(|layer| layer.bytes).sum();
        (all, shared.map(|layer| layer.bytes).sum())
    }

    /// The bytes of those layers that an image or a container needs.
    pub(crate) fn held_bytes(&self, layers: &[Index]) -> u64 {
        let layers = layers.iter().map(|&layer| &self.layers[layer]);
        let held = layers.filter(|layer| layer.holders > 0);
        held.map(|layer| layer.bytes).sum()
    }

    /// Whether an image or a container needs one of the layers.
    pub(crate) fn is_held(&self, layers: &[Index]) -> bool {
        layers.iter().any(|&layer| self.layers[layer].holders > 0)
    }

    /// The image is no more. Gives the bytes that are free with it.
    pub(crate) fn drop_image(&mut self, digest: &Digest) -> u64 {
        self.drop_holder(digest.as_bytes())
    }

    /// The container is no more.
    pub(crate) fn drop_container(&mut self, id: &str) -> u64 {
        self.drop_holder(id.as_bytes())
    }

    fn drop_holder(&mut self, name: &[u8]) -> u64 {
        let Some(held) = self.holders.get_mut(name).filter(|held| !held.gone) else {
            return 0;
        };
        held.gone = true;
        let (layers, blobs) = (
            std::mem::take(&mut held.layers),
            std::mem::take(&mut held.blobs),
        );
        let mut freed = 0;
        for blob in blobs {
            self.blobs[blob].images -= 1;
            freed += self.drop_blob_if_unneeded(blob);
        }
        for layer in layers {
            self.layers[layer].holders -= 1;
            freed += self.drop_layer_if_unneeded(layer);
        }
        freed
    }

    /// The record is no more.
    pub(crate) fn drop_record(&mut self, record: Index) -> u64 {
        if std::mem::replace(&mut self.records[record].gone, true) {
            return 0;
        }
        let layers = self.records[record].layers.clone();
        let mut freed = 0;
        for layer in layers {
            self.layers[layer].keeping -= 1;
            freed += self.drop_layer_if_unneeded(layer);
        }
        freed
    }

    /// Nobody remembers the base any more. Gives the bytes that are free with it.
    pub(crate) fn drop_base(&mut self, base: Index) -> u64 {
        if std::mem::replace(&mut self.bases[base].gone, true) {
            return 0;
        }
        let mut freed = 0;
        let name = self.bases[base].name.clone();
        let documents = name.and_then(|name| self.documents.remove(&name));
        for blob in documents.unwrap_or_default() {
            self.blobs[blob].images -= 1;
            freed += self.drop_blob_if_unneeded(blob);
        }
        for layer in self.bases[base].layers.clone() {
            self.layers[layer].based -= 1;
            freed += self.drop_layer_if_unneeded(layer);
        }
        freed
    }

    /// What nothing keeps goes even if nothing else does.
    pub(crate) fn drop_layer_if_unneeded(&mut self, layer: Index) -> u64 {
        match self.layers[layer].based {
            0 => self.drop_layer_from_bases(layer),
            _ => 0,
        }
    }

    /// A layer that at most the bases have is no more.
    pub(crate) fn drop_layer_from_bases(&mut self, layer: Index) -> u64 {
        let node = &mut self.layers[layer];
        if node.gone || node.holders > 0 || node.keeping > 0 {
            return 0;
        }
        node.gone = true;
        let mut freed = node.bytes;
        for blob in std::mem::take(&mut node.blobs) {
            self.blobs[blob].layers -= 1;
            freed += self.drop_blob_if_unneeded(blob);
        }
        freed
    }

    /// As [`Self::drop_layer_if_unneeded`].
    pub(crate) fn drop_blob_if_unneeded(&mut self, blob: Index) -> u64 {
        match self.blobs[blob].layers {
            0 => self.drop_blob(blob),
            _ => 0,
        }
    }

    /// A blob that can be made again from its layer is no more.
    pub(crate) fn drop_blob(&mut self, blob: Index) -> u64 {
        let node = &mut self.blobs[blob];
        if !node.is_spare() {
            return 0;
        }
        node.gone = true;
        node.bytes
    }
}

impl LayerNode {
    /// Whether only bases have it.
    pub(crate) fn is_of_bases(&self) -> bool {
        self.holders == 0 && self.keeping == 0
    }

    /// The blobs that are forms of its tar.
    pub(crate) fn forms(&self) -> &[Index] {
        &self.blobs
    }
}

impl BlobNode {
    /// Whether it is there and neither an image nor a base needs it.
    pub(crate) fn is_spare(&self) -> bool {
        !self.gone && self.images == 0
    }

    /// Whether it can be made again from a layer that is here.
    pub(crate) fn is_form_of_layer(&self) -> bool {
        self.layers > 0
    }
}
