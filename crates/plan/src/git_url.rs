//! What is a git repository among the things that people write where a path or URL may stand.
//!
//! ```text
//! https://host/repo.git#ref:subdir      https://host/repo.git?tag=v1&subdir=a&checksum=<commit>
//! git://host/repo    ssh://git@host/repo    git@host:path/repo(.git)
//! ```
//! `http(s)` is git only if the path ends in `.git`.

use crate::go::quote;
use crate::{GitDirectory, GitSource, GitTimes, Submodules};

/// A git URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUrl {
    /// What to fetch; `git_directory` is dropped unless the query says otherwise.
    pub source: GitSource,
    /// `keep-git-dir=` of the query, if given.
    pub keep_git_dir: Option<bool>,
}

/// A URL that means git but cannot be understood. Messages follow "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse git URL {}: {reason}", quote(url))]
pub struct GitUrlError {
    /// What was given.
    pub url: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Which http addresses mean git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebAddresses {
    /// Those that end in `.git`.
    WithSuffix,
    /// All: something else said that git is meant.
    All,
}

/// `text` as a git URL; `None` if it means something else (a path, a file on the web).
pub fn parse_git_url(text: &str) -> Result<Option<GitUrl>, GitUrlError> {
    parse(text, WebAddresses::WithSuffix)
}

/// What the build context `text` means, as [`parse_git_url`]; `github.com/owner/repository` is git too.
pub fn parse_git_context(text: &str) -> Result<Option<GitUrl>, GitUrlError> {
    if text.starts_with("github.com/") {
        return parse(&format!("https://{text}"), WebAddresses::All);
    }
    parse_git_url(text)
}

pub(crate) fn parse(text: &str, web: WebAddresses) -> Result<Option<GitUrl>, GitUrlError> {
    let (address, fragment) = match text.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (text, None),
    };
    let (remote, query) = match address.split_once('?') {
        Some((remote, query)) => (remote, query),
        None => (address, ""),
    };
    let Some(remote) = git_remote(remote, web) else {
        return Ok(None);
    };
    let mut found = Parts::default();
    if let Some(fragment) = fragment {
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        found.reference = non_empty(reference);
        found.subdirectory = non_empty(subdirectory);
    }
    let mut pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .try_for_each(|pair| found.take(pair))
        .and_then(|()| found.finish(remote))
        .map(Some)
        .map_err(|reason| GitUrlError {
            url: text.to_owned(),
            reason,
        })
}

/// What git is told to fetch from, if `remote` is a git address.
fn git_remote(remote: &str, web: WebAddresses) -> Option<String> {
    let Some((scheme, rest)) = remote.split_once("://") else {
        return is_scp_like(remote).then(|| remote.to_owned());
    };
    let scheme = scheme.to_ascii_lowercase();
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    let is_git = match scheme.as_str() {
        // Not an extension: a path that is all `.git` counts, and `.GIT` does not.
        "http" | "https" => web == WebAddresses::All || path.as_bytes().ends_with(b".git"),
        "git" | "ssh" => true,
        _ => false,
    };
    is_git.then(|| format!("{scheme}://{rest}"))
}

