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
mod partial;

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rbuild_image::Digest;
use rbuild_layer::{Attributes, FileContent, Mtime, TreeWriter};
use serde::{Deserialize, Serialize};

use agents::Agents;
pub use agents::HttpOptions;
use partial::{Broken, Partial};

use crate::git::redact;
use crate::{Authorization, SourceError};

/// How often a download is tried before its error counts.
const ATTEMPTS: u32 = 4;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A file that was changed so shortly before it was sent may be changed again without a new date, which counts seconds.
const SETTLING: Duration = Duration::from_secs(2);
/// What a file from the web has for a mode, as `BuildKit` has it.
const FILE_MODE: u32 = 0o600;
/// Changes with the layout of the cache's JSON: what is older is downloaded again.
const CACHE_VERSION: u32 = 2;

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

/// A downloaded file.
#[derive(Debug)]
pub struct HttpFile {
    file: File,
    facts: Facts,
}

/// What is known of a kept body.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Facts {
    version: u32,
    url: String,
    sha256: Digest,
    size: u64,
    etag: Option<String>,
    last_modified: Option<String>,
    date: Option<String>,
    content_type: Option<String>,
    disposition: Option<String>,
}

enum Answer {
    Unchanged,
    Body(Box<ureq::http::Response<ureq::Body>>),
}

impl HttpClient {
    /// A client that keeps its files in `cache`.
    pub fn new(cache: PathBuf, options: HttpOptions) -> Self {
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
            source: Box::new(error),
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

    /// Names the body after what it is, then writes what is known of it: readers find both or neither.
    fn keep(&self, body: &mut Partial, facts: &Facts) -> Result<HttpFile, SourceError> {
        let before = self.facts(&facts.url);
        let path = self.body_path(&facts.url, &facts.sha256);
        body.keep_as(&path)
            .map_err(|source| failed("rename to", &path, source))?;
        let file = File::open(&path).map_err(|source| failed("open", &path, source))?;
        let json = serde_json::to_vec(facts).expect("plain fields are always JSON");
        let json_path = self.json_path(&facts.url);
        let (draft, mut json_file) = self.draft(&facts.url)?;
        json_file
            .write_all(&json)
            .and_then(|()| fs::rename(&draft, &json_path))
            .map_err(|source| failed("write", &json_path, source))?;
        if let Some(before) = before
            && before.sha256 != facts.sha256
        {
            // Whoever has it open keeps it; it is only a cache.
            let _ = fs::remove_file(self.body_path(&facts.url, &before.sha256));
        }
        Ok(HttpFile {
            file,
            facts: facts.clone(),
        })
    }

    fn draft(&self, url: &str) -> Result<(PathBuf, File), SourceError> {
        fs::create_dir_all(&self.cache).map_err(|source| failed("create", &self.cache, source))?;
        for attempt in 0.. {
            let name = format!("{}.{}-{attempt}.part", name_of(url), std::process::id());
            let path = self.cache.join(name);
            match File::create_new(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(failed("create", &path, source)),
            }
        }
        unreachable!("some name is free")
    }

    fn kept(&self, url: &str) -> Option<HttpFile> {
        let facts = self.facts(url)?;
        let file = File::open(self.body_path(url, &facts.sha256)).ok()?;
        (file.metadata().ok()?.len() == facts.size).then_some(HttpFile { file, facts })
    }

    fn facts(&self, url: &str) -> Option<Facts> {
        let facts: Facts = serde_json::from_slice(&fs::read(self.json_path(url)).ok()?).ok()?;
        (facts.version == CACHE_VERSION && facts.url == url).then_some(facts)
    }

    fn json_path(&self, url: &str) -> PathBuf {
        self.cache.join(format!("{}.json", name_of(url)))
    }

    fn body_path(&self, url: &str, sha256: &Digest) -> PathBuf {
        self.cache
            .join(format!("{}-{}", name_of(url), sha256.hex()))
    }
}

impl Facts {
    /// What tells whether a later answer continues a body that broke off: only a strong `ETag` does, or a date that cannot
    /// stand for two bodies.
    fn range_validator(&self) -> Option<String> {
        match &self.etag {
            Some(etag) if !etag.starts_with("W/") => Some(etag.clone()),
            _ => self.reliable_date().map(str::to_owned),
        }
    }

