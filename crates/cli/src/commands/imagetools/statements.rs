//! What is attested of the images of an index, as `--format` sees it: `.Provenance` and `.SBOM`.
//!
//! ```text
//! {{json .Provenance.SLSA}}                     of an index with one image
//! {{json (index .SBOM "linux/arm64").SPDX}}     by platform, of one with several
//! ```

use std::io::Read as _;

use anyhow::Context as _;
use rbuild_attest::PREDICATE_TYPE_ANNOTATION;
use rbuild_export::ATTESTATION_ARTIFACT_TYPE;
use rbuild_image::{Descriptor, Digest, Manifest, Platform, Reference};
use rbuild_registry::{Client, Resolved};
use serde_json::{Map, Value, json};

use super::index::{REFERENCE_DIGEST, platform_of};

/// The largest statement that is read, in bytes: as large as the largest that `BuildKit` makes.
const MAX_STATEMENT_BYTES: u64 = 40 << 20;

/// What is attested of images.
#[derive(Default)]
pub(super) struct Statements {
    pub(super) provenance: Value,
    pub(super) sbom: Value,
}

/// Reads what is attested of the images of `resolved`, which `name` stands for: in the index `entries`, else by referrers.
pub(super) fn read(
    client: &Client,
    name: &Reference,
    resolved: &Resolved,
    entries: &[Map<String, Value>],
) -> anyhow::Result<Statements> {
    let mut provenance = Map::new();
    let mut sbom = Map::new();
    let subjects = subjects(client, name, resolved, entries)?;
    let images = subjects.len();
    for (platform, image) in subjects {
        let mut attested = beside(entries, &image)?;
        if attested.is_empty() {
            let kind = Some(ATTESTATION_ARTIFACT_TYPE);
            for found in client.referrers(name, &image, kind)? {
                attested.push(Digest::try_from(found.digest())?);
            }
        }
        for attested in attested {
            for (kind, predicate) in predicates(client, name, &attested)? {
                if kind.starts_with("https://slsa.dev/provenance/") {
                    provenance.insert(platform.to_string(), json!({ "SLSA": predicate }));
                } else if kind == "https://spdx.dev/Document" {
                    add(&mut sbom, platform.to_string(), predicate);
                }
            }
        }
    }
    Ok(Statements {
        provenance: of_images(provenance, images),
        sbom: of_images(sbom, images),
    })
}

/// The images, with their platforms.
fn subjects(
    client: &Client,
    name: &Reference,
    resolved: &Resolved,
    entries: &[Map<String, Value>],
) -> anyhow::Result<Vec<(Platform, Digest)>> {
    if let Manifest::Image(image) = &resolved.manifest {
        let (_, config) = client.config(name, image.config())?;
        return Ok(vec![(config.platform(), resolved.digest)]);
    }
    let mut subjects = Vec::new();
    for entry in entries {
        let platform = platform_of(entry).filter(|platform| !platform.is_unknown());
        if let (Some(platform), Some(digest)) = (platform, entry.get("digest")) {
            subjects.push((platform, digest.as_str().unwrap_or_default().parse()?));
        }
    }
    Ok(subjects)
}

/// The attestation manifests that stand beside `image` in its index.
fn beside(entries: &[Map<String, Value>], image: &Digest) -> anyhow::Result<Vec<Digest>> {
    let image = Value::from(image.to_string());
    let about = |entry: &&Map<String, Value>| {
        let annotations = entry.get("annotations");
        annotations.and_then(|annotations| annotations.get(REFERENCE_DIGEST)) == Some(&image)
    };
    let digests = entries.iter().filter(about).map(|entry| {
        let digest = entry.get("digest").and_then(Value::as_str);
        Ok(digest.unwrap_or_default().parse()?)
    });
    digests.collect()
}

/// By platform where there are several.
fn of_images(by_platform: Map<String, Value>, images: usize) -> Value {
    match images {
        1 => by_platform.into_values().next().unwrap_or_default(),
        _ => by_platform.into(),
    }
}

/// The first document is that of the image, further ones are those of stages and contexts.
fn add(sbom: &mut Map<String, Value>, platform: String, predicate: Value) {
    let known = sbom.entry(platform).or_insert_with(|| json!({}));
    if known.get("SPDX").is_none() {
        known["SPDX"] = predicate;
        return;
    }
    match &mut known["AdditionalSPDXs"] {
        Value::Array(further) => further.push(predicate),
        none => *none = json!([predicate]),
    }
}

/// What an attestation manifest says: types and predicates.
fn predicates(
    client: &Client,
    name: &Reference,
    digest: &Digest,
) -> anyhow::Result<Vec<(String, Value)>> {
    let Manifest::Image(manifest) = client.manifest(name, digest)?.manifest else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for layer in manifest.layers() {
        let annotations = layer.annotations().as_ref();
        let kind = annotations.and_then(|annotations| annotations.get(PREDICATE_TYPE_ANNOTATION));
        if let Some(kind) = kind {
            found.push((kind.clone(), predicate(client, name, layer)?));
        }
    }
    Ok(found)
}

fn predicate(client: &Client, name: &Reference, layer: &Descriptor) -> anyhow::Result<Value> {
    let digest = layer.digest();
    anyhow::ensure!(
        layer.size() <= MAX_STATEMENT_BYTES,
        "the statement {digest} is too large to be shown: {} bytes",
        layer.size()
    );
    let mut bytes = Vec::new();
    client
        .blob(name, layer)?
        .read_to_end(&mut bytes)
        .with_context(|| format!("failed to read the statement {digest}"))?;
    let mut statement: Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("the statement {digest} is not JSON"))?;
    Ok(statement["predicate"].take())
}
