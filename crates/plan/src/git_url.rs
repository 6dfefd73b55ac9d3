//! What is a git repository among the things that people write where a path or URL may stand.
//!
//! ```text
//! https://host/repo.git#ref:subdir      https://host/repo.git?tag=v1&subdir=a&checksum=<commit>
//! git://host/repo    ssh://git@host/repo    git@host:path/repo(.git)
//! ```
//! `http(s)` is git only if the path ends in `.git`.

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
#[error("parse git URL {url:?}: {reason}")]
pub struct GitUrlError {
    /// What was given.
    pub url: String,
    /// What is wrong with it.
    pub reason: String,
}

/// `text` as a git URL; `None` if it means something else (a path, a file on the web).
pub fn parse_git_url(text: &str) -> Result<Option<GitUrl>, GitUrlError> {
    let (address, fragment) = match text.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (text, None),
    };
    let (remote, query) = match address.split_once('?') {
        Some((remote, query)) => (remote, Some(query)),
        None => (address, None),
    };
    if !is_git_remote(remote) {
        return Ok(None);
    }
    let mut found = Parts::default();
    if let Some(fragment) = fragment {
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        found.reference = non_empty(reference);
        found.subdirectory = non_empty(subdirectory);
    }
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        found.take(pair).map_err(|reason| GitUrlError {
            url: text.to_owned(),
            reason,
        })?;
    }
    found
        .finish(remote)
        .map(Some)
        .map_err(|reason| GitUrlError {
            url: text.to_owned(),
            reason,
        })
}

#[allow(clippy::case_sensitive_file_extension_comparisons)] // `.GIT` is no git
fn is_git_remote(remote: &str) -> bool {
    if let Some((scheme, rest)) = remote.split_once("://") {
        return match scheme {
            "http" | "https" => rest
                .split_once('/')
                .is_some_and(|(_, path)| path.ends_with(".git")),
            "git" | "ssh" => true,
            _ => false,
        };
    }
    is_scp_like(remote)
}

/// `user@host:path`, as scp has it.
fn is_scp_like(remote: &str) -> bool {
    let Some((account, path)) = remote.split_once(':') else {
        return false;
    };
    let Some((user, host)) = account.split_once('@') else {
        return false;
    };
    let is_name = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    is_name(user) && is_name(host) && !path.is_empty()
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
        if self.seen.iter().any(|seen| seen == key) {
            return Err(format!("query {key:?} has multiple values"));
        }
        self.seen.push(key.to_owned());
        let value = decoded(value);
        let needed = || match non_empty(&value) {
            Some(value) => Ok(value),
            None => Err(format!("query {key:?} has no value")),
        };
        match key {
            "ref" => merge(&mut self.reference, needed()?, "ref")?,
            "subdir" => merge(&mut self.subdirectory, needed()?, "subdir")?,
            "tag" => self.tag = Some(with_prefix("refs/tags/", needed()?)),
            "branch" => self.branch = Some(with_prefix("refs/heads/", needed()?)),
            "checksum" | "commit" => merge(&mut self.checksum, needed()?, "checksum")?,
            "keep-git-dir" => self.keep_git_dir = Some(flag(key, &value)?),
            "submodules" => self.submodules = Some(flag(key, &value)?),
            "fetch-by-commit" => {
                flag(key, &value)?;
            }
            "mtime" => match value.as_str() {
                "checkout" => self.commit_times = false,
                "commit" => self.commit_times = true,
                _ => return Err(format!("invalid mtime value: {value:?}")),
            },
            _ => return Err(format!("unexpected query {key:?}")),
        }
        Ok(())
    }

    fn finish(mut self, remote: &str) -> Result<GitUrl, String> {
        if self.tag.is_some() && self.branch.is_some() {
            return Err("branch conflicts with tag".to_owned());
        }
        if let Some(name) = self.tag.or(self.branch) {
            merge(&mut self.reference, name, "ref")?;
        }
        let reference = self.reference.or_else(|| self.checksum.clone());
        Ok(GitUrl {
            source: GitSource {
                url: remote.to_owned(),
                reference,
                subdirectory: self.subdirectory,
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
        Some(known) if *known != value => Err(format!("{what} conflicts: {known:?} and {value:?}")),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
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
        _ => Err(format!("invalid {key} value: {value:?}")),
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
mod tests {
    use super::*;

    fn git(text: &str) -> GitUrl {
        parse_git_url(text).expect("a good URL").expect("a git URL")
    }

    #[test]
    fn web_addresses_are_git_only_with_the_git_suffix() {
        assert_eq!(parse_git_url("https://host/file.tar.gz"), Ok(None));
        assert_eq!(parse_git_url("./dir"), Ok(None));
        assert_eq!(parse_git_url("src/a:b"), Ok(None));
        assert_eq!(
            git("https://host/repo.git").source.url,
            "https://host/repo.git"
        );
        assert_eq!(git("git@host:a/b").source.url, "git@host:a/b");
    }

    #[test]
    fn fragment_and_query_name_the_same_things() {
        let fragment = git("https://host/repo.git#v1:sub/dir").source;
        let query = git("https://host/repo.git?ref=v1&subdir=sub/dir").source;
        assert_eq!(fragment, query);
        assert_eq!(
            git("https://host/r.git?tag=v1").source.reference.as_deref(),
            Some("refs/tags/v1")
        );
    }

    #[test]
    fn unknown_and_contradicting_queries_are_refused() {
        for bad in [
            "https://host/r.git?what=1",
            "https://host/r.git?ref=a&tag=b",
            "https://host/r.git?ref=",
            "https://host/r.git?tag=a&branch=b",
            "https://host/r.git?submodules=maybe",
        ] {
            assert!(parse_git_url(bad).is_err(), "{bad}");
        }
    }
}
