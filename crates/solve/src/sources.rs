//! What sources on the web and in git repositories are pinned to, and what they turned out to be.
//!
//! A build with a lock file hands in the pins; the solver takes what they say, and notes of every source that names no contents
//! itself what it found.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rbuild_image::Digest;
use rbuild_plan::{GitSource, HttpSource, VertexId, without_credentials};

use crate::error::StepError;

/// Hexadecimal digits of a whole commit's name, by SHA-1 and by SHA-256.
const COMMIT_DIGITS: [usize; 2] = [40, 64];

/// A source that may be something else tomorrow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MovingSource {
    /// A file, by its address.
    Http(String),
    /// A git repository and a branch or tag: `https://host/repo.git#main`.
    Git(String),
}

/// What it is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// A file with this digest.
    File(Digest),
    /// A commit's whole name.
    Commit(String),
}

/// What becomes of sources that are not pinned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unpinned {
    /// They are taken as they are.
    #[default]
    Taken,
    /// They are an error.
    Refused,
}

/// The pins of a build, and what it found.
#[derive(Debug, Default)]
pub struct RemoteSources {
    pinned: BTreeMap<MovingSource, Pin>,
    unpinned: Unpinned,
    found: Mutex<BTreeMap<MovingSource, Pin>>,
    /// What all sources are, those that name their contents themselves included.
    resolved: Mutex<BTreeMap<VertexId, Pin>>,
}

impl MovingSource {
    /// Of a file; none if the Dockerfile says what it is.
    pub(crate) fn of_file(source: &HttpSource) -> Option<Self> {
        let is_moving = source.checksum.is_none();
        is_moving.then(|| Self::Http(without_credentials(&source.url)))
    }

    /// Of a repository; none if the Dockerfile names a commit.
    pub(crate) fn of_repository(source: &GitSource) -> Option<Self> {
        let reference = source.reference.as_deref();
        if source.checksum.is_some() || reference.is_some_and(is_commit) {
            return None;
        }
        let url = without_credentials(&source.url);
        Some(Self::Git(match reference {
            Some(reference) => format!("{url}#{reference}"),
            None => url,
        }))
    }

    /// As the lock file has it.
    pub fn name(&self) -> &str {
        match self {
            Self::Http(name) | Self::Git(name) => name,
        }
    }
}

impl RemoteSources {
    /// With these pins.
    pub fn new(pinned: BTreeMap<MovingSource, Pin>, unpinned: Unpinned) -> Self {
        Self {
            pinned,
            unpinned,
            found: Mutex::default(),
            resolved: Mutex::default(),
        }
    }

    /// What was found of sources that name no contents themselves.
    pub fn found(&self) -> BTreeMap<MovingSource, Pin> {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What each source of the plan was found to be.
    pub fn resolved(&self) -> BTreeMap<VertexId, Pin> {
        self.resolved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The digest that a file is to have.
    pub(crate) fn file(&self, source: Option<&MovingSource>) -> Result<Option<Digest>, StepError> {
        Ok(match self.pin(source)? {
            Some(Pin::File(digest)) => Some(*digest),
            _ => None,
        })
    }

    /// The commit that a repository is to be at.
    pub(crate) fn commit(
        &self,
        source: Option<&MovingSource>,
    ) -> Result<Option<String>, StepError> {
        Ok(match self.pin(source)? {
            Some(Pin::Commit(commit)) => Some(commit.clone()),
            _ => None,
        })
    }

    fn pin(&self, source: Option<&MovingSource>) -> Result<Option<&Pin>, StepError> {
        let Some(source) = source else {
            return Ok(None);
        };
        match (self.pinned.get(source), self.unpinned) {
            (None, Unpinned::Refused) => Err(StepError::NotPinned(source.name().to_owned())),
            (pin, _) => Ok(pin),
        }
    }

    pub(crate) fn note(&self, vertex: VertexId, source: Option<MovingSource>, pin: Pin) {
        self.resolved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(vertex, pin.clone());
        if let Some(source) = source {
            self.found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(source, pin);
        }
    }
}

fn is_commit(reference: &str) -> bool {
    COMMIT_DIGITS.contains(&reference.len())
        && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use rbuild_plan::{GitDirectory, GitTimes, Submodules};

    use super::*;

    fn git(reference: Option<&str>, checksum: Option<&str>) -> Option<String> {
        let source = GitSource {
            url: "https://me:token@host/repo.git".into(),
            reference: reference.map(str::to_owned),
            subdirectory: Some("sub".into()),
            checksum: checksum.map(str::to_owned),
            git_directory: GitDirectory::Dropped,
            submodules: Submodules::Fetched,
            times: GitTimes::Checkout,
        };
        MovingSource::of_repository(&source).map(|source| source.name().to_owned())
    }

    #[test]
    fn only_what_can_move_is_pinned_and_no_credentials_with_it() {
        assert_eq!(git(None, None).as_deref(), Some("https://host/repo.git"));
        assert_eq!(
            git(Some("v1"), None).as_deref(),
            Some("https://host/repo.git#v1")
        );
        assert_eq!(git(Some("v1"), Some("abc")), None);
        assert_eq!(git(Some(&"a".repeat(40)), None), None);
        assert_eq!(
            without_credentials("ssh://git@host/repo"),
            "ssh://git@host/repo"
        );
        assert_eq!(without_credentials("http://me@host/a@b"), "http://host/a@b");
    }
}
