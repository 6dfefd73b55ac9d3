//! The one way in which we write JSON that is hashed.

use serde::Serialize;

use crate::ImageError;

/// `value` as JSON without insignificant white space, fields in the order of the type, maps sorted by
/// key (our types hold ordered maps). The digest of these bytes is an image's identity, so any
/// change here changes the digest of every image: golden tests guard it.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(value).map_err(|error| ImageError::Document {
        what: "a value as JSON",
        reason: error.to_string(),
    })
}
