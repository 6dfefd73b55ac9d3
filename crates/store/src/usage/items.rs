//! Things of the ledger as things that take room.

use rbuild_image::Reference;

use super::{UsageItem, UsageKind};
use crate::fetched::Fetched;
use crate::ledger::{BaseNode, BlobNode, Index, Ledger, RecordNode};

/// A record as a thing that takes room; whether a process uses it is another question.
pub(crate) fn record_item(ledger: &Ledger, record: &RecordNode) -> UsageItem {
    let (bytes, shared_bytes) = ledger.bytes_of(&record.layers);
    UsageItem {
        kind: UsageKind::BuildCache,
        id: record.key.to_string(),
        name: record.name.clone(),
        scope: record.scope.clone(),
        bytes,
        shared_bytes,
        in_use: bytes > 0 && ledger.held_bytes(&record.layers) == bytes,
        created: Some(record.created),
        last_used: Some(record.last_used),
    }
}

/// A base of builds as a thing that takes room.
pub(crate) fn base_item(ledger: &Ledger, base: &BaseNode) -> UsageItem {
    let (bytes, shared_bytes) = ledger.bytes_of(&base.layers);
    UsageItem {
        kind: UsageKind::Base,
        id: base.id.clone(),
        name: base_name(base),
        scope: String::new(),
        bytes,
        shared_bytes,
        in_use: bytes > 0 && ledger.held_bytes(&base.layers) == bytes,
        created: Some(base.created),
        last_used: Some(base.last_used),
    }
}

/// A layer of the bases that have it as a thing that takes room.
pub(crate) fn layer_item(ledger: &Ledger, layer: Index) -> UsageItem {
    let node = &ledger.layers[layer];
    let bases = || node.bases.iter().map(|&base| &ledger.bases[base]);
    let names: Vec<String> = bases()
        .filter(|base| base.name.is_some())
        .map(|base| format!("layer of {}", base_name(base)))
        .collect();
    UsageItem {
        kind: UsageKind::Base,
        id: node.id.to_string().replacen('-', ":", 1),
        name: match names.as_slice() {
            [] => NAMELESS.to_owned(),
            names => names.join(", "),
        },
        scope: String::new(),
        bytes: node.bytes,
        shared_bytes: 0,
        in_use: node.holders > 0,
        created: None,
        last_used: bases().map(|base| base.last_used).max(),
    }
}

/// What is said of a layer of which is not known whose it was.
const NAMELESS: &str = "pulled layer";

fn base_name(base: &BaseNode) -> String {
    let name = base.name.as_ref().map(|name| {
        let reference: Option<Reference> = name.reference.parse().ok();
        let familiar = reference.map_or_else(|| name.reference.clone(), |one| one.familiar());
        format!("{familiar} ({})", name.platform)
    });
    name.unwrap_or_else(|| NAMELESS.to_owned())
}

/// Something fetched as a thing that takes room.
pub(crate) fn fetched_item(fetched: &Fetched) -> UsageItem {
    UsageItem {
        kind: fetched.kind,
        id: fetched.id(),
        name: fetched.name.clone(),
        scope: String::new(),
        bytes: fetched.bytes,
        shared_bytes: 0,
        in_use: fetched.in_use,
        created: None,
        last_used: Some(fetched.last_used),
    }
}

/// The blobs that no image names.
pub(super) fn blob_usage(ledger: &Ledger) -> Vec<UsageItem> {
    ledger.blobs.iter().filter_map(blob_item).collect()
}

/// A blob as a thing that takes room, unless an image names it.
pub(crate) fn blob_item(blob: &BlobNode) -> Option<UsageItem> {
    let name = if blob.is_form_of_layer() {
        "compressed layer"
    } else {
        ""
    };
    blob.is_spare().then(|| UsageItem {
        kind: UsageKind::Blob,
        id: blob.digest.to_string(),
        name: name.to_owned(),
        scope: String::new(),
        bytes: blob.bytes,
        shared_bytes: 0,
        in_use: false,
        created: Some(blob.created),
        last_used: Some(blob.last_used),
    })
}