    /// `Last-Modified`, if it lay back so far that another change would have got another one.
    fn reliable_date(&self) -> Option<&str> {
        let changed = self.last_modified.as_deref()?;
        let at = httpdate::parse_http_date(changed).ok()?;
        let sent = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
        (at + SETTLING <= sent).then_some(changed)
    }
}

impl HttpFile {
    /// The same file once more, from its start.
    fn reopened(&self, client: &HttpClient) -> Result<Self, SourceError> {
        let path = client.body_path(&self.facts.url, &self.facts.sha256);
        // Its name may be gone by now, but what is open stays.
        let file = File::open(&path)
            .or_else(|_| self.file.try_clone())
            .map_err(|source| failed("open", &path, source))?;
        Ok(Self {
            file,
            facts: self.facts.clone(),
        })
    }

    /// The body; whoever reads it by position shares it with nobody.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// sha256 of the body: what identifies the source in keys, together with name and date.
    pub fn digest(&self) -> Digest {
        self.facts.sha256
    }

    /// Bytes in the body.
    pub fn size(&self) -> u64 {
        self.facts.size
    }

    /// The `ETag`, if the server gave one.
    pub fn etag(&self) -> Option<&str> {
        self.facts.etag.as_deref()
    }

    /// `Last-Modified`, or 1970 where the server does not tell.
    pub fn mtime(&self) -> Mtime {
        mtime_of(self.last_modified().unwrap_or(UNIX_EPOCH))
    }

    /// `Last-Modified`, if the server tells.
    pub fn last_modified(&self) -> Option<SystemTime> {
        let text = self.facts.last_modified.as_deref()?;
        httpdate::parse_http_date(text).ok()
    }

    /// The name that the server gives the file (`Content-Disposition`), or that the URL ends in.
    pub fn name(&self) -> String {
        self.facts
            .disposition
            .as_deref()
            .and_then(disposition_name)
            .unwrap_or_else(|| http_file_name(&self.facts.url))
    }

    /// Writes it into a layer as `path`: mode 0600, owned by root, with the server's date.
    pub fn write_to(&self, writer: &TreeWriter, path: &[u8]) -> Result<(), SourceError> {
        let mut attributes = Attributes::with_mode(FILE_MODE);
        attributes.mtime = self.mtime();
        let content = FileContent::Copy {
            from: std::os::fd::AsFd::as_fd(&self.file),
            size: self.facts.size,
            digest: None,
        };
        writer
            .file(path, &attributes, content)
            .map_err(|source| SourceError::WriteLayer {
                what: redact(&self.facts.url),
                source,
            })
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

fn mtime_of(time: SystemTime) -> Mtime {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    };
    Mtime {
        seconds,
        nanoseconds: 0,
    }
}

/// The name that ADD gives to what is at `url`: the last part of its path, or `__unnamed__`.
pub fn http_file_name(url: &str) -> String {
    const UNNAMED: &str = "__unnamed__";
    let Ok(url) = url::Url::parse(url) else {
        return UNNAMED.to_owned();
    };
    let decoded = percent_encoding::percent_decode_str(url.path())
        .decode_utf8_lossy()
        .into_owned();
    match decoded.trim_end_matches('/').rsplit('/').next() {
        None | Some("" | "." | "..") => UNNAMED.to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// `filename=` of a Content-Disposition, without any directories.
fn disposition_name(header: &str) -> Option<String> {
    let value = header
        .split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("filename"))
        .map(|(_, value)| value.trim().trim_matches('"'))?;
    let name = value.rsplit(['/', '\\']).next()?;
    (!matches!(name, "" | "." | "..")).then(|| name.to_owned())
}

fn name_of(url: &str) -> String {
    blake3::hash(url.as_bytes()).to_hex()[..32].to_owned()
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> SourceError {
    SourceError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Whether the same request may fare better in a moment.
fn is_passing(error: &SourceError) -> bool {
    match error {
        SourceError::HttpStatus { status, .. } => {
            // 206 and 416: the rest is not to be had; without a range it will be all of it.
            matches!(status, 206 | 408 | 416 | 425 | 429 | 500 | 502 | 503 | 504)
        }
        SourceError::Download { .. } => true,
        SourceError::Http { source, .. } => matches!(
            **source,
            ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::ConnectionFailed
                | ureq::Error::HostNotFound
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_address() {
        for (url, name) in [
            ("https://h/a/b.tar.gz", "b.tar.gz"),
            ("https://h/a/b%20c?x=/y", "b c"),
            ("https://h/a/", "a"),
            ("https://h/", "__unnamed__"),
            ("https://h", "__unnamed__"),
            ("no url", "__unnamed__"),
        ] {
            assert_eq!(http_file_name(url), name, "{url}");
        }
    }

    #[test]
    fn a_disposition_names_no_directory() {
        assert_eq!(
            disposition_name("attachment; filename=\"../../x.txt\"").as_deref(),
            Some("x.txt")
        );
        assert_eq!(disposition_name("inline"), None);
        assert_eq!(disposition_name("attachment; filename=.."), None);
    }
}
