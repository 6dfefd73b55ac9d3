//! The lock file itself: TOML, sorted, so that it can be kept with the sources and merged.
//!
//! ```toml
//! version = 1
//!
//! [[image]]
//! name = "docker.io/library/busybox:latest"
//! platform = "linux/amd64"
//! digest = "sha256:…"
//!
//! [[http]]
//! url = "https://example.com/tool.tar"
//! digest = "sha256:…"
//!
//! [[git]]
//! url = "https://example.com/repo.git#main"
//! commit = "…"
//! ```

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use rbuild_image::Digest;
use rbuild_solve::{MovingSource, Pin};
use serde::{Deserialize, Serialize};

/// Changes when an older program would misunderstand the file.
const VERSION: u32 = 1;

/// The first lines.
const PREFACE: &str = "# What the names in the Dockerfile stood for: written by rbuild build --lock, moved by --update-lock.\n";

/// An image as a Dockerfile names it. What it stands for differs by platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PinnedImage {
    /// With registry and tag.
    pub(super) name: String,
    /// `linux/amd64`
    pub(super) platform: String,
}

/// What is in a lock file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LockFile {
    /// The digest of the platform's manifest.
    pub(super) images: BTreeMap<PinnedImage, Digest>,
    /// Everything else.
    pub(super) sources: BTreeMap<MovingSource, Pin>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    image: Vec<Image>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    http: Vec<Http>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    git: Vec<Git>,
}

#[derive(Serialize, Deserialize)]
struct Image {
    name: String,
    platform: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
struct Http {
    url: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
struct Git {
    url: String,
    commit: String,
}

/// Only the version, which is looked at before anything else is.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl LockFile {
    /// Of a file's text.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let head: Head = toml::from_str(text).context("it is no lock file")?;
        if head.version != VERSION {
            bail!(
                "its version is {}, and this program knows {VERSION}",
                head.version
            );
        }
        let document: Document = toml::from_str(text)?;
        let images = document.image.into_iter().map(|image| {
            let (name, platform) = (image.name, image.platform);
            (PinnedImage { name, platform }, image.digest)
        });
        let files = document.http.into_iter();
        let files = files.map(|file| (MovingSource::Http(file.url), Pin::File(file.digest)));
        let git = document.git.into_iter();
        let git = git.map(|git| (MovingSource::Git(git.url), Pin::Commit(git.commit)));
        Ok(Self {
            images: images.collect(),
            sources: files.chain(git).collect(),
        })
    }

    /// The file's text.
    pub(super) fn text(&self) -> String {
        let mut document = Document {
            version: VERSION,
            image: Vec::new(),
            http: Vec::new(),
            git: Vec::new(),
        };
        for (PinnedImage { name, platform }, digest) in &self.images {
            document.image.push(Image {
                name: name.clone(),
                platform: platform.clone(),
                digest: *digest,
            });
        }
        for (source, pin) in &self.sources {
            let url = source.name().to_owned();
            match pin {
                Pin::File(digest) => document.http.push(Http {
                    url,
                    digest: *digest,
                }),
                Pin::Commit(commit) => document.git.push(Git {
                    url,
                    commit: commit.clone(),
                }),
            }
        }
        let text = toml::to_string(&document).expect("texts and digests are TOML");
        format!("{PREFACE}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    #[test]
    fn the_file_stays_readable_across_versions_of_the_program() {
        let (one, two) = (digest("1"), digest("2"));
        let commit = "a".repeat(40);
        let text = format!(
            "{PREFACE}version = 1\n\n\
             [[image]]\nname = \"docker.io/library/busybox:latest\"\nplatform = \"linux/amd64\"\ndigest = \"{one}\"\n\n\
             [[image]]\nname = \"docker.io/library/busybox:latest\"\nplatform = \"linux/arm64\"\ndigest = \"{two}\"\n\n\
             [[http]]\nurl = \"https://example.com/x\"\ndigest = \"{one}\"\n\n\
             [[git]]\nurl = \"https://example.com/r.git#main\"\ncommit = \"{commit}\"\n"
        );
        let read = LockFile::parse(&text).expect("it is a lock file");
        assert_eq!(read.images.len(), 2);
        assert_eq!(read.sources.len(), 2);
        assert_eq!(read.text(), text);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "version = 2",
            "version = 1\n[[other]]\nx = 1",
            "version = 1\n[[http]]\nurl = \"x\"\ndigest = \"sha256:1\"",
        ] {
            assert!(LockFile::parse(text).is_err(), "{text}");
        }
    }
}
