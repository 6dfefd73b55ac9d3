//! Reading a blob: streamed, resumed where it breaks, checked before it ends.
//!
//! ```text
//! open ──► bytes … bytes ──► the last bytes, handed out only if size and digest are right
//!   ▲          │ broken
//!   └─ wait ◄──┘   Range: bytes=<what is missing>-, at the same host or the next
//! ```

use std::io::{self, Read};
use std::sync::Arc;

use rbuild_image::{Descriptor, Digest, Digester, Distribution, LayerMediaType, Reference};
use ureq::http::Method;
use url::Url;

use crate::client::{all_failed, attempt, note_failure};
use crate::transport::{Backoff, Call, Endpoint, Retry};
use crate::{Attempt, Client, RegistryError};

/// Bytes that must have come since the last failure for failures to be counted anew.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Where a blob may be had.
enum Place {
    Registry(Arc<Endpoint>),
    /// A foreign layer's own URL.
    Elsewhere(Arc<Endpoint>, Url),
}

/// A blob's bytes. Reading fails at the last byte at the latest unless size and digest are those of the
/// descriptor: whoever has read [`size`](Self::size) bytes, or has seen the end, has the right ones. Bytes
/// before that are unchecked and must not be kept if reading fails.
pub struct BlobReader {
    client: Client,
    subject: String,
    repository: String,
    digest: Digest,
    size: u64,
    places: Vec<Place>,
    at: usize,
    failures: Vec<RegistryError>,
    backoff: Backoff,
    body: Option<Box<dyn Read + Send + Sync>>,
    digester: Digester,
    reset_at: u64,
    progress: Option<Box<dyn FnMut(u64) + Send>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Verified,
    Failed,
}

impl Client {
    /// Opens the blob of `descriptor` in `reference`'s repository. Nothing is asked for until the first read.
    pub fn blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<BlobReader, RegistryError> {
        let subject = format!(
            "{}/{}@{}",
            reference.registry(),
            reference.repository(),
            descriptor.digest()
        );
        let sources = self.sources(reference);
        let digest =
            Digest::try_from(descriptor.digest()).map_err(|source| RegistryError::Document {
                attempt: Box::new(attempt("read the blob", subject.clone(), &sources[0])),
                source,
            })?;
        let own = self.destination(reference);
        let mut places: Vec<Place> = sources.into_iter().map(Place::Registry).collect();
        let elsewhere = foreign_urls(descriptor);
        places.extend(elsewhere.map(|url| Place::Elsewhere(Arc::clone(&own), url)));
        Ok(BlobReader {
            client: self.clone(),
            backoff: self.transport().backoff(&subject),
            subject,
            repository: reference.repository().to_owned(),
            digest,
            size: descriptor.size(),
            places,
            at: 0,
            failures: Vec::new(),
            body: None,
            digester: Digester::new(),
            reset_at: 0,
            progress: None,
            state: State::Reading,
        })
    }
}

fn foreign_urls(descriptor: &Descriptor) -> impl Iterator<Item = Url> + '_ {
    let kind = LayerMediaType::parse(descriptor.media_type().as_ref());
    let restricted = kind.is_some_and(|kind| kind.distribution == Distribution::Restricted);
    descriptor
        .urls()
        .iter()
        .flatten()
        .filter(move |_| restricted)
        .filter_map(|url| Url::parse(url).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https"))
}

impl BlobReader {
    /// Calls `progress` with the number of bytes that have come, after each read.
    #[must_use]
    pub fn with_progress(mut self, progress: impl FnMut(u64) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// The blob's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The blob's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Reads and checks what is left, for callers that stop before the end.
    pub fn finish(mut self) -> Result<(), RegistryError> {
        let mut buffer = vec![0; 64 << 10];
        while self.next(&mut buffer)? > 0 {}
        Ok(())
    }

    /// All bytes, checked. For small blobs: the whole is held in memory.
    pub fn read_all(mut self) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.next(&mut buffer)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        match self.state {
            State::Verified => return Ok(0),
            State::Failed => return Err(self.protocol("it has failed before")),
            State::Reading if buffer.is_empty() => return Ok(0),
            State::Reading => {}
        }
        let result = self.read_on(buffer);
        if result.is_err() {
            self.state = State::Failed;
            self.body = None;
        }
        result
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        loop {
            self.client.transport().check_cancelled(self.endpoint())?;
            if self.size == self.digester.written() {
                self.check_end()?;
                return Ok(0);
            }
            if self.body.is_none()
                && let Err(error) = self.open()
            {
                self.recover(error)?;
                continue;
            }
            let left = self.size - self.digester.written();
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let body = self.body.as_mut().expect("it was opened above");
            match body.read(&mut buffer[..most]) {
                Ok(0) => {
                    let ended = io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!(
                            "it ended after {} of {} bytes",
                            self.digester.written(),
                            self.size
                        ),
                    );
                    let error = RegistryError::unreachable(&self.attempt(), ended.into());
                    self.recover(error)?;
                }
                Ok(count) => {
                    self.digester.update(&buffer[..count]);
                    if let Some(progress) = &mut self.progress {
                        progress(self.digester.written());
                    }
                    if self.size == self.digester.written() {
                        self.check_end()?;
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let error = RegistryError::unreachable(&self.attempt(), error.into());
                    self.recover(error)?;
                }
            }
        }
    }

