//! Things of the ledger as things that take room.

use rbuild_image::Reference;

use super::{UsageItem, UsageKind};
use crate::fetched::Fetched;
use crate::ledger::{BaseNode, BlobNode, Ledger, RecordNode};

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
    let name = base.name.as_ref().map(|name| {
        let reference: Option<Reference> = name.reference.parse().ok();
        let familiar = reference.map_or_else(|| name.reference.clone(), |one| one.familiar());
        format!("{familiar} ({})", name.platform)
    });
    UsageItem {
        kind: UsageKind::Base,
        id: base.id.clone(),
        name: name.unwrap_or_else(|| "pulled layer".to_owned()),
        scope: String::new(),
        bytes,
        shared_bytes,
        in_use: bytes > 0 && ledger.held_bytes(&base.layers) == bytes,
        created: Some(base.created),
        last_used: Some(base.last_used),
    }
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
