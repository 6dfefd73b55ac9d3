//! A downloaded file: what the server told of it, and what it is called.

use std::fs::File;
use std::time::{SystemTime, UNIX_EPOCH};

use rbuild_image::Digest;
use rbuild_layer::{Attributes, FileContent, Mtime, TreeWriter};

use super::HttpClient;
use super::kept::{Facts, failed};
use crate::SourceError;
use crate::git::redact;

/// What a file from the web has for a mode, as `BuildKit` has it.
const FILE_MODE: u32 = 0o600;

/// A downloaded file.
#[derive(Debug)]
pub struct HttpFile {
    pub(super) file: File,
    pub(super) facts: Facts,
}

impl HttpFile {
    /// The same file once more, from its start.
    pub(super) fn reopened(&self, client: &HttpClient) -> Result<Self, SourceError> {
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
