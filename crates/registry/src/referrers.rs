//! Manifests that say which other one they are about (OCI distribution-spec 1.1, "Pushing Manifests with Subject").
//!
//! ```text
//! PUT manifest ─ the registry answers OCI-Subject ─→ it lists it itself
//!        └─ it does not ─→ the index under the tag sha256-<digest of the subject> gets an entry
//! ```

use rbuild_image::{Digest, Reference, media_type};
use serde_json::{Value, json};

use crate::{Client, RegistryError};

/// A manifest with a subject.
#[derive(Debug, Clone, Copy)]
pub struct Referrer<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What it is about.
    pub subject: &'a Digest,
    /// What kind of thing it is.
    pub artifact_type: &'a str,
}

/// How those who ask find a referrer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// The registry lists it.
    ByRegistry,
    /// It is in the index of a tag.
    ByTag,
}

impl Client {
    /// Puts a manifest under its digest, and sees to it that it is found from its subject.
    ///
    /// Where that takes a tag, others who add to it at the same time may lose their entry: the protocol has no way around that.
    pub fn put_referrer(
        &self,
        reference: &Reference,
        referrer: Referrer<'_>,
    ) -> Result<Listed, RegistryError> {
        let kind = media_type::OCI_MANIFEST;
        let digest = Digest::sha256_of(referrer.bytes);
        let answer =
            self.put_manifest_answer(reference, &digest.to_string(), kind, referrer.bytes)?;
        if answer.headers().contains_key("oci-subject") {
            return Ok(Listed::ByRegistry);
        }
        let tag = format!("sha256-{}", referrer.subject.hex());
        let tagged = reference
            .with_tag(&tag)
            .map_err(|source| self.malformed(reference, source))?;
        let entry = json!({
            "mediaType": kind,
            "digest": digest.to_string(),
            "size": referrer.bytes.len(),
            "artifactType": referrer.artifact_type,
        });
        let known = self.tagged_index(&tagged)?;
        if let Some(index) = with_entry(known, entry) {
            let bytes = index.to_string().into_bytes();
            self.put_manifest(&tagged, media_type::OCI_INDEX, &bytes)?;
        }
        Ok(Listed::ByTag)
    }

    /// The index that `tagged` names at the registry itself, if there is one.
    fn tagged_index(&self, tagged: &Reference) -> Result<Option<Value>, RegistryError> {
        let endpoint = self.destination(tagged);
        match self.fetch_manifest(&endpoint, tagged, None) {
            Ok(found) => Ok(serde_json::from_slice(&found.bytes).ok()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `known` with `entry`; nothing if it is there.
fn with_entry(known: Option<Value>, entry: Value) -> Option<Value> {
    let mut index = known
        .filter(|known| known["manifests"].is_array())
        .unwrap_or_else(
            || json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] }),
        );
    let entries = index["manifests"].as_array_mut()?;
    if entries
        .iter()
        .any(|known| known["digest"] == entry["digest"])
    {
        return None;
    }
    entries.push(entry);
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_referrers_keeps_its_entries_and_has_each_once() {
        let first = with_entry(None, json!({ "digest": "a" })).expect("a new index");
        let second = with_entry(Some(first), json!({ "digest": "b" })).expect("one more");
        assert_eq!(
            second["manifests"],
            json!([{ "digest": "a" }, { "digest": "b" }])
        );
        assert_eq!(with_entry(Some(second), json!({ "digest": "a" })), None);
    }
}
