//! Sources as policies name them.
//!
//! ```text
//! docker-image://docker.io/library/alpine:latest     an image, all defaults filled in
//! git://github.com/team/app.git#main:subdirectory    git.fullurl is the URL that is fetched
//! https://example.com/file                           http.checksum, http.filename
//! local://context                                    a directory of the user's
//! ```

use std::collections::BTreeMap;

use rbuild_image::{Digest, Reference};

use super::{PolicyError, SourcePolicies};
use crate::git_url::parse_git_url;
use crate::{
    CONTEXT_FILE, ContextSource, GitDirectory, GitSource, HttpSource, Operation, Submodules,
};

const IMAGE: &str = "docker-image://";
const GIT: &str = "git://";
const LOCAL: &str = "local://";
const FULL_URL: &str = "git.fullurl";
const GIT_CHECKSUM: &str = "git.checksum";
const HTTP_CHECKSUM: &str = "http.checksum";

/// What policies look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    /// `docker-image://docker.io/library/alpine:latest`
    pub identifier: String,
    /// `http.checksum` and the like.
    pub attributes: BTreeMap<String, String>,
}

impl PolicySource {
    /// A source without attributes.
    pub fn new(identifier: impl Into<String>) -> Self {
        Self {
            identifier: identifier.into(),
            attributes: BTreeMap::new(),
        }
    }

    /// An image.
    pub fn image(reference: &Reference) -> Self {
        Self::new(format!("{IMAGE}{reference}"))
    }

    /// A directory of the user's: `context`, `dockerfile`, or the name of `--build-context`.
    pub fn local(name: &str) -> Self {
        Self::new(format!("{LOCAL}{name}"))
    }

    fn git(git: &GitSource) -> Self {
        let mut source = Self::new(format!("{GIT}{}{}", address(&git.url), fragment(git)));
        let mut set = |key: &str, value: &str| {
            source.attributes.insert(key.to_owned(), value.to_owned());
        };
        set(FULL_URL, &git.url);
        if let Some(checksum) = &git.checksum {
            set(GIT_CHECKSUM, checksum);
        }
        if git.git_directory == GitDirectory::Kept {
            set("git.keepgitdir", "true");
        }
        if git.submodules == Submodules::Skipped {
            set("git.skipsubmodules", "true");
        }
        source
    }

    fn http(http: &HttpSource) -> Self {
        let mut source = Self::new(&http.url);
        let attributes = &mut source.attributes;
        attributes.insert("http.filename".to_owned(), http.file_name.clone());
        if let Some(checksum) = &http.checksum {
            attributes.insert(HTTP_CHECKSUM.to_owned(), checksum.to_string());
        }
        source
    }
}

/// What stands in for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// An image, perhaps the same.
    Image(Reference),
    /// A directory that the build knows by this name.
    Local(String),
    /// A repository.
    Git(GitSource),
    /// A file of the web.
    Http(HttpSource),
}

impl SourcePolicies {
    /// What to use where the image `reference` is asked for, of whatever kind it is.
    pub(crate) fn replacement(&self, reference: &Reference) -> Result<Replacement, PolicyError> {
        let asked = PolicySource::image(reference);
        let found = self.evaluate(asked.clone())?;
        if let Some(name) = found.identifier.strip_prefix(LOCAL) {
            return Ok(Replacement::Local(name.to_owned()));
        }
        let url = found.attributes.get(FULL_URL);
        let url = url.unwrap_or(&found.identifier);
        if let Ok(Some(git)) = parse_git_url(url) {
            return Ok(Replacement::Git(git.source));
        }
        if is_web(&found.identifier) {
            return Ok(Replacement::Http(HttpSource {
                checksum: web_checksum(&asked, &found)?,
                url: found.identifier,
                file_name: CONTEXT_FILE.to_owned(),
            }));
        }
        as_image(&asked, &found).map(Replacement::Image)
    }

    /// The image to use where `reference` is asked for.
    pub fn image(&self, reference: &Reference) -> Result<Reference, PolicyError> {
        let asked = PolicySource::image(reference);
        as_image(&asked, &self.evaluate(asked.clone())?)
    }

    /// The image to use where `reference` was found to be `pinned`, the same name with a digest; none for that one.
    pub fn pinned_image(
        &self,
        reference: &Reference,
        pinned: &Reference,
    ) -> Result<Option<Reference>, PolicyError> {
        let asked = PolicySource::image(pinned);
        let found = self.evaluate_pinned(&PolicySource::image(reference), asked.clone())?;
        if found == asked {
            return Ok(None);
        }
        as_image(&asked, &found).map(Some)
    }

