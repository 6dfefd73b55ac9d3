//! Files from the web, kept between builds.
//!
//! ```text
//! <cache>/<blake3 of the URL>.json        what the server said of it, and the body's sha256
//! <cache>/<blake3 of the URL>-<sha256>    the body
//! ```
//!
//! The server is asked (HEAD) for the `ETag` of what is kept, and with that (or a date that can be relied on) for the body: it
//! answers 304 if what is kept is still right. With a checksum that the kept body has, it is not asked at all. A
//! body that breaks off is continued where the server knows ranges.

mod agents;
mod file;
mod kept;
mod partial;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rbuild_image::Digest;
use rbuild_web::WebOptions;

use agents::Agents;
pub use file::{HttpFile, http_file_name};
use kept::{CACHE_VERSION, Facts, failed};
use partial::{Broken, Partial};

use crate::git::redact;
use crate::{Authorization, SourceError};

/// How often a download is tried before its error counts.
const ATTEMPTS: u32 = 4;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Downloads files and keeps them.
#[derive(Debug, Clone)]
pub struct HttpClient {
    agents: Arc<Agents>,
    cache: PathBuf,
}

/// What to download.
#[derive(Debug, Clone, Default)]
pub struct HttpRequest<'a> {
    /// The address, `http` or `https`.
    pub url: &'a str,
    /// What the body must hash to.
    pub checksum: Option<Digest>,
    /// For the host of the address; not sent on to another one.
    pub authorization: Authorization,
}

enum Answer {
    Unchanged,
    Body(Box<ureq::http::Response<ureq::Body>>),
}

impl HttpClient {
    /// A client that keeps its files in `cache`.
    pub fn new(cache: PathBuf, options: WebOptions) -> Self {
        Self {
            agents: Arc::new(Agents::new(options)),
            cache,
        }
    }

    /// The file at `request.url` as it is now. `progress` hears how many bytes have come and how many there will be, and says
    /// whether to go on.
    pub fn fetch(
        &self,
        request: &HttpRequest<'_>,
        progress: &dyn Fn(u64, Option<u64>) -> ControlFlow<()>,
    ) -> Result<HttpFile, SourceError> {
        let kept = self.kept(request.url);
        if let (Some(kept), Some(checksum)) = (&kept, request.checksum)
            && kept.facts.sha256 == checksum
        {
            return kept.reopened(self);
        }
        let mut partial = None;
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        let file = loop {
            match self.attempt(request, kept.as_ref(), &mut partial, progress) {
                Err(error) if attempt < ATTEMPTS && is_passing(&error) => {
                    if matches!(error, SourceError::HttpStatus { .. }) {
                        // Perhaps because of the range.
                        partial = None;
                    }
                    let received = partial.as_ref().map_or(0, Partial::received);
                    if progress(received, None).is_break() {
                        return Err(stopped(request.url));
                    }
                    std::thread::sleep(pause);
                    pause *= 2;
                    attempt += 1;
                }
                result => break result?,
            }
        };
        match request.checksum {
            Some(expected) if expected != file.facts.sha256 => Err(SourceError::Checksum {
                url: redact(request.url),
                expected: expected.to_string(),
                found: file.facts.sha256.to_string(),
            }),
            _ => Ok(file),
        }
    }

    fn attempt(
        &self,
        request: &HttpRequest<'_>,
        kept: Option<&HttpFile>,
        partial: &mut Option<Partial>,
        progress: &dyn Fn(u64, Option<u64>) -> ControlFlow<()>,
    ) -> Result<HttpFile, SourceError> {
        if let Some(kept) = kept
            && partial.is_none()
            && self.has_same_etag(request, kept)?
        {
            return kept.reopened(self);
        }
        match (self.ask(request, kept, partial.as_ref())?, kept) {
            (Answer::Unchanged, Some(kept)) => kept.reopened(self),
            (Answer::Unchanged, None) => Err(SourceError::HttpStatus {
                url: redact(request.url),
                status: 304,
            }),
            (Answer::Body(response), _) => self.download(request.url, *response, partial, progress),
        }
    }

    /// Whether HEAD says that the kept body is still right: some servers ignore `If-None-Match` although they give out
    /// `ETag`s. What goes wrong with it is left to GET.
    fn has_same_etag(
        &self,
        request: &HttpRequest<'_>,
        kept: &HttpFile,
    ) -> Result<bool, SourceError> {
        let Some(etag) = &kept.facts.etag else {
            return Ok(false);
        };
        let mut call = self.agents.for_url(request.url)?.head(request.url);
        if let Some(header) = request.authorization.http_header() {
            call = call.header("Authorization", header);
        }
        let Ok(response) = call.header("If-None-Match", etag).call() else {
            return Ok(false);
        };
        let answered = header(&response, "etag");
        Ok(match response.status().as_u16() {
            200 => answered.is_some_and(|answered| strong(&answered) == strong(etag)),
            304 => answered.is_none_or(|answered| strong(&answered) == strong(etag)),
            _ => false,
        })
    }

