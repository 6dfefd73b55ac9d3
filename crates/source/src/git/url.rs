//! Git URLs, as contexts, ADD and `--build-context` take them.
//!
//! ```text
//! https://host/x.git#branch:dir                 http and https need .git at the end of the path
//! https://host/x.git?tag=v1&subdir=dir&submodules=false
//! git@host:x/y.git#v1   ssh://host/x   git://host/x   github.com/x/y
//! ```

use percent_encoding::percent_decode_str;

use crate::SourceError;

/// A place in a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUrl {
    /// What `git fetch` is told.
    pub remote: String,
    /// Branch, tag, full ref or commit; the remote's HEAD if absent.
    pub reference: Option<String>,
    /// Only this directory of it; no leading or trailing slash.
    pub subdirectory: Option<String>,
    /// The commit, or a prefix of it, that must be found.
    pub checksum: Option<String>,
    /// `keep-git-dir=`, where it is given.
    pub files: Option<GitFiles>,
    /// `submodules=`, where it is given.
    pub submodules: Option<SubmodulePolicy>,
    /// `mtime=`
    pub times: GitTimes,
}

/// What a checkout consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GitFiles {
    /// The files of the commit.
    Worktree,
    /// And `.git`.
    Repository,
}

/// Whether submodules are checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubmodulePolicy {
    /// Recursively.
    Fetch,
    /// Their directories stay empty.
    Skip,
}

/// The times of the files in a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GitTimes {
    /// When they were checked out.
    #[default]
    Checkout,
    /// When the commit was made.
    Commit,
}

impl GitUrl {
    /// What `text` means, `None` if it is not a git URL at all: a path, or another web address.
    ///
    /// ```
    /// use rbuild_source::GitUrl;
    ///
    /// let url = GitUrl::parse("https://example.org/x.git#v1:src")?.expect("ends in .git");
    /// assert_eq!(url.reference.as_deref(), Some("v1"));
    /// assert_eq!(url.subdirectory.as_deref(), Some("src"));
    /// assert!(GitUrl::parse("https://example.org/x.tar.gz")?.is_none());
    /// # Ok::<(), rbuild_source::SourceError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Option<Self>, SourceError> {
        if text.starts_with("./") || text.starts_with("../") {
            return Ok(None);
        }
        let (body, fragment) = cut(text, '#');
        let (address, query) = cut(body, '?');
        let Some(remote) = remote(address) else {
            return Ok(None);
        };
        let mut parsed = Self {
            remote,
            reference: None,
            subdirectory: None,
            checksum: None,
            files: None,
            submodules: None,
            times: GitTimes::Checkout,
        };
        if let Some(fragment) = fragment {
            let (reference, subdirectory) = cut(fragment, ':');
            parsed.reference = non_empty(reference);
            parsed.subdirectory = subdirectory.and_then(non_empty);
        }
        if let Some(query) = query {
            parsed
                .take_query(query)
                .map_err(|reason| SourceError::Url {
                    url: redact(text),
                    reason,
                })?;
        }
        if let Some(directory) = &parsed.subdirectory {
            let cleaned = crate::ignore::file::clean(format!("/{directory}").as_bytes());
            parsed.subdirectory = non_empty(String::from_utf8_lossy(&cleaned[1..]).as_ref());
        }
        Ok(Some(parsed))
    }

    /// The remote without a password, for messages.
    pub fn display_remote(&self) -> String {
        redact(&self.remote)
    }

    /// The host that the remote is on; empty for a local one.
    pub fn host(&self) -> &str {
        host(&self.remote)
    }

    fn take_query(&mut self, query: &str) -> Result<(), String> {
        let (mut tag, mut branch) = (None, None);
        let mut seen: Vec<String> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = cut(pair, '=');
            let (key, value) = (decode(key)?, decode(value.unwrap_or_default())?);
            if seen.contains(&key) {
                return Err(format!("the query has {key:?} more than once"));
            }
            let is_flag = matches!(
                key.as_str(),
                "keep-git-dir" | "submodules" | "fetch-by-commit"
            );
            if value.is_empty() && !is_flag {
                return Err(format!("the query's {key:?} has no value"));
            }
            match key.as_str() {
                "ref" => agree("ref", &mut self.reference, value)?,
                "subdir" => agree("subdir", &mut self.subdirectory, value)?,
                "checksum" | "commit" => agree("checksum", &mut self.checksum, value)?,
                "tag" => tag = Some(value),
                "branch" => branch = Some(value),
                "keep-git-dir" => {
                    self.files = Some(if flag(&key, &value)? {
                        GitFiles::Repository
                    } else {
                        GitFiles::Worktree
                    });
                }
                "submodules" => {
                    self.submodules = Some(if flag(&key, &value)? {
                        SubmodulePolicy::Fetch
                    } else {
                        SubmodulePolicy::Skip
                    });
                }
                "mtime" => {
                    self.times = match value.as_str() {
                        "checkout" => GitTimes::Checkout,
                        "commit" => GitTimes::Commit,
                        _ => {
                            return Err(format!(
                                "mtime is \"checkout\" or \"commit\", not {value:?}"
                            ));
                        }
                    };
                }
                // We always fetch by commit where the server lets us.
                "fetch-by-commit" => _ = flag(&key, &value)?,
                _ => {
                    return Err(format!(
                        "the query has {key:?}; known are ref, tag, branch, subdir, checksum, commit, keep-git-dir, submodules, mtime and fetch-by-commit"
                    ));
                }
            }
            seen.push(key);
        }
        if tag.is_some() && branch.is_some() {
            return Err("the query has both a tag and a branch".to_owned());
        }
        let named = tag
            .map(|tag| (format!("refs/tags/{tag}"), tag))
            .or_else(|| branch.map(|branch| (format!("refs/heads/{branch}"), branch)));
        if let Some((full, short)) = named {
            match &self.reference {
                Some(known) if *known != short && *known != full => {
                    return Err(format!("ref {known:?} conflicts with {short:?}"));
                }
                _ => self.reference = Some(full),
            }
        }
        Ok(())
    }
}

