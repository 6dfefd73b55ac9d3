//! Uploading a blob while it is being made: its digest comes last.
//!
//! ```text
//! POST uploads/ ──► PATCH, of unknown length ──► PUT the digest
//! ```
//!
//! Docker pushes every layer in this way, so registries take it. It is tried once: whatever goes wrong, the caller has the
//! whole blob in the end, and sends it as any other.

use std::io::Read;

use rbuild_image::{Descriptor, Reference};
use ureq::http::Method;

use crate::client::attempt;
use crate::push::upload_location;
use crate::resolve::{check_digest, told_digest};
use crate::transport::{Body, Call, Endpoint, Growing, Patience, Retry, Scope};
use crate::{Attempt, Client, RegistryError};

impl Client {
    /// Uploads what `source` gives to `reference`'s repository, while it comes. After its end `described` says which blob
    /// that was; `None` if it was none after all.
    pub fn push_while_made(
        &self,
        reference: &Reference,
        source: impl Read + Send,
        described: impl FnOnce() -> Option<Descriptor>,
    ) -> Result<(), RegistryError> {
        let endpoint = self.destination(reference);
        let about = attempt("upload a blob to", reference.to_string(), &endpoint);
        let scope = Scope::push(reference.repository());
        let start = call(&endpoint, &about, &scope, Method::POST).body(Body::Bytes(&[]));
        let path = format!("{}/blobs/uploads/", reference.repository());
        let answer = self.transport().send(&start, &path)?;
        let location = upload_location(&endpoint, self, &about, &answer)?;
        drop(answer);
        let growing = Growing::new(source, &self.transport().cancel);
        let request = call(&endpoint, &about, &scope, Method::PATCH)
            .header("content-type", "application/octet-stream")
            .body(Body::Growing(&growing));
        let sent = self.transport().send_to(&request, &location);
        let location = match &sent {
            Ok(answer) => upload_location(&endpoint, self, &about, answer),
            Err(_) => Ok(location),
        }?;
        let descriptor = sent.map(|_| described());
        let Ok(Some(descriptor)) = descriptor else {
            self.abandon_upload(&endpoint, reference, &location);
            return descriptor.map(drop);
        };
        let digest = self.digest_of(reference, &descriptor)?;
        let mut url = location;
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let end = call(&endpoint, &about, &scope, Method::PUT)
            .header("content-type", "application/octet-stream")
            .patience(Patience::Commit)
            .body(Body::Bytes(&[]));
        let answer = self.transport().send_to(&end, &url)?;
        if let Some(told) = told_digest(answer.headers(), &about)? {
            check_digest(&about, digest, told)?;
        }
        self.present_blobs().add(reference, &digest);
        Ok(())
    }
}

/// A request that is sent once.
fn call<'a>(endpoint: &'a Endpoint, about: &'a Attempt, scope: &Scope, method: Method) -> Call<'a> {
    Call::new(endpoint, about, method)
        .scopes([scope.clone()])
        .retry(Retry::No)
}