    fn ask(
        &self,
        request: &HttpRequest<'_>,
        kept: Option<&HttpFile>,
        partial: Option<&Partial>,
    ) -> Result<Answer, SourceError> {
        let mut call = self.agents.for_url(request.url)?.get(request.url);
        if let Some(header) = request.authorization.http_header() {
            call = call.header("Authorization", header);
        }
        let continued = partial.and_then(|partial| Some((partial, partial.validator()?)));
        if let Some((partial, validator)) = continued {
            call = call
                .header("Range", format!("bytes={}-", partial.received()))
                .header("If-Range", validator);
        } else if let Some(facts) = kept.map(|kept| &kept.facts) {
            if let Some(etag) = &facts.etag {
                call = call.header("If-None-Match", etag);
            } else if let Some(date) = facts.reliable_date() {
                call = call.header("If-Modified-Since", date);
            }
        }
        let response = call.call().map_err(|error| SourceError::Http {
            url: redact(request.url),
            cause: Box::new(error),
        })?;
        match response.status().as_u16() {
            304 => Ok(Answer::Unchanged),
            200..=299 => Ok(Answer::Body(Box::new(response))),
            status => Err(SourceError::HttpStatus {
                url: redact(request.url),
                status,
            }),
        }
    }

    fn download(
        &self,
        url: &str,
        response: ureq::http::Response<ureq::Body>,
        partial: &mut Option<Partial>,
        progress: &dyn Fn(u64, Option<u64>) -> ControlFlow<()>,
    ) -> Result<HttpFile, SourceError> {
        let mut facts = Facts {
            version: CACHE_VERSION,
            url: url.to_owned(),
            sha256: Digest::from_sha256_bytes([0; 32]),
            size: 0,
            etag: header(&response, "etag"),
            last_modified: header(&response, "last-modified"),
            date: header(&response, "date"),
            content_type: header(&response, "content-type"),
            disposition: header(&response, "content-disposition"),
        };
        let received = partial.as_ref().map_or(0, Partial::received);
        if response.status().as_u16() != 206 {
            let (path, file) = self.draft(url)?;
            *partial = Some(Partial::new(path, file, facts.range_validator()));
        } else if range_start(&response) != Some(received) {
            *partial = None;
            return Err(SourceError::HttpStatus {
                url: redact(url),
                status: 206,
            });
        }
        let body = partial
            .as_mut()
            .expect("it was made above, or is continued");
        let total = response
            .body()
            .content_length()
            .map(|rest| rest + body.received());
        let wanted = |received| progress(received, total).is_continue();
        let taken = body.take(response.into_body().into_reader(), total, &wanted);
        match taken {
            Ok(()) => {}
            Err(Broken::Stopped) => return Err(stopped(url)),
            Err(Broken::File(source)) => return Err(failed("write", body.path(), source)),
            Err(Broken::Connection(source)) => {
                return Err(SourceError::Download {
                    url: redact(url),
                    received: body.received(),
                    source,
                });
            }
        }
        facts.size = body.received();
        facts.sha256 = body.digest();
        self.keep(body, &facts)
    }
}

fn header(response: &ureq::http::Response<ureq::Body>, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// An `ETag` without the mark of a weak one.
fn strong(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// Where `Content-Range: bytes 5-9/10` begins.
fn range_start(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    let range = header(response, "content-range")?;
    let (start, _) = range.trim().strip_prefix("bytes ")?.split_once('-')?;
    start.parse().ok()
}

fn stopped(url: &str) -> SourceError {
    SourceError::Stopped { what: redact(url) }
}

/// Whether the same request may fare better in a moment.
fn is_passing(error: &SourceError) -> bool {
    match error {
        SourceError::HttpStatus { status, .. } => {
            // 206 and 416: the rest is not to be had; without a range it will be all of it.
            matches!(status, 206 | 408 | 416 | 425 | 429 | 500 | 502 | 503 | 504)
        }
        SourceError::Download { .. } => true,
        SourceError::Http { cause, .. } => matches!(
            **cause,
            ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::ConnectionFailed
                | ureq::Error::HostNotFound
        ),
        _ => false,
    }
}
