//! From a name to a manifest whose digest is known and right.

use std::io::Read;

use rbuild_image::{
    Descriptor, Digest, ImageConfig, ImageError, ImageManifest, MAX_DOCUMENT_BYTES, Manifest,
    ManifestKind, Platform, Reference, descriptor, media_type,
};
use ureq::http::{HeaderMap, Method};

use crate::blob::BlobReader;
use crate::client::attempt;
use crate::transport::{Call, Endpoint, Retry};
use crate::{Attempt, Client, RegistryError};

/// The manifests that we read.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// How often a manifest or config is asked for again whose bytes are not those of its digest: once at each host.
const DAMAGED_DOCUMENTS: u32 = 1;

/// A manifest or an index, as the registry has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// The digest in the descriptor.
    pub digest: Digest,
    /// Its bytes, of that digest.
    pub bytes: Vec<u8>,
    /// What they say.
    pub manifest: Manifest,
    /// The host that gave it: the registry's, or a mirror's.
    pub via: String,
}

/// The image for one platform.
#[derive(Debug, Clone, PartialEq)]
pub struct PulledManifest {
    /// What the name stands for: an index, or the image itself.
    pub root: Descriptor,
    /// The image manifest's media type, digest and size.
    pub descriptor: Descriptor,
    /// The image manifest's digest.
    pub digest: Digest,
    /// The image manifest's bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub manifest: ImageManifest,
    /// The host that gave it.
    pub via: String,
}

impl Client {
    /// What `reference` names: a manifest or an index. A digest in the reference is what counts, else the tag.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        let wanted = reference.digest();
        self.first_answer(reference, |endpoint| {
            self.fetch_manifest(endpoint, reference, wanted)
        })
    }

    /// The descriptor alone of what `reference` names, without a download where the registry allows it
    /// (a HEAD request, which registries that limit pulls do not count).
    pub fn resolve_descriptor(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        self.first_answer(reference, |endpoint| {
            match self.head_manifest(endpoint, reference)? {
                Some(found) => Ok(found),
                None => self
                    .fetch_manifest(endpoint, reference, reference.digest())
                    .map(|resolved| resolved.descriptor),
            }
        })
    }

    /// The manifest or index with `digest` in `reference`'s repository.
    pub fn manifest(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<Resolved, RegistryError> {
        self.first_answer(reference, |endpoint| {
            self.fetch_manifest(endpoint, reference, Some(*digest))
        })
    }

    /// The image that `reference` names for `platform`.
    pub fn pull_manifest(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<PulledManifest, RegistryError> {
        let resolved = self.resolve(reference)?;
        self.select_platform(reference, resolved, platform)
    }

    /// A config's bytes, checked, and what they say.
    pub fn config(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<(Vec<u8>, ImageConfig), RegistryError> {
        let about = Attempt {
            action: "read the config of",
            subject: reference.to_string(),
            host: reference.registry().to_owned(),
            registry: reference.registry().to_owned(),
        };
        let unreadable = |source| RegistryError::Document {
            attempt: Box::new(about.clone()),
            source,
        };
        if descriptor.size() > MAX_DOCUMENT_BYTES as u64 {
            return Err(unreadable(too_large("the image config")));
        }
        let bytes = self.config_bytes(reference, descriptor)?;
        let config = ImageConfig::from_json(&bytes).map_err(unreadable)?;
        Ok((bytes, config))
    }

    /// The bytes of a config, asked for again where they were damaged on their way.
    fn config_bytes(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut damaged = 0;
        loop {
            let read = self.blob(reference, descriptor);
            match read.and_then(BlobReader::read_all) {
                Err(error) if error.is_corruption() && damaged < DAMAGED_DOCUMENTS => damaged += 1,
                read => return read,
            }
        }
    }

    fn head_manifest(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let about = manifest_attempt(endpoint, reference, reference.digest());
        let answer = self.transport().send(
            &manifest_call(endpoint, &about, Method::HEAD, reference).accept(&[405]),
            &manifest_path(reference, reference.digest()),
        )?;
        let headers = answer.headers();
        let size = header(headers, "content-length").and_then(|text| text.parse().ok());
        let kind = header(headers, "content-type").filter(|text| is_manifest(text));
        let digest = told_digest(headers, &about)?;
        let (Some(size), Some(kind), Some(digest)) = (size, kind, digest) else {
            return Ok(None);
        };
        check_digest(&about, reference.digest().unwrap_or(digest), digest)?;
        Ok(Some(descriptor(bare(kind), digest, size)))
    }

    pub(crate) fn fetch_manifest(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        wanted: Option<Digest>,
    ) -> Result<Resolved, RegistryError> {
        let about = manifest_attempt(endpoint, reference, wanted);
        let mut backoff = self.transport().backoff(&about.subject);
        let mut damaged = 0;
        loop {
            let fetched = self.fetch_manifest_once(endpoint, reference, wanted, &about);
            // One loop for all: a body that broke off is like a request that failed.
            match fetched {
                Err(error) if error.is_corruption() && damaged < DAMAGED_DOCUMENTS => damaged += 1,
                Err(error) => self.transport().wait_after(endpoint, &mut backoff, error)?,
                fetched => return fetched,
            }
        }
    }

    fn fetch_manifest_once(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        wanted: Option<Digest>,
        about: &Attempt,
    ) -> Result<Resolved, RegistryError> {
        let answer = self.transport().send(
            &manifest_call(endpoint, about, Method::GET, reference).retry(Retry::No),
            &manifest_path(reference, wanted),
        )?;
        let (parts, body) = answer.into_parts();
        let said = header(&parts.headers, "content-type").unwrap_or_default();
        if is_schema_1(said) {
            return Err(RegistryError::protocol(
                about,
                "it is in Docker's schema 1 format, which is obsolete and not supported; push the image again with a current tool",
            ));
        }
        let bytes = read_bounded(body.into_reader(), about)?;
        let digest = Digest::sha256_of(&bytes);
        check_digest(about, wanted.unwrap_or(digest), digest)?;
        if let Some(told) = told_digest(&parts.headers, about)? {
            check_digest(about, told, digest)?;
        }
        let manifest = Manifest::from_json(&bytes).map_err(|source| RegistryError::Document {
            attempt: Box::new(about.clone()),
            source,
        })?;
        let media_type = match ManifestKind::of_media_type(said) {
            Some(kind) if kind == manifest.kind() => bare(said).to_owned(),
            _ => manifest.media_type(),
        };
        Ok(Resolved {
            descriptor: descriptor(&media_type, digest, bytes.len() as u64),
            digest,
            bytes,
            manifest,
            via: endpoint.host.clone(),
        })
    }
}

fn manifest_attempt(endpoint: &Endpoint, reference: &Reference, wanted: Option<Digest>) -> Attempt {
    let subject = match wanted {
        Some(digest) => reference.with_digest(digest),
        None => reference.clone(),
    };
    attempt("read the manifest of", subject.to_string(), endpoint)
}

fn manifest_call<'a>(
    endpoint: &'a Endpoint,
    about: &'a Attempt,
    method: Method,
    reference: &Reference,
) -> Call<'a> {
    Call::new(endpoint, about, method)
        .header("accept", ACCEPT)
        .scopes([endpoint.pull_scope(reference.repository())])
}

