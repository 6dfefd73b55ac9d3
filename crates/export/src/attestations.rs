//! Attestations beside images: statements as layers of a manifest of their own (BuildKit's attestation storage).
//!
//! ```text
//! index ┬ image manifest                                linux/amd64
//!       └ attestation manifest ─ layers: statements     unknown/unknown, names the image's digest
//! ```
//!
//! The image's own documents do not depend on what is attested of it.

use std::collections::HashMap;

use rbuild_attest::{Attestation, IN_TOTO_MEDIA_TYPE, PREDICATE_TYPE_ANNOTATION, Subject};
use rbuild_image::{Descriptor, Digest, Platform, Reference, media_type};
use serde::Serialize;
use serde_json::json;

use crate::assemble::{BuiltImage, Document};
use crate::error::ExportError;

/// What an attestation manifest is an artifact of.
pub const ATTESTATION_ARTIFACT_TYPE: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// The config of an artifact that needs none (OCI image-spec, guidance for an empty descriptor).
const EMPTY_CONFIG_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_CONFIG: &[u8] = b"{}";
/// [`EMPTY_CONFIG`] in the descriptor itself, in base64.
const EMPTY_CONFIG_DATA: &str = "e30=";
/// What an index says of the manifests that are no images.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
const ATTESTATION_MANIFEST: &str = "attestation-manifest";
const UNKNOWN: &str = "unknown";

/// What an attestation manifest looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttestationForm {
    /// An artifact with the image as its subject.
    #[default]
    Artifact,
    /// `oci-artifact=false`: an image for no platform, as tools before OCI 1.1 expect it.
    Image,
}

/// Where attestation manifests are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttestationPlace {
    /// In an index, beside the image.
    #[default]
    Index,
    /// `attestations=referrers`: only from the image, which stands alone.
    Referrers,
}

/// How the attestations of images are written, where they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttestationStyle {
    /// What their manifests look like.
    pub form: AttestationForm,
    /// Where they are found.
    pub place: AttestationPlace,
    /// What the images are called.
    pub names: Vec<Reference>,
}

/// The documents of one image's attestations.
pub(crate) struct Attested {
    /// What the manifest names: statements and a config.
    pub(crate) parts: Vec<Document>,
    /// The manifest; its descriptor says of which image it is.
    pub(crate) manifest: Document,
}

impl AttestationStyle {
    /// The attestations of `image`, whose manifest is `manifest`; none if nothing is attested.
    pub(crate) fn attested(
        &self,
        image: &BuiltImage,
        manifest: &Document,
    ) -> Result<Option<Attested>, ExportError> {
        if image.attestations.is_empty() {
            return Ok(None);
        }
        let digest = manifest.digest();
        let subjects = self.subjects(&image.platform, &digest);
        let statements = image.attestations.iter();
        let statements = statements
            .map(|one| statement_document(one, &subjects))
            .collect::<Result<Vec<_>, _>>()?;
        let layers: Vec<&Descriptor> = statements.iter().map(|one| &one.descriptor).collect();
        let (config, mut document) = match (self.place, self.form) {
            (AttestationPlace::Index, AttestationForm::Image) => unknown_image(&layers)?,
            (_, AttestationForm::Artifact) | (AttestationPlace::Referrers, _) => {
                artifact(&layers, manifest)?
            }
        };
        let annotations = [
            (REFERENCE_TYPE, ATTESTATION_MANIFEST.to_owned()),
            (REFERENCE_DIGEST, digest.to_string()),
        ];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value));
        document
            .descriptor
            .set_annotations(Some(annotations.into()));
        let mut parts = statements;
        parts.push(config);
        Ok(Some(Attested {
            parts,
            manifest: document,
        }))
    }

    fn subjects(&self, platform: &Platform, manifest: &Digest) -> Vec<Subject> {
        if self.names.is_empty() {
            return vec![Subject::unnamed(manifest)];
        }
        let names = self.names.iter();
        names
            .map(|name| Subject::image(name, platform, manifest))
            .collect()
    }
}

impl Attested {
    /// All of them, the manifest last.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Document> {
        self.parts.iter().chain([&self.manifest])
    }
}

/// What an index says that attestations are for.
pub(crate) fn unknown_platform() -> Platform {
    Platform {
        os: UNKNOWN.to_owned(),
        architecture: UNKNOWN.to_owned(),
        variant: String::new(),
        os_version: String::new(),
    }
}

fn statement_document(
    attestation: &Attestation,
    subjects: &[Subject],
) -> Result<Document, ExportError> {
    let statement = attestation.statement(subjects);
    let mut document = Document::of(&statement, IN_TOTO_MEDIA_TYPE)?;
    let annotations = HashMap::from([(
        PREDICATE_TYPE_ANNOTATION.to_owned(),
        attestation.predicate_type.clone(),
    )]);
    document.descriptor.set_annotations(Some(annotations));
    Ok(document)
}

/// An attestation manifest in the order of fields that other builders write.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    config: &'a Descriptor,
    layers: &'a [&'a Descriptor],
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
}

/// Config and manifest of an artifact about `image`.
fn artifact(layers: &[&Descriptor], image: &Document) -> Result<(Document, Document), ExportError> {
    let mut config = Document {
        descriptor: rbuild_image::descriptor(
            EMPTY_CONFIG_TYPE,
            Digest::sha256_of(EMPTY_CONFIG),
            EMPTY_CONFIG.len() as u64,
        ),
        bytes: EMPTY_CONFIG.to_vec(),
    };
    config
        .descriptor
        .set_data(Some(EMPTY_CONFIG_DATA.to_owned()));
    let mut subject = image.descriptor.clone();
    subject.set_annotations(None);
    let kind = media_type::OCI_MANIFEST;
    let manifest = Manifest {
        schema_version: 2,
        media_type: kind,
        artifact_type: Some(ATTESTATION_ARTIFACT_TYPE),
        config: &config.descriptor,
        layers,
        subject: Some(subject),
    };
    let manifest = Document::of(&manifest, kind)?;
    Ok((config, manifest))
}

/// Config and manifest of an image for no platform.
fn unknown_image(layers: &[&Descriptor]) -> Result<(Document, Document), ExportError> {
    let digests: Vec<String> = layers.iter().map(|one| one.digest().to_string()).collect();
    let config = json!({
        "architecture": UNKNOWN,
        "os": UNKNOWN,
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": digests },
    });
    let config = Document::of(&config, media_type::OCI_CONFIG)?;
    let kind = media_type::OCI_MANIFEST;
    let manifest = Manifest {
        schema_version: 2,
        media_type: kind,
        artifact_type: None,
        config: &config.descriptor,
        layers,
        subject: None,
    };
    let manifest = Document::of(&manifest, kind)?;
    Ok((config, manifest))
}
