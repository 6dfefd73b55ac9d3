//! Uploading a blob (distribution-spec, "Pushing blobs").
//!
//! ```text
//! POST uploads/ ──► PUT all of it                    the way that every registry takes
//!      ▲               │ broken: GET the upload's state
//!      │               ├─ some of it is there ──► PATCH the rest ──► PUT the digest
//!      └───────────────┤ nothing is there
//!                      └─ too large, not supported ──► PATCH in chunks ──► PUT the digest
//! ```

use std::io::{self, Read};

use rbuild_image::{Descriptor, Digest, Reference};
use ureq::http::{Method, Response};
use url::Url;

use crate::push::{blob_attempt, upload_location};
use crate::resolve::{check_digest, told_digest};
use crate::transport::{Backoff, Body, Call, Endpoint, Patience, Retry, Scope, Source};
use crate::{Attempt, Client, RegistryError};

/// The size of a chunk, in bytes, where a registry does not take a blob as a whole: below the limits of the
/// proxies that are the reason.
const UPLOAD_CHUNK_BYTES: u64 = 32 << 20;

/// How often a blob is sent that does not arrive as it was sent. Whoever damages it three times will go on so, or the source
/// is not what its digest says.
const DAMAGED_UPLOADS: u32 = 3;

/// What is uploaded.
pub struct BlobUpload<'a> {
    /// The blob's digest and size.
    pub descriptor: &'a Descriptor,
    /// Opens its bytes from the start; called again for each retry.
    pub open: &'a dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    /// Told how many of its bytes were sent. It may go back when a part is sent again.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// How the next bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    Chunks,
}

/// An upload in progress.
struct Session<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    about: Attempt,
    scope: Scope,
    digest: Digest,
    size: u64,
    upload: &'a BlobUpload<'a>,
    way: Way,
    chunk_bytes: u64,
}

/// Where an upload stands: its URL, and how much the registry has.
struct Position {
    location: Url,
    offset: u64,
}

impl Client {
    /// Uploads a blob to `reference`'s repository, whether or not it is there already.
    pub fn push_blob(
        &self,
        reference: &Reference,
        upload: &BlobUpload<'_>,
    ) -> Result<(), RegistryError> {
        let endpoint = self.destination(reference);
        let digest = self.digest_of(reference, upload.descriptor)?;
        let mut session = Session {
            client: self,
            endpoint: &endpoint,
            about: blob_attempt("upload the blob", reference, &digest, &endpoint),
            scope: Scope::push(reference.repository()),
            digest,
            size: upload.descriptor.size(),
            upload,
            way: Way::Whole,
            chunk_bytes: UPLOAD_CHUNK_BYTES,
        };
        session.run(&format!("{}/blobs/uploads/", reference.repository()))?;
        self.present_blobs().add(reference, &digest);
        Ok(())
    }
}