    /// All bytes are here: there must be no more, and they must be the right ones.
    fn check_end(&mut self) -> Result<(), RegistryError> {
        if let Some(mut body) = self.body.take()
            && matches!(body.read(&mut [0]), Ok(1..))
        {
            return Err(RegistryError::SizeMismatch {
                attempt: Box::new(self.attempt()),
                expected: self.size,
                actual: self.size + 1,
            });
        }
        let found = std::mem::take(&mut self.digester).finish();
        let checked = crate::resolve::check_digest(&self.attempt(), self.digest, found);
        if checked.is_err() {
            // Whoever asks again asks others first, if there are any.
            self.endpoint().set_down();
        }
        checked?;
        self.state = State::Verified;
        Ok(())
    }

    /// Waits before the same place is asked again, or turns to the next.
    fn recover(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.body = None;
        let written = self.digester.written();
        if written >= self.reset_at + PROGRESS_BYTES {
            self.backoff.reset();
            self.reset_at = written;
        }
        let endpoint = Arc::clone(self.endpoint());
        let transport = self.client.transport();
        let error = match transport.wait_after(&endpoint, &mut self.backoff, error) {
            Ok(()) => return Ok(()),
            Err(error @ RegistryError::Cancelled { .. }) => return Err(error),
            Err(error) => error,
        };
        note_failure(&endpoint, &error);
        self.failures.push(error);
        self.at += 1;
        if self.at == self.places.len() {
            self.at -= 1;
            return Err(all_failed(std::mem::take(&mut self.failures)));
        }
        self.backoff = transport.backoff(&self.subject);
        self.reset_at = written;
        Ok(())
    }

    /// Asks the current place for what is missing.
    fn open(&mut self) -> Result<(), RegistryError> {
        let about = self.attempt();
        let offset = self.digester.written();
        let mut call = Call::new(self.endpoint(), &about, Method::GET)
            .scopes([self.endpoint().pull_scope(&self.repository)])
            .retry(Retry::No);
        if offset > 0 {
            call = call.header("range", format!("bytes={offset}-"));
        }
        let transport = self.client.transport();
        let answer = match &self.places[self.at] {
            Place::Registry(_) => {
                let path = format!("{}/blobs/{}", self.repository, self.digest);
                transport.send(&call, &path)?
            }
            Place::Elsewhere(_, url) => transport.send_to(&call, url)?,
        };
        let resumed = answer.status().as_u16() == 206;
        if resumed && !range_begins_at(&answer, offset) {
            return Err(self.protocol("the answer to a range request is another range"));
        }
        let expected = if resumed {
            self.size - offset
        } else {
            self.size
        };
        let told = answer.body().content_length();
        if told.is_some_and(|told| told != expected) {
            return Err(RegistryError::SizeMismatch {
                attempt: Box::new(about),
                expected: self.size,
                actual: told.unwrap_or_default() + if resumed { offset } else { 0 },
            });
        }
        let mut body: Box<dyn Read + Send + Sync> = Box::new(answer.into_body().into_reader());
        if !resumed && offset > 0 {
            // The server does not know ranges: what we have is read again, unchecked since its digest is.
            let skipped = io::copy(&mut (&mut body).take(offset), &mut io::sink());
            match skipped {
                Ok(skipped) if skipped == offset => {}
                Ok(_) => return Err(self.protocol("it ended early")),
                Err(error) => return Err(RegistryError::unreachable(&about, error.into())),
            }
        }
        self.body = Some(body);
        Ok(())
    }

    fn endpoint(&self) -> &Arc<Endpoint> {
        match &self.places[self.at] {
            Place::Registry(endpoint) | Place::Elsewhere(endpoint, _) => endpoint,
        }
    }

    fn attempt(&self) -> Attempt {
        let mut about = attempt("read the blob", self.subject.clone(), self.endpoint());
        if let Place::Elsewhere(_, url) = &self.places[self.at] {
            url.authority().clone_into(&mut about.host);
        }
        about
    }

    fn protocol(&self, reason: &str) -> RegistryError {
        RegistryError::protocol(&self.attempt(), reason)
    }
}

fn range_begins_at(answer: &ureq::http::Response<ureq::Body>, offset: u64) -> bool {
    let range = answer.headers().get("content-range");
    let Some(range) = range.and_then(|value| value.to_str().ok()) else {
        return true; // some servers leave it out; the digest decides
    };
    let begin = range.trim_start_matches("bytes").trim_start();
    begin.split('-').next() == Some(offset.to_string().as_str())
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.next(buffer)?)
    }
}