/// What to fetch from, if `address` is a git address.
fn remote(address: &str) -> Option<String> {
    if address.starts_with("github.com/") {
        return Some(format!("https://{address}"));
    }
    if let Some((scheme, rest)) = address.split_once("://") {
        let scheme = scheme.to_ascii_lowercase();
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let is_git = match scheme.as_str() {
            // Not an extension: a path that is all `.git` counts, and `.GIT` does not.
            "http" | "https" => path.as_bytes().ends_with(b".git"),
            "ssh" | "git" => true,
            _ => false,
        };
        return is_git.then(|| format!("{scheme}://{rest}"));
    }
    is_scp_like(address).then(|| address.to_owned())
}

/// `user@host:path`
fn is_scp_like(address: &str) -> bool {
    let Some((user, rest)) = address.split_once('@') else {
        return false;
    };
    let Some((host, _)) = rest.split_once(':') else {
        return false;
    };
    let word = |text: &str, extra: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    word(user, "-_") && word(host, "-.") && !user.starts_with('-') && !host.starts_with('-')
}

fn host(remote: &str) -> &str {
    let rest = remote.split_once("://").map_or(remote, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if remote.contains("://") {
        host
    } else if authority.contains('@') {
        host.split(':').next().unwrap_or_default()
    } else {
        ""
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at)
        .map_or((text, None), |(before, after)| (before, Some(after)))
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn decode(text: &str) -> Result<String, String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("{text:?} is not UTF-8"))
}

fn agree(key: &str, field: &mut Option<String>, value: String) -> Result<(), String> {
    match field {
        Some(known) if *known != value => Err(format!("{key} {known:?} conflicts with {value:?}")),
        _ => {
            *field = Some(value);
            Ok(())
        }
    }
}

/// Go's `strconv.ParseBool`; the key alone means true.
fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{key} is true or false, not {value:?}")),
    }
}

/// `url` without the password in it.
pub(crate) fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user
                .split_once(':')
                .map_or(user.to_owned(), |(user, _)| format!("{user}:xxxxx"));
            format!("{scheme}://{user}@{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> GitUrl {
        GitUrl::parse(text)
            .expect("it is well-formed")
            .expect("it is a git URL")
    }

    #[test]
    fn the_forms_that_people_write_are_git() {
        for (text, remote) in [
            ("https://h/x.git", "https://h/x.git"),
            ("HTTPS://h/x.git#main", "https://h/x.git"),
            ("http://h/x.git?ref=a", "http://h/x.git"),
            ("ssh://git@h/x", "ssh://git@h/x"),
            ("git://h/x", "git://h/x"),
            ("git@h:x/y.git#b", "git@h:x/y.git"),
            ("github.com/x/y#main", "https://github.com/x/y"),
        ] {
            assert_eq!(parse(text).remote, remote, "{text}");
        }
    }

    #[test]
    fn paths_and_other_addresses_are_not() {
        for text in [
            "./github.com/x",
            "dir",
            "/abs",
            "https://h/x",
            "https://h/x.git/y",
            "ftp://h/x.git",
            "a:b",
            "file:///x.git",
        ] {
            assert_eq!(GitUrl::parse(text).expect("no error"), None, "{text}");
        }
    }

    #[test]
    fn fragment_and_query_say_the_same() {
        let by_fragment = parse("https://h/x.git#v1:a/b");
        let by_query = parse("https://h/x.git?ref=v1&subdir=a%2Fb");
        assert_eq!(by_fragment, by_query);
        assert_eq!(parse("https://h/x.git#:sub").reference, None);
        assert_eq!(
            parse("https://h/x.git#:../../sub/").subdirectory.as_deref(),
            Some("sub")
        );
        assert_eq!(
            parse("https://h/x.git?tag=v1").reference.as_deref(),
            Some("refs/tags/v1")
        );
        assert_eq!(
            parse("https://h/x.git?branch=b#b").reference.as_deref(),
            Some("refs/heads/b")
        );
        assert_eq!(
            parse("https://h/x.git?keep-git-dir").files,
            Some(GitFiles::Repository)
        );
        assert_eq!(
            parse("https://h/x.git?submodules=0").submodules,
            Some(SubmodulePolicy::Skip)
        );
        assert_eq!(
            parse("https://h/x.git?commit=abc&mtime=commit").times,
            GitTimes::Commit
        );
    }

    #[test]
    fn what_a_query_cannot_mean_is_an_error() {
        for query in [
            "x=1",
            "ref=",
            "ref=a&ref=b",
            "tag=a&branch=b",
            "submodules=maybe",
            "mtime=now",
            "tag=a#b",
        ] {
            assert!(
                GitUrl::parse(&format!("https://h/x.git?{query}")).is_err(),
                "{query}"
            );
        }
    }

    #[test]
    fn passwords_stay_out_of_messages() {
        assert_eq!(redact("https://me:pw@h/x.git"), "https://me:xxxxx@h/x.git");
        assert_eq!(redact("https://h/a@b"), "https://h/a@b");
        assert_eq!(parse("https://me:pw@h:8080/x.git").host(), "h:8080");
        assert_eq!(parse("git@h:x.git").host(), "h");
    }
}