impl Session<'_> {
    fn run(&mut self, start_path: &str) -> Result<(), RegistryError> {
        let mut backoff = self.client.transport().backoff(&self.about.subject);
        let mut position = self.start(start_path)?;
        let mut damaged = 0;
        loop {
            let error = match self.send(&mut position, &mut backoff) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.way == Way::Whole && refuses_the_whole(&error) {
                self.way = Way::Chunks;
                position = self.start(start_path)?;
                continue;
            }
            if is_damaged(&error) {
                damaged += 1;
                if damaged == DAMAGED_UPLOADS {
                    return Err(error);
                }
                position = self.start(start_path)?;
                continue;
            }
            if !is_lost(&error) {
                let transport = self.client.transport();
                transport.wait_after(self.endpoint, &mut backoff, error)?;
            } else if backoff.after(&as_transient(&self.about)).is_none() {
                return Err(error);
            }
            position = match self.state_of(&position) {
                Some(found) => found,
                None => self.start(start_path)?,
            };
        }
    }

    /// Begins an upload.
    fn start(&mut self, path: &str) -> Result<Position, RegistryError> {
        let call = Call::new(self.endpoint, &self.about, Method::POST)
            .scopes([self.scope.clone()])
            .body(Body::Bytes(&[]));
        let answer = self.client.transport().send(&call, path)?;
        let least = answer
            .headers()
            .get("oci-chunk-min-length")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        self.chunk_bytes = UPLOAD_CHUNK_BYTES.max(least.unwrap_or(0));
        Ok(Position {
            location: self.location(&answer)?,
            offset: 0,
        })
    }

    /// Sends what is missing, and the digest.
    fn send(&self, position: &mut Position, backoff: &mut Backoff) -> Result<(), RegistryError> {
        if self.way == Way::Whole && position.offset == 0 {
            return self.finish(&position.location, self.size);
        }
        while position.offset < self.size {
            let length = match self.way {
                Way::Whole => self.size - position.offset,
                Way::Chunks => self.chunk_bytes.min(self.size - position.offset),
            };
            *position = self.send_chunk(position, length)?;
            backoff.reset();
        }
        self.finish(&position.location, 0)
    }

    fn send_chunk(&self, position: &Position, length: u64) -> Result<Position, RegistryError> {
        let source = self.source(position.offset, length);
        let end = position.offset + length;
        let call = self
            .call(Method::PATCH)
            .header("content-type", "application/octet-stream")
            .header("content-range", format!("{}-{}", position.offset, end - 1))
            .body(Body::Stream(&source));
        let answer = self.client.transport().send_to(&call, &position.location)?;
        Ok(Position {
            location: self.location(&answer)?,
            offset: end,
        })
    }

    /// Ends the upload with its last `length` bytes.
    fn finish(&self, location: &Url, length: u64) -> Result<(), RegistryError> {
        let source = self.source(self.size - length, length);
        let mut url = location.clone();
        url.query_pairs_mut()
            .append_pair("digest", &self.digest.to_string());
        let call = self
            .call(Method::PUT)
            .header("content-type", "application/octet-stream")
            .patience(Patience::Commit);
        let call = match length {
            0 => call.body(Body::Bytes(&[])),
            _ => call.body(Body::Stream(&source)),
        };
        let answer = self.client.transport().send_to(&call, &url)?;
        if let Some(told) = told_digest(answer.headers(), &self.about)? {
            check_digest(&self.about, self.digest, told)?;
        }
        Ok(())
    }

    /// How much of the upload the registry has; `None` if it must begin anew.
    fn state_of(&self, position: &Position) -> Option<Position> {
        let call = self.call(Method::GET);
        let answer = self
            .client
            .transport()
            .send_to(&call, &position.location)
            .ok()?;
        let range = answer.headers().get("range")?.to_str().ok()?;
        let last: u64 = range.rsplit('-').next()?.trim().parse().ok()?;
        // `0-0` is an empty upload in some registries and one byte in others.
        let offset = if last == 0 { 0 } else { last + 1 };
        if offset == 0 || offset > self.size {
            return None;
        }
        let location = self
            .location(&answer)
            .unwrap_or_else(|_| position.location.clone());
        Some(Position { location, offset })
    }

    fn call(&self, method: Method) -> Call<'_> {
        Call::new(self.endpoint, &self.about, method)
            .scopes([self.scope.clone()])
            .retry(Retry::No)
    }

    fn source(&self, offset: u64, length: u64) -> Source<'_> {
        Source {
            open: self.upload.open,
            offset,
            length,
            progress: self.upload.progress,
            cancel: &self.client.transport().cancel,
            failure: std::sync::Mutex::default(),
        }
    }

    fn location(&self, answer: &Response<ureq::Body>) -> Result<Url, RegistryError> {
        upload_location(self.endpoint, self.client, &self.about, answer)
    }
}

/// Whether a registry, or what stands before it, takes no blob of this size at once.
fn refuses_the_whole(error: &RegistryError) -> bool {
    matches!(error.status(), Some(405 | 411 | 413 | 415 | 501))
}

/// Whether other bytes arrived than the digest says.
fn is_damaged(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Status { reply, .. } if reply.has_code("DIGEST_INVALID"))
}

/// Whether the registry has lost the upload, or thinks that it stands elsewhere.
fn is_lost(error: &RegistryError) -> bool {
    match error {
        RegistryError::NotFound { reply, .. } => reply.has_code("BLOB_UPLOAD_UNKNOWN"),
        RegistryError::Status { reply, .. } => {
            reply.status == 416
                || reply.has_code("BLOB_UPLOAD_INVALID")
                || reply.has_code("BLOB_UPLOAD_UNKNOWN")
        }
        _ => false,
    }
}

/// An error to count a lost upload by.
fn as_transient(about: &Attempt) -> RegistryError {
    let lost = io::Error::other("the registry lost the upload");
    RegistryError::unreachable(about, lost.into())
}
