//! Giving a registry what it lacks: asking, mounting, manifests. Blobs' bytes go through [`crate::upload`].

use rbuild_image::{Descriptor, Digest, ImageError, MAX_DOCUMENT_BYTES, Reference};
use ureq::http::Method;
use url::Url;

use crate::client::attempt;
use crate::resolve::{ACCEPT, check_digest, told_digest};
use crate::transport::{Body, Call, Endpoint, Patience, Scope};
use crate::{Attempt, BlobUpload, Client, RegistryError};

/// Whether a repository holds a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// It does.
    Present,
    /// It does not.
    Missing,
}

/// What a registry said to a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountOutcome {
    /// The blob is in the target repository now.
    Mounted,
    /// It must be uploaded.
    Declined,
}

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobArrival {
    /// It was there before.
    WasThere,
    /// The registry took it from another repository.
    Mounted,
    /// It was uploaded.
    Uploaded,
}

impl Client {
    /// Sees to it that `reference`'s repository holds a blob, in the cheapest way: nothing is sent that is
    /// there, or that the registry can mount from `neighbour`'s repository.
    pub fn ensure_blob(
        &self,
        reference: &Reference,
        upload: &BlobUpload<'_>,
        neighbour: Option<&Reference>,
    ) -> Result<BlobArrival, RegistryError> {
        let digest = self.digest_of(reference, upload.descriptor)?;
        if self.present_blobs().contain(reference, &digest)
            || self.has_blob(reference, &digest)? == BlobState::Present
        {
            return Ok(BlobArrival::WasThere);
        }
        if let Some(neighbour) = neighbour
            && self.mount_blob(reference, &digest, neighbour)? == MountOutcome::Mounted
        {
            return Ok(BlobArrival::Mounted);
        }
        self.push_blob(reference, upload)?;
        Ok(BlobArrival::Uploaded)
    }

