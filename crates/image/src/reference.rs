//! Names of images: `[registry/]repository[:tag][@digest]`, with Docker Hub's defaults.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, ImageError};

/// A complete image name (distribution-spec and distribution/reference grammar). `debian` is
/// `docker.io/library/debian:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// `docker.io`, `localhost:5000`, …
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag: `latest` if neither tag nor digest was given, `None` with only a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest after `@`.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// As people write it: `debian:bookworm`, without Docker Hub's defaults (but with the tag).
    pub fn familiar(&self) -> String {
        todo!()
    }

    /// [`Self::familiar`] without tag and digest: `debian`, `localhost:5000/app`.
    pub fn familiar_repository(&self) -> String {
        todo!()
    }

    /// The same name pinned to `digest`; the tag stays.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(_text: &str) -> Result<Self, ImageError> {
        todo!()
    }
}
