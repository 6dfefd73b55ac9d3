//! What is attested of the images of an index, as `--format` sees it: `.Provenance` and `.SBOM`.
//!
//! ```text
//! {{json .Provenance.SLSA}}                     of an index with one image
//! {{json (index .SBOM "linux/arm64").SPDX}}     by platform, of one with several
//! ```

use std::io::Read as _;

use anyhow::Context as _;
use rbuild_attest::PREDICATE_TYPE_ANNOTATION;
use rbuild_image::{Descriptor, Manifest, Reference};
use rbuild_registry::Client;
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

/// Reads what `entries` of the index at `name` have.
pub(super) fn read(
    client: &Client,
    name: &Reference,
    entries: &[Map<String, Value>],
) -> anyhow::Result<Statements> {
    let mut provenance = Map::new();
    let mut sbom = Map::new();
    let mut images = 0;
    for image in entries {
        let Some(platform) = platform_of(image).filter(|platform| !platform.is_unknown()) else {
            continue;
        };
        images += 1;
        let about = |entry: &&Map<String, Value>| {
            let annotations = entry.get("annotations");
            let of = annotations.and_then(|annotations| annotations.get(REFERENCE_DIGEST));
            of.is_some() && of == image.get("digest")
        };
        for attested in entries.iter().filter(about) {
            for (kind, predicate) in predicates(client, name, attested)? {
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
    entry: &Map<String, Value>,
) -> anyhow::Result<Vec<(String, Value)>> {
    let digest = entry.get("digest").and_then(Value::as_str);
    let digest = digest.unwrap_or_default().parse()?;
    let Manifest::Image(manifest) = client.manifest(name, &digest)?.manifest else {
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