    /// The digest in a descriptor of a blob for `reference`'s repository.
    pub(crate) fn digest_of(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Digest, RegistryError> {
        Digest::try_from(descriptor.digest()).map_err(|source| self.malformed(reference, source))
    }

    /// What is to be sent to `reference`'s repository cannot be.
    pub(crate) fn malformed(&self, reference: &Reference, source: ImageError) -> RegistryError {
        let endpoint = self.destination(reference);
        let about = attempt("upload to", reference.to_string(), &endpoint);
        RegistryError::Document {
            attempt: Box::new(about),
            source,
        }
    }

    /// Whether `reference`'s repository at the registry itself holds the blob.
    pub fn has_blob(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<BlobState, RegistryError> {
        let endpoint = self.destination(reference);
        let about = blob_attempt("look for the blob", reference, digest, &endpoint);
        let call = Call::new(&endpoint, &about, Method::HEAD)
            .scopes([Scope::push(reference.repository())])
            .accept(&[404]);
        let path = format!("{}/blobs/{digest}", reference.repository());
        let answer = self.transport().send(&call, &path)?;
        if answer.status().as_u16() == 404 {
            return Ok(BlobState::Missing);
        }
        if let Some(told) = told_digest(answer.headers(), &about)? {
            check_digest(&about, *digest, told)?;
        }
        self.present_blobs().add(reference, digest);
        Ok(BlobState::Present)
    }

    /// Whether `reference`'s repository at the registry itself holds the manifest, and with it all that it names.
    pub fn has_manifest(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<BlobState, RegistryError> {
        let endpoint = self.destination(reference);
        let about = blob_attempt("look for the manifest", reference, digest, &endpoint);
        let call = Call::new(&endpoint, &about, Method::HEAD)
            .scopes([Scope::push(reference.repository())])
            .header("accept", ACCEPT)
            .accept(&[404]);
        let path = format!("{}/manifests/{digest}", reference.repository());
        let answer = self.transport().send(&call, &path)?;
        if answer.status().as_u16() == 404 {
            return Ok(BlobState::Missing);
        }
        if let Some(told) = told_digest(answer.headers(), &about)? {
            check_digest(&about, *digest, told)?;
        }
        Ok(BlobState::Present)
    }

    /// Makes the blob `digest` of the repository `from`, at the same registry, part of `target`'s repository.
    pub fn mount_blob(
        &self,
        target: &Reference,
        digest: &Digest,
        from: &Reference,
    ) -> Result<MountOutcome, RegistryError> {
        if target.registry() != from.registry() || target.repository() == from.repository() {
            return Ok(MountOutcome::Declined);
        }
        let endpoint = self.destination(target);
        let about = blob_attempt("mount the blob", target, digest, &endpoint);
        let call = Call::new(&endpoint, &about, Method::POST)
            .scopes([
                Scope::push(target.repository()),
                Scope::pull(from.repository()),
            ])
            .body(Body::Bytes(&[]))
            // Without the right to read there, or with a registry that knows no mounts, it is uploaded.
            .accept(&[400, 401, 403, 404, 405]);
        let path = format!(
            "{}/blobs/uploads/?mount={digest}&from={}",
            target.repository(),
            from.repository()
        );
        let answer = self.transport().send(&call, &path)?;
        if answer.status().as_u16() == 201 {
            self.present_blobs().add(target, digest);
            return Ok(MountOutcome::Mounted);
        }
        if let Ok(location) = upload_location(&endpoint, self, &about, &answer) {
            self.abandon_upload(&endpoint, target, &location);
        }
        Ok(MountOutcome::Declined)
    }

    /// Puts a manifest under `reference`'s tag, or under its digest alone if it has no tag. All that the
    /// manifest names must be there already.
    pub fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::sha256_of(bytes);
        match reference.tag() {
            Some(tag) => self.put_manifest_as(reference, tag, media_type, bytes, digest),
            None => self.put_manifest_by_digest(reference, media_type, bytes),
        }
    }

    /// Puts a manifest under its digest alone, whatever tag `reference` has: the images of an index.
    pub fn put_manifest_by_digest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::sha256_of(bytes);
        self.put_manifest_as(reference, &digest.to_string(), media_type, bytes, digest)
    }

    fn put_manifest_as(
        &self,
        reference: &Reference,
        name: &str,
        media_type: &str,
        bytes: &[u8],
        digest: Digest,
    ) -> Result<Digest, RegistryError> {
        if let Some(expected) = reference.digest() {
            let endpoint = self.destination(reference);
            let about = attempt("push the manifest of", reference.to_string(), &endpoint);
            check_digest(&about, expected, digest)?;
        }
        self.put_manifest_answer(reference, name, media_type, bytes)?;
        Ok(digest)
    }

    /// What the registry says to a manifest that is put under `name`.
    pub(crate) fn put_manifest_answer(
        &self,
        reference: &Reference,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<ureq::http::Response<ureq::Body>, RegistryError> {
        let endpoint = self.destination(reference);
        let about = attempt("push the manifest of", reference.to_string(), &endpoint);
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(RegistryError::protocol(
                &about,
                "it is too large for a manifest",
            ));
        }
        let call = Call::new(&endpoint, &about, Method::PUT)
            .scopes([Scope::push(reference.repository())])
            .header("content-type", media_type)
            .patience(Patience::Commit)
            .body(Body::Bytes(bytes));
        let path = format!("{}/manifests/{name}", reference.repository());
        let answer = self.transport().send(&call, &path)?;
        if let Some(told) = told_digest(answer.headers(), &about)? {
            check_digest(&about, Digest::sha256_of(bytes), told)?;
        }
        Ok(answer)
    }

    /// Ends an upload that is not needed. Registries sweep them up in the end, so failure does not matter.
    pub(crate) fn abandon_upload(&self, endpoint: &Endpoint, target: &Reference, location: &Url) {
        let about = attempt("abandon an upload to", target.to_string(), endpoint);
        let call = Call::new(endpoint, &about, Method::DELETE)
            .scopes([Scope::push(target.repository())])
            .retry(crate::transport::Retry::No);
        let _ = self.transport().send_to(&call, location);
    }
}

pub(crate) fn blob_attempt(
    action: &'static str,
    reference: &Reference,
    digest: &Digest,
    endpoint: &Endpoint,
) -> Attempt {
    let subject = format!(
        "{}/{}@{digest}",
        reference.registry(),
        reference.repository()
    );
    attempt(action, subject, endpoint)
}

/// Where an upload goes on: `Location`, absolute or relative, with whatever query it has. Registries behind a
/// proxy that ends TLS often call themselves `http://`: from HTTPS the upload stays in HTTPS.
pub(crate) fn upload_location(
    endpoint: &Endpoint,
    client: &Client,
    about: &Attempt,
    answer: &ureq::http::Response<ureq::Body>,
) -> Result<Url, RegistryError> {
    let location = answer.headers().get("location");
    let location = location
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| RegistryError::protocol(about, "an upload without a Location"))?;
    let base = endpoint.url(&client.transport().agents, "")?;
    let malformed = || RegistryError::protocol(about, "an upload with a malformed Location");
    let mut url = base.join(location).map_err(|_| malformed())?;
    if base.scheme() == "https" && url.scheme() == "http" {
        url.set_scheme("https").map_err(|()| malformed())?;
    }
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(malformed()),
    }
}
