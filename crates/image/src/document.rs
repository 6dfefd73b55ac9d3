//! Reading JSON documents that somebody else wrote.

use serde::de::DeserializeOwned;

use crate::ImageError;

/// The largest manifest, index or config that is read, in bytes. Registries must take manifests of 4 MiB
/// (distribution-spec, "Pushing manifests"); twice that is what other clients read.
pub const MAX_DOCUMENT_BYTES: usize = 8 << 20;

/// `bytes` as a `T`, or what is wrong with them.
pub(crate) fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ImageError> {
    let fail = |reason| ImageError::Document { what, reason };
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(fail(format!(
            "{} bytes, more than the {MAX_DOCUMENT_BYTES} that are read",
            bytes.len()
        )));
    }
    serde_json::from_slice(bytes).map_err(|error| fail(error.to_string()))
}
