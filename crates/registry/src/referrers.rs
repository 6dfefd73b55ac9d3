//! Manifests that say which other one they are about (OCI distribution-spec 1.1, "Pushing Manifests with Subject").
//!
//! ```text
//! PUT manifest ─ the registry answers OCI-Subject ─→ it lists it itself
//!        └─ it does not ─→ the index under the tag sha256-<digest of the subject> gets an entry
//!
//! GET referrers/<digest of the subject> ─ page by page ─→ what refers to it
//!        └─ there is no such list ─→ the index under the tag
//! ```

use rbuild_image::{Descriptor, Digest, Reference, media_type};
use serde_json::{Value, json};
use ureq::http::Method;
use url::form_urlencoded::byte_serialize;

use crate::client::attempt;
use crate::resolve::{bare, header, read_bounded};
use crate::transport::{Call, Endpoint};
use crate::{Attempt, Client, RegistryError};

/// How many pages a list of referrers may have: nobody has so many.
const MAX_PAGES: usize = 64;
/// What registries without the list answer: they are to say 404, old ones take the path for something else.
const NO_SUCH_LIST: [u16; 3] = [400, 404, 405];

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
        let tagged = self.referrers_tag(reference, referrer.subject)?;
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

    /// What refers to `subject` in the repository of `reference`, of one kind if that is given.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let endpoint = self.destination(reference);
        let about = attempt(
            "list the referrers of",
            reference.with_digest(*subject).to_string(),
            &endpoint,
        );
        let mut path = format!("{}/referrers/{subject}", reference.repository());
        if let Some(kind) = artifact_type {
            path.push_str("?artifactType=");
            path.extend(byte_serialize(kind.as_bytes()));
        }
        let mut found = match self.listed(&endpoint, &about, reference, &path)? {
            Some(found) => found,
            None => match self.tagged_index(&self.referrers_tag(reference, subject)?)? {
                Some(index) => entries(&index),
                None => Vec::new(),
            },
        };
        // Registries need not know the filter.
        found.retain(|entry| {
            let kind = entry.artifact_type().as_ref();
            artifact_type.is_none_or(|wanted| kind.is_some_and(|kind| kind.as_ref() == wanted))
        });
        Ok(found)
    }

    /// All pages of the list at `path`; nothing if there is no such list.
    fn listed(
        &self,
        endpoint: &Endpoint,
        about: &Attempt,
        reference: &Reference,
        path: &str,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let call = Call::new(endpoint, about, Method::GET)
            .header("accept", media_type::OCI_INDEX)
            .scopes([endpoint.pull_scope(reference.repository())])
            .accept(&NO_SUCH_LIST);
        let mut answer = self.transport().send(&call, path)?;
        let mut page = endpoint.url(&self.transport().agents, path)?;
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let (parts, body) = answer.into_parts();
            let said = header(&parts.headers, "content-type").unwrap_or_default();
            if !parts.status.is_success() || bare(said) != media_type::OCI_INDEX {
                return Ok(None);
            }
            let bytes = read_bounded(body.into_reader(), about)?;
            let index: Value = serde_json::from_slice(&bytes)
                .map_err(|_| RegistryError::protocol(about, "a list that is not JSON"))?;
            found.extend(entries(&index));
            let Some(next) = header(&parts.headers, "link").and_then(next_page) else {
                return Ok(Some(found));
            };
            page = page
                .join(next)
                .map_err(|_| RegistryError::protocol(about, "a malformed link to a page"))?;
            answer = self.transport().send_to(&call, &page)?;
        }
        Err(RegistryError::protocol(about, "a list without end"))
    }

    fn referrers_tag(
        &self,
        reference: &Reference,
        subject: &Digest,
    ) -> Result<Reference, RegistryError> {
        reference
            .with_tag(&format!("sha256-{}", subject.hex()))
            .map_err(|source| self.malformed(reference, source))
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

/// The descriptors of an index that are such.
fn entries(index: &Value) -> Vec<Descriptor> {
    let listed = index["manifests"].as_array().into_iter().flatten();
    listed
        .filter_map(|entry| serde_json::from_value(entry.clone()).ok())
        .collect()
}

/// The next page that a `Link` names (RFC 8288): `</v2/…>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let mut links = link.split(',').filter_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let mut parameters = parameters.split(';').map(str::trim);
        let is_next = parameters.any(|text| matches!(text, "rel=\"next\"" | "rel=next"));
        is_next.then_some(target)
    });
    links.next()
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
    fn the_next_page_is_found_among_links() {
        for (link, next) in [
            ("</v2/a?last=1>; rel=\"next\"", Some("/v2/a?last=1")),
            ("</x>; rel=prev, </y>; title=\"\"; rel=next", Some("/y")),
            ("</x>; rel=prev", None),
            ("/x; rel=next", None),
            ("<", None),
        ] {
            assert_eq!(next_page(link), next, "{link}");
        }
    }

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
