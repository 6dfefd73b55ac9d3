//! Names of images: `[registry/]repository[:tag][@digest]`, with Docker Hub's defaults.
//!
//! ```text
//! debian                     docker.io/library/debian:latest
//! team/app:1                 docker.io/team/app:1
//! localhost:5000/app         localhost:5000/app:latest
//! app@sha256:…               docker.io/library/app@sha256:…     (no tag is added)
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Digest, ImageError};

/// The registry of a name that has none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Docker Hub's name of old.
const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";
/// Where Docker Hub keeps repositories of one component.
const OFFICIAL_PREFIX: &str = "library/";
/// The longest repository path, in bytes (distribution/reference).
const MAX_REPOSITORY_BYTES: usize = 255;
/// The longest tag, in bytes (distribution-spec, "Pulling manifests").
const MAX_TAG_BYTES: usize = 128;

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
        self.with_suffix(self.familiar_repository())
    }

    /// [`Self::familiar`] without tag and digest: `debian`, `localhost:5000/app`.
    pub fn familiar_repository(&self) -> String {
        let full = format!("{}/{}", self.registry, self.repository);
        if self.registry != DEFAULT_REGISTRY {
            return full;
        }
        match self.repository.strip_prefix(OFFICIAL_PREFIX) {
            Some(name) if !name.contains('/') => name.to_owned(),
            // Without the registry, the first component would be read as one.
            _ if split_registry(&self.repository).0 != DEFAULT_REGISTRY => full,
            _ => self.repository.clone(),
        }
    }

    /// The same name pinned to `digest`; the tag stays.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The same repository under `tag`, without a digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ImageError> {
        check_tag(tag).map_err(|reason| ImageError::Reference {
            text: format!("{}:{tag}", self.familiar_repository()),
            reason,
        })?;
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same name without a digest; a name that had no tag gets `latest`.
    #[must_use]
    pub fn without_digest(&self) -> Self {
        Self {
            tag: self.tag.clone().or_else(|| Some("latest".to_owned())),
            digest: None,
            ..self.clone()
        }
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(format!("{}/{}", self.registry, self.repository)))
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let fail = |reason| ImageError::Reference {
            text: text.to_owned(),
            reason,
        };
        if text.is_empty() {
            return Err(fail("the name is empty"));
        }
        if is_image_id(text) {
            return Err(fail("64 hexadecimal digits are an image ID, not a name"));
        }
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => (name, Some(parse_digest(digest).map_err(fail)?)),
        };
        let (name, tag) = split_tag(name);
        if let Some(tag) = tag {
            check_tag(tag).map_err(fail)?;
        }
        let (registry, path) = split_registry(name);
        check_registry(registry).map_err(fail)?;
        check_repository(path).map_err(fail)?;
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("{OFFICIAL_PREFIX}{path}")
        } else {
            path.to_owned()
        };
        if repository.len() > MAX_REPOSITORY_BYTES {
            return Err(fail("a repository name has at most 255 characters"));
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn is_image_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn parse_digest(text: &str) -> Result<Digest, &'static str> {
    text.parse().map_err(|error| match error {
        ImageError::Digest { reason, .. } => reason,
        _ => "the digest is malformed",
    })
}

/// The last component's `:tag`, cut off.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    }
}

/// The first component is a registry if it looks like a host: a dot, a port, `localhost`, or an upper-case
/// letter, which no repository has.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => {
            let registry = match first {
                LEGACY_DEFAULT_REGISTRY => DEFAULT_REGISTRY,
                other => other,
            };
            (registry, rest)
        }
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn looks_like_host(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let Some((first, rest)) = tag.as_bytes().split_first() else {
        return Err("the tag after \":\" is empty");
    };
    if tag.len() > MAX_TAG_BYTES {
        return Err("a tag has at most 128 characters");
    }
    if !word(*first) || !rest.iter().all(|&b| word(b) || b == b'.' || b == b'-') {
        return Err(
            "a tag is made of letters, digits, \"_\", \".\" and \"-\", and begins with a letter, a digit or \"_\"",
        );
    }
    Ok(())
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    const MALFORMED: &str = "the registry's host name is malformed";
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(MALFORMED)?;
            let hex = |b: u8| b.is_ascii_hexdigit() || b == b':';
            if address.is_empty() || !address.bytes().all(hex) {
                return Err(MALFORMED);
            }
            (None, port)
        }
        None => match registry.find(':') {
            Some(colon) => (Some(&registry[..colon]), &registry[colon..]),
            None => (Some(registry), ""),
        },
    };
    if let Some(host) = host {
        let fits = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !host.split('.').all(fits) {
            return Err(MALFORMED);
        }
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits) if digits.parse::<u16>().is_ok() && !digits.starts_with('+') => Ok(()),
        _ => Err("the registry's port is not a number up to 65535"),
    }
}

fn check_repository(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("the repository name is empty");
    }
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository name must be lower-case");
    }
    if path.split('/').any(str::is_empty) {
        return Err("the repository name has an empty component");
    }
    if !path.split('/').all(is_path_component) {
        return Err(
            "a repository name is made of lower-case letters and digits, separated by \".\", \"_\", \"__\" or dashes",
        );
    }
    Ok(())
}

/// `[a-z0-9]+` runs, with `.`, `_`, `__` or `-`s between them.
fn is_path_component(component: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut rest = component.as_bytes();
    loop {
        let run = rest.iter().take_while(|&&b| plain(b)).count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        if rest.is_empty() {
            return true;
        }
        let separator = match rest {
            [b'_', b'_', ..] => 2,
            [b'.' | b'_', ..] => 1,
            _ => rest.iter().take_while(|&&b| b == b'-').count(),
        };
        if separator == 0 {
            return false;
        }
        rest = &rest[separator..];
    }
}

#[cfg(test)]
mod tests;
