//! What is kept of the web: bodies, each named after its address and contents, and what is known of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rbuild_image::Digest;
use serde::{Deserialize, Serialize};

use super::partial::Partial;
use super::{HttpClient, HttpFile};
use crate::SourceError;

/// A file that was changed so shortly before it was sent may be changed again without a new date, which counts seconds.
const SETTLING: Duration = Duration::from_secs(2);
/// Changes with the layout of the cache's JSON: what is older is downloaded again.
pub(super) const CACHE_VERSION: u32 = 2;

/// What is known of a kept body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) version: u32,
    pub(super) url: String,
    pub(super) sha256: Digest,
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) date: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) disposition: Option<String>,
}

impl HttpClient {
    /// Names the body after what it is, then writes what is known of it: readers find both or neither.
    pub(super) fn keep(&self, body: &mut Partial, facts: &Facts) -> Result<HttpFile, SourceError> {
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

    pub(super) fn draft(&self, url: &str) -> Result<(PathBuf, File), SourceError> {
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

    pub(super) fn kept(&self, url: &str) -> Option<HttpFile> {
        let facts = self.facts(url)?;
        let file = File::open(self.body_path(url, &facts.sha256)).ok()?;
        (file.metadata().ok()?.len() == facts.size).then_some(HttpFile { file, facts })
    }

    pub(super) fn facts(&self, url: &str) -> Option<Facts> {
        let facts: Facts = serde_json::from_slice(&fs::read(self.json_path(url)).ok()?).ok()?;
        (facts.version == CACHE_VERSION && facts.url == url).then_some(facts)
    }

    fn json_path(&self, url: &str) -> PathBuf {
        self.cache.join(format!("{}.json", name_of(url)))
    }

    pub(super) fn body_path(&self, url: &str, sha256: &Digest) -> PathBuf {
        self.cache
            .join(format!("{}-{}", name_of(url), sha256.hex()))
    }
}

impl Facts {
    /// What tells whether a later answer continues a body that broke off: only a strong `ETag` does, or a date that cannot
    /// stand for two bodies.
    pub(super) fn range_validator(&self) -> Option<String> {
        match &self.etag {
            Some(etag) if !etag.starts_with("W/") => Some(etag.clone()),
            _ => self.reliable_date().map(str::to_owned),
        }
    }

    /// `Last-Modified`, if it lay back so far that another change would have got another one.
    pub(super) fn reliable_date(&self) -> Option<&str> {
        let changed = self.last_modified.as_deref()?;
        let at = httpdate::parse_http_date(changed).ok()?;
        let sent = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
        (at + SETTLING <= sent).then_some(changed)
    }
}

fn name_of(url: &str) -> String {
    blake3::hash(url.as_bytes()).to_hex()[..32].to_owned()
}

pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> SourceError {
    SourceError::File {
        action,
        path: path.to_owned(),
        source,
    }
}
