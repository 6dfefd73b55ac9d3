//! What an image was built from: the sources that its part of a plan uses, and what they turned out to be.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_image::{Digest, Platform, Reference};
use rbuild_plan::{
    ContextSource, GitSource, ImageOrigin, ImageSource, Operation, Plan, VertexId,
    without_credentials,
};
use serde_json::{Value, json};

use crate::purl::image_purl;

/// Digits of a commit's name by SHA-256; by SHA-1 it has fewer.
const SHA256_DIGITS: usize = 64;

/// What a source elsewhere turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceIdentity {
    /// A commit's whole name.
    Commit(String),
    /// A file with this digest.
    File(Digest),
}

impl SourceIdentity {
    /// `{"sha1": "…"}`
    pub(crate) fn digests(&self) -> Value {
        match self {
            Self::Commit(commit) if commit.len() == SHA256_DIGITS => json!({ "sha256": commit }),
            Self::Commit(commit) => json!({ "sha1": commit }),
            Self::File(digest) => json!({ "sha256": digest.hex() }),
        }
    }
}

/// The sources of an image.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// URIs, and digests where they are known: each once, in order.
    pub(crate) materials: BTreeMap<String, Option<Value>>,
    /// Directories of the machine, by the names that the build knows them by.
    pub(crate) locals: BTreeSet<String>,
}

impl Sources {
    /// Those of `vertices`.
    pub(crate) fn of(
        plan: &Plan,
        vertices: &BTreeSet<VertexId>,
        resolved: &BTreeMap<VertexId, SourceIdentity>,
    ) -> Self {
        let mut sources = Self::default();
        for &id in vertices {
            let vertex = plan.vertex(id);
            let identity = || resolved.get(&id).map(SourceIdentity::digests);
            match &vertex.operation {
                Operation::Image(image) => {
                    let digest = json!({ "sha256": image.image.manifest.hex() });
                    sources.add(image_uri(image, &vertex.platform), Some(digest));
                }
                Operation::Git(git) => sources.add(git_uri(git), identity()),
                Operation::Http(http) => sources.add(without_credentials(&http.url), identity()),
                Operation::Context(ContextSource::Main) => {
                    sources.locals.insert("context".to_owned());
                }
                Operation::Context(ContextSource::Named(name)) => {
                    sources.locals.insert(name.clone());
                }
                Operation::Exec(_) | Operation::File(_) | Operation::Merge => {}
            }
        }
        sources
    }

    /// Adds one more.
    pub(crate) fn add(&mut self, uri: String, digest: Option<Value>) {
        let known = self.materials.entry(uri).or_default();
        if known.is_none() {
            *known = digest;
        }
    }

    /// Whether nothing is missing: all is known by its digest.
    pub(crate) fn are_complete(&self) -> bool {
        self.locals.is_empty() && self.materials.values().all(Option::is_some)
    }

    /// As provenance lists them.
    pub(crate) fn json(&self) -> Vec<Value> {
        let materials = self.materials.iter();
        materials
            .map(|(uri, digest)| match digest {
                Some(digest) => json!({ "uri": uri, "digest": digest }),
                None => json!({ "uri": uri }),
            })
            .collect()
    }
}

/// `root` and all that it is made of.
pub(crate) fn below(plan: &Plan, root: Option<VertexId>) -> BTreeSet<VertexId> {
    let mut found = BTreeSet::new();
    let mut next: Vec<VertexId> = root.into_iter().collect();
    while let Some(id) = next.pop() {
        if found.insert(id) {
            next.extend(plan.inputs(id));
        }
    }
    found
}

fn image_uri(source: &ImageSource, platform: &Platform) -> String {
    let (kind, name) = match &source.image.origin {
        ImageOrigin::Registry(name) | ImageOrigin::Store(name) => ("docker", name.as_str()),
        // A layout has a path, which says nothing elsewhere, and its last part may be a name.
        ImageOrigin::OciLayout(path) => ("oci", path.rsplit('/').next().unwrap_or(path)),
    };
    match name.parse::<Reference>() {
        Ok(name) => image_purl(kind, &name, Some(platform)),
        Err(_) => format!(
            "pkg:{kind}/image?digest=sha256%3A{}",
            source.image.manifest.hex()
        ),
    }
}

/// `https://host/repo.git#ref`
pub(crate) fn git_uri(source: &GitSource) -> String {
    let url = without_credentials(&source.url);
    match &source.reference {
        Some(reference) => format!("{url}#{reference}"),
        None => url,
    }
}