/// `user@host:path`, as scp has it.
fn is_scp_like(remote: &str) -> bool {
    let Some((user, rest)) = remote.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let word = |text: &str, extra: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    word(user, "-_") && word(host, "-.") && !path.is_empty()
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[derive(Default)]
struct Parts {
    reference: Option<String>,
    subdirectory: Option<String>,
    checksum: Option<String>,
    tag: Option<String>,
    branch: Option<String>,
    keep_git_dir: Option<bool>,
    submodules: Option<bool>,
    commit_times: bool,
    seen: Vec<String>,
}

impl Parts {
    /// One `key=value` of the query.
    fn take(&mut self, pair: &str) -> Result<(), String> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key), decoded(value));
        if self.seen.contains(&key) {
            return Err(format!("query {} has multiple values", quote(&key)));
        }
        self.seen.push(key.clone());
        let needed = || match non_empty(&value) {
            Some(value) => Ok(value),
            None => Err(format!("query {} has no value", quote(&key))),
        };
        match key.as_str() {
            "ref" => merge(&mut self.reference, needed()?, "ref")?,
            "subdir" => merge(&mut self.subdirectory, needed()?, "subdir")?,
            "tag" => self.tag = Some(with_prefix("refs/tags/", needed()?)),
            "branch" => self.branch = Some(with_prefix("refs/heads/", needed()?)),
            "checksum" | "commit" => merge(&mut self.checksum, needed()?, "checksum")?,
            "keep-git-dir" => self.keep_git_dir = Some(flag(&key, &value)?),
            "submodules" => self.submodules = Some(flag(&key, &value)?),
            "fetch-by-commit" => {
                flag(&key, &value)?;
            }
            "mtime" => match value.as_str() {
                "checkout" => self.commit_times = false,
                "commit" => self.commit_times = true,
                _ => return Err(format!("invalid mtime value: {}", quote(&value))),
            },
            _ => {
                return Err(format!(
                    "unexpected query {} (known are ref, tag, branch, subdir, checksum, commit, keep-git-dir, \
                     submodules, mtime and fetch-by-commit)",
                    quote(&key)
                ));
            }
        }
        Ok(())
    }

    fn finish(mut self, remote: String) -> Result<GitUrl, String> {
        if self.tag.is_some() && self.branch.is_some() {
            return Err("branch conflicts with tag".to_owned());
        }
        if let Some(name) = self.tag.or(self.branch) {
            merge(&mut self.reference, name, "ref")?;
        }
        if let Some(checksum) = &self.checksum {
            check_git_checksum(checksum)?;
        }
        let reference = self.reference.or_else(|| self.checksum.clone());
        let subdirectory = self.subdirectory.as_deref().map(crate::paths::clamp);
        Ok(GitUrl {
            source: GitSource {
                url: remote,
                reference,
                subdirectory: subdirectory.and_then(|path| non_empty(path.trim_matches('/'))),
                checksum: self.checksum,
                git_directory: if self.keep_git_dir == Some(true) {
                    GitDirectory::Kept
                } else {
                    GitDirectory::Dropped
                },
                submodules: if self.submodules == Some(false) {
                    Submodules::Skipped
                } else {
                    Submodules::Fetched
                },
                times: if self.commit_times {
                    GitTimes::Commit
                } else {
                    GitTimes::Checkout
                },
            },
            keep_git_dir: self.keep_git_dir,
        })
    }
}

fn merge(slot: &mut Option<String>, value: String, what: &str) -> Result<(), String> {
    match slot {
        Some(known) if *known != value => Err(format!(
            "{what} conflicts: {} vs {}",
            quote(known),
            quote(&value)
        )),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// That `--checksum` of a git source is a commit's name, or the beginning of one.
pub(crate) fn check_git_checksum(checksum: &str) -> Result<(), String> {
    /// A whole name of a sha256 repository.
    const LONGEST: usize = 64;
    let is_hex = checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && !checksum.is_empty() && checksum.len() <= LONGEST {
        return Ok(());
    }
    Err(format!(
        "invalid checksum {} for git source, expected hex commit hash",
        quote(checksum)
    ))
}

fn with_prefix(prefix: &str, name: String) -> String {
    if name.starts_with(prefix) {
        name
    } else {
        format!("{prefix}{name}")
    }
}

/// A flag of the query: bare means true.
fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("invalid {key} value: {}", quote(value))),
    }
}

/// A query's value: percent-decoding, and `+` is a blank; what does not decode stays as it is.
fn decoded(text: &str) -> String {
    decoded_path(&text.replace('+', " "))
}

/// Percent-decoding; what does not decode stays as it is.
pub(crate) fn decoded_path(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = hex {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
