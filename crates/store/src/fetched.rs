//! What was fetched for builds and can be fetched again: clones, downloads, and the stat caches of contexts.
//!
//! ```text
//! git/<hash>.git     with <hash>.lock, which is locked while a build uses the clone
//! http/<hash>.json   with <hash>-<sha256>, the body; whoever has it open keeps it
//! contexts/<hash>    replaced by renaming; without it, files are hashed again
//! ```
//!
//! Other rooms write these. Here is only known how to tell their use, and to remove them without harm.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use crate::Store;
use crate::error::Result;
use crate::flock::{self, Attempt, Hold};
use crate::lease::list;
use crate::measure::{Measure, tree_bytes};
use crate::usage::UsageKind;

/// How old the draft of a download is before nobody can be writing it any more.
const DRAFT_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that was fetched.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) kind: UsageKind,
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) last_used: SystemTime,
    pub(crate) in_use: bool,
}

impl Fetched {
    /// What it is called in lists: the hash in its name.
    pub(crate) fn id(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }
}

impl Store {
    /// All clones, downloads and stat caches.
    pub(crate) fn fetched(&self, how: Measure) -> Result<Vec<Fetched>> {
        let mut found = self.clones(how)?;
        found.extend(self.downloads()?);
        for path in list(&self.paths().contexts())? {
            let Ok(stat) = fs::metadata(&path) else {
                continue;
            };
            found.push(Fetched {
                kind: UsageKind::Context,
                name: String::new(),
                bytes: stat.blocks() * 512,
                last_used: touched(&stat),
                in_use: false,
                path,
            });
        }
        Ok(found)
    }

    fn clones(&self, how: Measure) -> Result<Vec<Fetched>> {
        let mut found = Vec::new();
        for path in list(&self.root().join("git"))? {
            if path.extension().is_none_or(|extension| extension != "git") {
                continue;
            }
            let lock = path.with_extension("lock");
            let last_used = fs::metadata(&lock)
                .or_else(|_| fs::metadata(&path))
                .and_then(|stat| stat.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH);
            let attempt = flock::try_path(&lock, OFlags::RDWR, Hold::Exclusive)?;
            let in_use = matches!(attempt, Attempt::Busy);
            found.push(Fetched {
                kind: UsageKind::Git,
                name: remote_of(&path),
                bytes: if in_use {
                    tree_bytes(&path)?
                } else {
                    self.measured(&path, last_used, how)?
                },
                last_used,
                in_use,
                path,
            });
        }
        Ok(found)
    }

    fn downloads(&self) -> Result<Vec<Fetched>> {
        let files = list(&self.root().join("http"))?;
        let mut found = Vec::new();
        // Sorted, so what belongs together stands together.
        for parts in files.chunk_by(|one, other| stem(one) == stem(other)) {
            let is_json = |path: &&PathBuf| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            };
            let Some(json) = parts.iter().find(is_json) else {
                continue;
            };
            let facts: serde_json::Value = fs::read(json)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
                .unwrap_or_default();
            let stats = || parts.iter().filter_map(|part| fs::metadata(part).ok());
            found.push(Fetched {
                kind: UsageKind::Http,
                path: json.clone(),
                name: facts["url"]
                    .as_str()
                    .map(without_secrets)
                    .unwrap_or_default(),
                bytes: stats().map(|stat| stat.blocks() * 512).sum(),
                last_used: stats()
                    .map(|stat| touched(&stat))
                    .max()
                    .unwrap_or(SystemTime::UNIX_EPOCH),
                in_use: false,
            });
        }
        Ok(found)
    }

    /// Removes what was fetched, unless a build uses it. Tells whether it did.
    pub(crate) fn remove_fetched(&self, fetched: &Fetched) -> Result<bool> {
        match fetched.kind {
            UsageKind::Git => {
                let lock = fetched.path.with_extension("lock");
                // The lock's file stays: somebody may be waiting for it.
                let flags = OFlags::RDWR | OFlags::CREATE;
                let Attempt::Got(lock) = flock::try_path(&lock, flags, Hold::Exclusive)? else {
                    return Ok(false);
                };
                self.throw_away(&fetched.path)?;
                drop(lock);
            }
            UsageKind::Http => {
                let files = list(&self.root().join("http"))?;
                for part in files
                    .iter()
                    .filter(|part| stem(part) == stem(&fetched.path))
                {
                    crate::blob::remove_file(part)?;
                }
            }
            _ => crate::blob::remove_file(&fetched.path)?,
        }
        Ok(true)
    }

    /// Removes the drafts of downloads whose writers are long gone.
    pub(crate) fn sweep_downloads(&self) -> Result<()> {
        for path in list(&self.root().join("http"))? {
            let is_draft = path
                .extension()
                .is_some_and(|extension| extension == "part");
            let modified = fs::metadata(&path).and_then(|stat| stat.modified());
            if is_draft
                && let Ok(modified) = modified
                && self
                    .now()
                    .duration_since(modified)
                    .is_ok_and(|age| age > DRAFT_AGE)
            {
                crate::blob::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// The hash of the URL in the name of a download's file.
fn stem(path: &Path) -> &[u8] {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let end = name.iter().position(|letter| matches!(letter, b'-' | b'.'));
    &name[..end.unwrap_or(name.len())]
}

/// When a file was last read or written, as far as the file system tells.
fn touched(stat: &fs::Metadata) -> SystemTime {
    let times = [stat.modified(), stat.accessed()];
    times
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The remote that a clone is of, as its last fetch noted it; empty where that is not known.
fn remote_of(clone: &Path) -> String {
    let text = fs::read_to_string(clone.join("FETCH_HEAD")).unwrap_or_default();
    let url = text
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().last());
    url.map(without_secrets).unwrap_or_default()
}

/// A URL without user, password and query.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_was_fetched_tell_no_secrets() {
        assert_eq!(
            without_secrets("https://user:word@example.com/a/b.git?token=1"),
            "https://example.com/a/b.git"
        );
        assert_eq!(
            without_secrets("git@example.com:a/b"),
            "git@example.com:a/b"
        );
    }
}