fn manifest_path(reference: &Reference, wanted: Option<Digest>) -> String {
    let name = match (wanted, reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    };
    format!("{}/manifests/{name}", reference.repository())
}

pub(crate) fn read_bounded(reader: impl Read, about: &Attempt) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_DOCUMENT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| RegistryError::unreachable(about, error.into()))?;
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(RegistryError::Document {
            attempt: Box::new(about.clone()),
            source: too_large("the manifest"),
        });
    }
    Ok(bytes)
}

fn too_large(what: &'static str) -> ImageError {
    ImageError::Document {
        what,
        reason: format!("it is larger than {MAX_DOCUMENT_BYTES} bytes"),
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The digest that the registry tells. One of an algorithm that we do not know tells nothing.
pub(crate) fn told_digest(
    headers: &HeaderMap,
    about: &Attempt,
) -> Result<Option<Digest>, RegistryError> {
    match header(headers, "docker-content-digest") {
        Some(text) if text.starts_with("sha256:") => text
            .parse()
            .map(Some)
            .map_err(|_| RegistryError::protocol(about, "a malformed Docker-Content-Digest")),
        _ => Ok(None),
    }
}

pub(crate) fn check_digest(
    about: &Attempt,
    expected: Digest,
    actual: Digest,
) -> Result<(), RegistryError> {
    if expected == actual {
        return Ok(());
    }
    Err(RegistryError::DigestMismatch {
        attempt: Box::new(about.clone()),
        expected,
        actual,
    })
}

pub(crate) fn bare(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn is_manifest(media_type: &str) -> bool {
    ManifestKind::of_media_type(media_type).is_some()
}

fn is_schema_1(said: &str) -> bool {
    matches!(
        bare(said),
        media_type::DOCKER_SCHEMA1 | media_type::DOCKER_SCHEMA1_UNSIGNED
    )
}
