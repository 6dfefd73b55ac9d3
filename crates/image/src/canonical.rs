//! The one way in which we write JSON that is hashed.

use serde::Serialize;
use serde_json::Value;

use crate::ImageError;

/// `value` as JSON without insignificant white space: fields in the order of the type, maps sorted by
/// key. Our own types hold ordered maps; the `annotations` of the OCI types do not, so they are sorted here.
///
/// The digest of these bytes is an image's identity: any change here changes the digest of every image,
/// and golden tests guard it. Documents that were pulled are never written again; their bytes are kept.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, ImageError> {
    let fail = |error: serde_json::Error| ImageError::Document {
        what: "a value as JSON",
        reason: error.to_string(),
    };
    let mut document = serde_json::to_value(value).map_err(fail)?;
    sort_annotations(&mut document);
    serde_json::to_vec(&document).map_err(fail)
}

fn sort_annotations(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match field {
                    Value::Object(annotations) if name == "annotations" => {
                        annotations.sort_keys();
                    }
                    _ => sort_annotations(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort_annotations),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Descriptor, Digest, ImageManifest};

    #[test]
    fn annotations_are_written_in_order_however_they_were_hashed() {
        let document = serde_json::json!({
            "schemaVersion": 2,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::sha256_of(b"config"), "size": 6,
            },
            "layers": [],
            "annotations": (0..20).rev().map(|n| (format!("k{n:02}"), "v".into()))
                .collect::<serde_json::Map<String, Value>>(),
        });
        let manifest: ImageManifest = serde_json::from_value(document).expect("a manifest");
        let text = String::from_utf8(canonical_json(&manifest).expect("JSON")).expect("UTF-8");
        let keys: Vec<_> = (0..20).map(|n| format!("\"k{n:02}\":\"v\"")).collect();
        assert!(text.ends_with(&format!("\"annotations\":{{{}}}}}", keys.join(","))));
    }

    #[test]
    fn a_descriptor_is_written_as_the_specification_orders_it() {
        let descriptor = Descriptor::new("text/plain".into(), 5, Digest::sha256_of(b"hello"));
        assert_eq!(
            canonical_json(&descriptor).expect("JSON"),
            br#"{"mediaType":"text/plain","digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","size":5}"#
        );
    }
}
