//! What is attested of an image that is pushed in another form than it is kept in: its manifest has another digest there, so the
//! statements are made anew.

use anyhow::Context as _;
use rbuild_attest::{Attestation, Subject};
use rbuild_export::AttestationForm;
use rbuild_image::{Descriptor, Digest};
use rbuild_store::Store;
use serde_json::Value;

use crate::commands::image_documents::ImageDocument;

/// The annotation that says of which manifest an attestation manifest is.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Whether `attested` is about `image`.
pub(super) fn are_of(attested: &ImageDocument, image: &ImageDocument) -> bool {
    let annotations = attested.document.descriptor.annotations();
    let digest = annotations
        .as_ref()
        .and_then(|annotations| annotations.get(REFERENCE_DIGEST));
    digest.is_some_and(|digest| *digest == image.document.descriptor.digest().to_string())
}

/// What the manifest `attested` says of `image`.
pub(super) fn read(
    store: &Store,
    attested: &ImageDocument,
    image: &ImageDocument,
) -> anyhow::Result<(AttestationForm, Vec<Attestation>)> {
    let manifest: Value = serde_json::from_slice(&attested.document.bytes)?;
    let form = match manifest.get("artifactType") {
        Some(_) => AttestationForm::Artifact,
        None => AttestationForm::Image,
    };
    let statements = attested.manifest.layers().iter();
    let statements = statements.map(|layer| statement(store, layer, image));
    Ok((form, statements.collect::<anyhow::Result<_>>()?))
}

fn statement(
    store: &Store,
    layer: &Descriptor,
    image: &ImageDocument,
) -> anyhow::Result<Attestation> {
    let digest = Digest::try_from(layer.digest())?;
    let bytes = store
        .read_blob(&digest)?
        .with_context(|| format!("the attestation {digest} is missing"))?;
    let mut statement: Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("failed to read the attestation {digest}"))?;
    let subjects = statement["subject"].as_array().cloned().unwrap_or_default();
    let kept = image.document.descriptor.digest();
    let is_image = |subject: &Value| subject["digest"]["sha256"] == *kept.digest();
    let subjects = if subjects.iter().any(is_image) {
        Vec::new()
    } else {
        subjects.iter().filter_map(Subject::from_json).collect()
    };
    Ok(Attestation {
        file_name: String::new(),
        predicate_type: statement["predicateType"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        predicate: statement["predicate"].take(),
        subjects,
    })
}
