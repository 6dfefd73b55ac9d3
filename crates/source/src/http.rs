//! Files from the web, kept between builds.
//!
//! ```text
//! <cache>/<blake3 of the URL>.json        what the server said of it, and the body's sha256
//! <cache>/<blake3 of the URL>-<sha256>    the body
//! ```
//!
//! The server is asked with the `ETag` (or the date) of what is kept, and answers 304 if that is still right. With a
//! checksum that the kept body has, it is not asked at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rbuild_image::{Digest, Digester};
use rbuild_layer::{Attributes, FileContent, Mtime, TreeWriter};
use serde::{Deserialize, Serialize};

use crate::git::redact;
use crate::{Authorization, SourceError};

/// How often a download is tried before its error counts.
const ATTEMPTS: u32 = 4;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long a connection may take, and how long the headers after it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Read from the network at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// What a file from the web has for a mode, as `BuildKit` has it.
const FILE_MODE: u32 = 0o600;
/// Changes with the layout of the cache's JSON: what is older is downloaded again.
const CACHE_VERSION: u32 = 1;

/// Downloads files and keeps them.
#[derive(Debug, Clone)]
pub struct HttpClient {
    agent: ureq::Agent,
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
    content_type: Option<String>,
    disposition: Option<String>,
}

enum Answer {
    Unchanged,
    Body(Box<ureq::http::Response<ureq::Body>>),
}

impl HttpClient {
    /// A client that keeps its files in `cache`, and gives `user_agent` as its name.
    pub fn new(cache: PathBuf, user_agent: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .user_agent(user_agent)
            .http_status_as_error(false)
            .max_redirects(10)
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .build();
        Self {
            agent: config.into(),
            cache,
        }
    }

    /// The file at `request.url` as it is now. `progress` hears how many bytes have come and how many there will be.
    pub fn fetch(
        &self,
        request: &HttpRequest<'_>,
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<HttpFile, SourceError> {
        let kept = self.kept(request.url);
        if let (Some(kept), Some(checksum)) = (&kept, request.checksum)
            && kept.facts.sha256 == checksum
        {
            return kept.reopened(self);
        }
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        let file = loop {
            match self.attempt(request, kept.as_ref(), progress) {
                Err(error) if attempt < ATTEMPTS && is_passing(&error) => {
                    std::thread::sleep(pause);
                    pause *= 2;
                    attempt += 1;
                }
                result => break result?,
            }
        };
        match request.checksum {
            Some(expected) if expected != file.facts.sha256 => Err(SourceError::Checksum {
                what: redact(request.url),
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
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<HttpFile, SourceError> {
        match (self.ask(request, kept)?, kept) {
            (Answer::Unchanged, Some(kept)) => kept.reopened(self),
            (Answer::Unchanged, None) => Err(SourceError::HttpStatus {
                url: redact(request.url),
                status: 304,
            }),
            (Answer::Body(response), _) => self.download(request.url, *response, progress),
        }
    }

    fn ask(
        &self,
        request: &HttpRequest<'_>,
        kept: Option<&HttpFile>,
    ) -> Result<Answer, SourceError> {
        let mut call = self.agent.get(request.url);
        if let Some(header) = request.authorization.http_header() {
            call = call.header("Authorization", header);
        }
        if let Some(facts) = kept.map(|kept| &kept.facts) {
            if let Some(etag) = &facts.etag {
                call = call.header("If-None-Match", etag);
            } else if let Some(date) = &facts.last_modified {
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
        progress: &dyn Fn(u64, Option<u64>),
    ) -> Result<HttpFile, SourceError> {
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut facts = Facts {
            version: CACHE_VERSION,
            url: url.to_owned(),
            sha256: Digest::from_sha256_bytes([0; 32]),
            size: 0,
            etag: header("etag"),
            last_modified: header("last-modified"),
            content_type: header("content-type"),
            disposition: header("content-disposition"),
        };
        let total = response.body().content_length();
        let (draft_path, mut draft) = self.draft(url)?;
        let mut digester = Digester::new();
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let received = digester.written();
            let broken = |source| SourceError::Download {
                url: redact(url),
                received,
                source,
            };
            let count = match body.read(&mut chunk) {
                Ok(0) if total.is_some_and(|total| received < total) => {
                    return Err(broken(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(error)),
            };
            digester.update(&chunk[..count]);
            draft
                .write_all(&chunk[..count])
                .map_err(|source| failed("write", &draft_path, source))?;
            progress(digester.written(), total);
        }
        facts.size = digester.written();
        facts.sha256 = digester.finish();
        self.keep(&draft_path, &facts)
    }

    /// Names the body after what it is, then writes what is known of it: readers find both or neither.
    fn keep(&self, draft: &Path, facts: &Facts) -> Result<HttpFile, SourceError> {
        let before = self.facts(&facts.url);
        let path = self.body_path(&facts.url, &facts.sha256);
        fs::rename(draft, &path).map_err(|source| failed("rename", draft, source))?;
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
            matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
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