    /// The repository to use where `git` is asked for.
    pub fn git(&self, git: &GitSource) -> Result<GitSource, PolicyError> {
        let asked = PolicySource::git(git);
        let found = self.evaluate(asked.clone())?;
        if found == asked {
            return Ok(git.clone());
        }
        let Some(rest) = found.identifier.strip_prefix(GIT) else {
            return Err(unsuitable(&asked, &found, "which is no git repository"));
        };
        let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let attribute = |key: &str| found.attributes.get(key).cloned();
        let url = match attribute(FULL_URL) {
            Some(url) if url != git.url => url,
            _ if place == address(&git.url) => git.url.clone(),
            _ => format!("https://{place}"),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(GitSource {
            url,
            reference: some(reference),
            subdirectory: some(subdirectory),
            checksum: attribute(GIT_CHECKSUM),
            ..git.clone()
        })
    }

    /// The file to use where `http` is asked for; it keeps its name.
    pub fn http(&self, http: &HttpSource) -> Result<HttpSource, PolicyError> {
        let asked = PolicySource::http(http);
        let found = self.evaluate(asked.clone())?;
        if !is_web(&found.identifier) {
            return Err(unsuitable(&asked, &found, "which is no file of the web"));
        }
        Ok(HttpSource {
            checksum: web_checksum(&asked, &found)?,
            url: found.identifier,
            file_name: http.file_name.clone(),
        })
    }

    /// Whether a directory of the user's may be read.
    pub fn local(&self, name: &str) -> Result<(), PolicyError> {
        let asked = PolicySource::local(name);
        let found = self.evaluate(asked.clone())?;
        if found.identifier == asked.identifier {
            Ok(())
        } else {
            let reason = "and a directory cannot be converted";
            Err(unsuitable(&asked, &found, reason))
        }
    }

    /// The operation to plan where `operation` is asked for. Images are for whoever resolves them.
    pub(crate) fn operation(&self, operation: Operation) -> Result<Operation, PolicyError> {
        if self.is_empty() {
            return Ok(operation);
        }
        Ok(match operation {
            Operation::Git(git) => Operation::Git(self.git(&git)?),
            Operation::Http(http) => Operation::Http(self.http(&http)?),
            Operation::Context(context) => {
                self.local(match &context {
                    ContextSource::Main => "context",
                    ContextSource::Named(name) => name,
                })?;
                Operation::Context(context)
            }
            other => other,
        })
    }
}

fn is_web(identifier: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| identifier.starts_with(scheme))
}

fn web_checksum(asked: &PolicySource, found: &PolicySource) -> Result<Option<Digest>, PolicyError> {
    let Some(text) = found.attributes.get(HTTP_CHECKSUM) else {
        return Ok(None);
    };
    let digest = text.parse().map_err(|error| {
        let reason = format!("and its {HTTP_CHECKSUM} is no digest: {error}");
        unsuitable(asked, found, &reason)
    })?;
    Ok(Some(digest))
}

fn as_image(asked: &PolicySource, found: &PolicySource) -> Result<Reference, PolicyError> {
    let reference = found.identifier.strip_prefix(IMAGE).map(str::parse);
    match reference {
        Some(Ok(reference)) => Ok(reference),
        Some(Err(error)) => Err(unsuitable(asked, found, &error.to_string())),
        None => Err(unsuitable(asked, found, "which is no image")),
    }
}

fn unsuitable(asked: &PolicySource, found: &PolicySource, reason: &str) -> PolicyError {
    PolicyError::Unsuitable {
        identifier: asked.identifier.clone(),
        converted: found.identifier.clone(),
        reason: reason.to_owned(),
    }
}

/// Host and path of a remote, the same for all protocols: `github.com/team/app.git`.
fn address(remote: &str) -> String {
    let (rest, is_url) = match remote.split_once("://") {
        Some((_, rest)) => (rest, true),
        None => (remote, false),
    };
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) if is_url => (authority, path),
        _ if is_url => (rest, ""),
        _ => rest.split_once(':').unwrap_or((rest, "")),
    };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{host}/{}", path.trim_start_matches('/'))
}

/// `#reference:subdirectory`
fn fragment(git: &GitSource) -> String {
    let reference = git.reference.as_deref().unwrap_or("");
    match &git.subdirectory {
        Some(subdirectory) => format!("#{reference}:{subdirectory}"),
        None if reference.is_empty() => String::new(),
        None => format!("#{reference}"),
    }
}
