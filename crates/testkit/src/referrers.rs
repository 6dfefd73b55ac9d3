//! The referrers API (OCI distribution-spec 1.1) in front of a registry that lacks it.
//!
//! ```text
//! PUT manifest with a subject ──► the registry, then OCI-Subject is added to its answer
//! GET referrers/<digest>      ◄── an index of what came so, by artifactType if that is asked for
//! ```

use std::io::{self, BufReader, Read, Write as _};
use std::net::TcpStream;

use rbuild_image::Digest;
use serde_json::{Value, json};

use crate::http::{Head, Recorded, answer, decoded};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The manifests with a subject that were put so far: repository, subject, descriptor.
#[derive(Debug, Default)]
pub(crate) struct Referrers {
    known: Vec<(String, String, Value)>,
    /// How many descriptors an answer has at most, if there is a limit.
    page: Option<usize>,
}

impl Referrers {
    /// None yet; answers come in pages of this many.
    pub(crate) fn in_pages(page: Option<usize>) -> Self {
        Self {
            known: Vec::new(),
            page,
        }
    }

    /// The answer to a question for referrers, if `request` is one.
    pub(crate) fn listed(&self, request: &Recorded) -> Option<Vec<u8>> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let (repository, subject) = path.strip_prefix("/v2/")?.split_once("/referrers/")?;
        if request.method != "GET" {
            return None;
        }
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(known, _)| *known == name)
                .map(|(_, value)| decoded(value))
        };
        let kind = parameter("artifactType");
        let found: Vec<&Value> = self
            .known
            .iter()
            .filter(|(place, about, _)| place == repository && about == subject)
            .map(|(_, _, descriptor)| descriptor)
            .filter(|found| {
                kind.as_ref()
                    .is_none_or(|kind| found["artifactType"] == **kind)
            })
            .collect();
        let start = parameter("last")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let end = self
            .page
            .map_or(found.len(), |page| found.len().min(start + page));
        let mut headers = vec![("Content-Type".to_owned(), INDEX.to_owned())];
        if kind.is_some() {
            headers.push(("OCI-Filters-Applied".to_owned(), "artifactType".to_owned()));
        }
        if end < found.len() {
            let kind = kind.map_or(String::new(), |kind| format!("&artifactType={kind}"));
            let next = format!("<{path}?last={end}{kind}>; rel=\"next\"");
            headers.push(("Link".to_owned(), next));
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": found.get(start..end).unwrap_or_default(),
        });
        Some(answer(200, &headers, index.to_string().as_bytes()))
    }

    /// Remembers the manifest `body`, which the registry took, if it has a subject. Gives that.
    fn remember(&mut self, request: &Recorded, body: &[u8]) -> Option<String> {
        let (repository, _) = request
            .path
            .strip_prefix("/v2/")?
            .split_once("/manifests/")?;
        let manifest: Value = serde_json::from_slice(body).ok()?;
        let subject = manifest["subject"]["digest"].as_str()?.to_owned();
        let kind = match &manifest["artifactType"] {
            Value::Null => manifest["config"]["mediaType"].clone(),
            kind => kind.clone(),
        };
        let mut descriptor = json!({
            "mediaType": manifest["mediaType"],
            "digest": Digest::sha256_of(body).to_string(),
            "size": body.len(),
            "artifactType": kind,
        });
        if !manifest["annotations"].is_null() {
            descriptor["annotations"] = manifest["annotations"].clone();
        }
        self.known
            .retain(|(_, _, known)| known["digest"] != descriptor["digest"]);
        self.known
            .push((repository.to_owned(), subject.clone(), descriptor));
        Some(subject)
    }
}

/// Whether `request` puts a manifest.
pub(crate) fn puts_manifest(request: &Recorded) -> bool {
    request.method == "PUT" && request.path.contains("/manifests/")
}

/// Passes a manifest on to the registry at `upstream`; gives the whole answer.
pub(crate) fn pass_manifest(
    upstream: &str,
    referrers: &mut Referrers,
    mut head: Head,
    body: &[u8],
) -> io::Result<Vec<u8>> {
    let mut registry = TcpStream::connect(upstream)?;
    head.set("Connection", "close");
    registry.write_all(&head.bytes())?;
    registry.write_all(body)?;
    let mut reader = BufReader::new(&registry);
    let mut reply = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    reply.set("Connection", "close");
    if reply.first_line.contains(" 201 ")
        && let Some(subject) = referrers.remember(&head.request(), body)
    {
        reply.set("OCI-Subject", &subject);
    }
    let mut bytes = reply.bytes();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}
