//! From a URL to a commit, and from a commit to a bare clone that has it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::git::processes::Processes;
use crate::git::program::{Git, GitOptions};
use crate::git::url::GitUrl;
use crate::{Authorization, SourceError};

/// Where fetched commits are held in a bare clone, so that nothing collects them.
const HELD_REFS: &str = "refs/rbuild";

/// Fetches from git remotes.
#[derive(Debug, Clone)]
pub struct GitClient {
    pub(crate) options: GitOptions,
    pub(crate) processes: Processes,
}

/// A commit that a URL was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCommit {
    /// The commit's hexadecimal object name: what identifies the source in keys.
    pub sha: String,
    /// The full ref that led to it, if it was no commit to begin with.
    pub reference: Option<String>,
    /// The annotated tag's object, if there is one between.
    pub tag: Option<String>,
}

/// A bare clone that has a commit.
pub(crate) struct Fetched {
    pub(crate) repository: PathBuf,
    /// The ref in it that holds the commit.
    pub(crate) held: String,
}

/// A bare clone that nobody else works on.
struct HeldClone {
    repository: PathBuf,
    _lock: File,
}

impl GitClient {
    /// A client that keeps its clones in `options.cache`.
    pub fn new(options: GitOptions) -> Self {
        Self {
            options,
            processes: Processes::default(),
        }
    }

    /// Ends every `git` that runs for this client or a clone of it; what it was asked for fails, now and later.
    pub fn stop(&self) {
        self.processes.stop();
    }

    /// The commit that the checksum of `url` names in full: its contents are known before anybody is asked. Whether the URL
    /// leads there is for [`GitClient::resolve`] to say.
    pub fn pinned(&self, url: &GitUrl) -> Option<GitCommit> {
        let sha = url.checksum.as_deref()?.to_ascii_lowercase();
        let named_by_commit = url.reference.as_deref().is_some_and(is_object_name);
        (is_object_name(&sha) && !named_by_commit).then_some(GitCommit {
            sha,
            reference: None,
            tag: None,
        })
    }

    /// [`GitClient::pinned`], if it has been fetched before.
    pub fn held(&self, url: &GitUrl) -> Option<GitCommit> {
        let commit = self.pinned(url)?;
        let repository = self.repository(&url.remote);
        let object = format!("{}^{{commit}}", commit.sha);
        Git::new(self, &url.remote, &Authorization::None)
            .env("GIT_DIR", &repository)
            .args(["cat-file", "-e", &object])
            .run("look for the commit of")
            .is_ok()
            .then_some(commit)
    }

    /// The commit that `url` names now: asks the remote, unless the URL names a commit itself. The
    /// checksum of the URL is verified against the commit (or the tag's own object).
    pub fn resolve(
        &self,
        url: &GitUrl,
        authorization: &Authorization,
    ) -> Result<GitCommit, SourceError> {
        let commit = match url.reference.as_deref() {
            Some(reference) if is_object_name(reference) => GitCommit {
                sha: reference.to_owned(),
                reference: None,
                tag: None,
            },
            reference => {
                let asked = self.ask_remote(url, reference.unwrap_or("HEAD"), authorization);
                match (asked, reference) {
                    // The beginning of a commit's name is no ref: it takes all commits to find which one is meant.
                    (Err(SourceError::GitReference { .. }), Some(beginning))
                        if url.checksum.as_deref() == Some(beginning) =>
                    {
                        self.search(url, beginning, authorization)?
                    }
                    (asked, _) => asked?,
                }
            }
        };
        verify(url, &commit)?;
        Ok(commit)
    }

    fn ask_remote(
        &self,
        url: &GitUrl,
        reference: &str,
        authorization: &Authorization,
    ) -> Result<GitCommit, SourceError> {
        let peeled = format!("{reference}^{{}}");
        let listing = Git::new(self, &url.remote, authorization)
            .args(["ls-remote", "--", &url.remote, reference, &peeled])
            .run("list the refs of")?;
        choose(&String::from_utf8_lossy(&listing), reference).ok_or_else(|| {
            SourceError::GitReference {
                reference: reference.to_owned(),
                remote: url.display_remote(),
            }
        })
    }

    /// The commit whose name begins with `beginning`.
    fn search(
        &self,
        url: &GitUrl,
        beginning: &str,
        authorization: &Authorization,
    ) -> Result<GitCommit, SourceError> {
        let clone = self.clone_of(url, authorization)?;
        let git = || Git::new(self, &url.remote, authorization).env("GIT_DIR", &clone.repository);
        let object = format!("{beginning}^{{commit}}");
        let find = || {
            let found = git()
                .args(["rev-parse", "--verify", "--quiet", &object])
                .run("look for the commit of");
            found.map(|sha| String::from_utf8_lossy(&sha).trim().to_owned())
        };
        let sha = if let Ok(sha) = find() {
            sha
        } else {
            everything(git(), url, &clone.repository)?;
            find().map_err(|_| SourceError::GitReference {
                reference: beginning.to_owned(),
                remote: url.display_remote(),
            })?
        };
        Ok(GitCommit {
            sha,
            reference: None,
            tag: None,
        })
    }

    /// A bare clone with `commit` in it: fetched as shallow as the server allows, or not at all if it is there.
    pub(crate) fn fetch(
        &self,
        url: &GitUrl,
        commit: &GitCommit,
        authorization: &Authorization,
    ) -> Result<Fetched, SourceError> {
        let clone = self.clone_of(url, authorization)?;
        let git = || Git::new(self, &url.remote, authorization).env("GIT_DIR", &clone.repository);
        let fetched = Fetched {
            held: format!("{HELD_REFS}/{}", commit.sha),
            repository: clone.repository.clone(),
        };
        let object = format!("{}^{{commit}}", commit.sha);
        let is_here = || {
            git()
                .args(["cat-file", "-e", &object])
                .run("look for the commit of")
                .is_ok()
        };
        if !is_here() {
            // The commit itself; what led to it, if the server gives out only refs; all, if that has moved on.
            let by_commit = shallow(git(), url, &commit.sha);
            if by_commit.is_err() || !is_here() {
                let by_reference = commit
                    .reference
                    .as_ref()
                    .map(|reference| shallow(git(), url, reference));
                if by_reference.is_none_or(|result| result.is_err()) || !is_here() {
                    everything(git(), url, &clone.repository)?;
                }
            }
            if !is_here() {
                return Err(SourceError::GitReference {
                    reference: commit.sha.clone(),
                    remote: url.display_remote(),
                });
            }
        }
        git()
            .args(["update-ref", &fetched.held, &commit.sha])
            .run("keep the commit of")?;
        Ok(fetched)
    }

    /// The bare clone of the remote, made where it is missing; for us alone until it is dropped.
    fn clone_of(
        &self,
        url: &GitUrl,
        authorization: &Authorization,
    ) -> Result<HeldClone, SourceError> {
        let repository = self.repository(&url.remote);
        let fail = |action, path: &Path| {
            let path = path.to_owned();
            move |source| SourceError::File {
                action,
                path,
                source,
            }
        };
        fs::create_dir_all(&self.options.cache).map_err(fail("create", &self.options.cache))?;
        let lock_path = repository.with_extension("lock");
        let lock = File::create(&lock_path).map_err(fail("create", &lock_path))?;
        // Held until it is dropped, or the process is gone.
        self.processes
            .lock(&lock)
            .map_err(fail("lock", &lock_path))?;

        // Nobody else is at work here: what a git that was killed has locked, nobody holds.
        remove_locks(&repository).map_err(fail("remove old locks in", &repository))?;
        if !repository.join("HEAD").exists() {
            Git::new(self, &url.remote, authorization)
                .env("GIT_DIR", &repository)
                .args(["init", "--bare", "--quiet", "--template="])
                .run("make a clone of")?;
        }
        Ok(HeldClone {
            repository,
            _lock: lock,
        })
    }

    fn repository(&self, remote: &str) -> PathBuf {
        let name = blake3::hash(remote.as_bytes()).to_hex();
        self.options.cache.join(format!("{}.git", &name[..32]))
    }
}

/// Removes git's lock files beside `HEAD` and among the refs.
fn remove_locks(repository: &Path) -> io::Result<()> {
    let mut waiting = vec![repository.to_owned()];
    while let Some(directory) = waiting.pop() {
        let listed = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listed => listed?,
        };
        for entry in listed {
            let entry = entry?;
            let path = entry.path();
            let is_directory = entry.file_type()?.is_dir();
            if is_directory && path != repository.join("objects") {
                waiting.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "lock") {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

fn shallow(git: Git<'_>, url: &GitUrl, what: &str) -> Result<Vec<u8>, SourceError> {
    git.args([
        "fetch",
        "--quiet",
        "--no-tags",
        "--depth=1",
        "--",
        &url.remote,
        what,
    ])
    .run("fetch from")
}

/// All refs with all that led to them: what earlier fetches left out of the history too.
fn everything(git: Git<'_>, url: &GitUrl, repository: &Path) -> Result<Vec<u8>, SourceError> {
    let refspec = format!("+refs/*:{HELD_REFS}/remote/*");
    let depth: &[&str] = if repository.join("shallow").exists() {
        &["--unshallow"]
    } else {
        &[]
    };
    git.args(["fetch", "--quiet", "--no-tags"])
        .args(depth)
        .args(["--", &url.remote, &refspec])
        .run("fetch from")
}

/// A complete sha1 or sha256 object name.
pub(crate) fn is_object_name(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The line of `ls-remote` that `reference` means: as `git checkout`, a branch before a tag of the same name.
fn choose(listing: &str, reference: &str) -> Option<GitCommit> {
    let lines: Vec<(&str, &str)> = listing
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let find = |name: &str| {
        lines
            .iter()
            .find(|(_, listed)| *listed == name)
            .map(|(sha, _)| *sha)
    };
    [
        reference.to_owned(),
        format!("refs/{reference}"),
        format!("refs/heads/{reference}"),
        format!("refs/tags/{reference}"),
    ]
    .into_iter()
    .filter(|full| full == "HEAD" || full.starts_with("refs/"))
    .find_map(|full| {
        let object = find(&full)?;
        let peeled = find(&format!("{full}^{{}}"));
        Some(GitCommit {
            sha: peeled.unwrap_or(object).to_owned(),
            tag: peeled.map(|_| object.to_owned()),
            reference: Some(full),
        })
    })
}

fn verify(url: &GitUrl, commit: &GitCommit) -> Result<(), SourceError> {
    let Some(checksum) = &url.checksum else {
        return Ok(());
    };
    let expected = checksum.to_ascii_lowercase();
    let fits = |sha: &str| sha.starts_with(&expected);
    if fits(&commit.sha) || commit.tag.as_deref().is_some_and(fits) {
        return Ok(());
    }
    Err(SourceError::GitChecksum {
        remote: url.display_remote(),
        expected: checksum.clone(),
        found: commit.sha.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "1111111111111111111111111111111111111111\tHEAD\n\
        2222222222222222222222222222222222222222\trefs/heads/v1\n\
        3333333333333333333333333333333333333333\trefs/tags/v1\n\
        4444444444444444444444444444444444444444\trefs/tags/v2\n\
        5555555555555555555555555555555555555555\trefs/tags/v2^{}\n\
        6666666666666666666666666666666666666666\trefs/pull/7/head\n";

    fn chosen(reference: &str) -> Option<char> {
        choose(LISTING, reference)?.sha.chars().next()
    }

    #[test]
    fn a_reference_means_what_git_checkout_takes_it_for() {
        assert_eq!(chosen("HEAD"), Some('1'));
        assert_eq!(chosen("v1"), Some('2'));
        assert_eq!(chosen("refs/tags/v1"), Some('3'));
        assert_eq!(chosen("v2"), Some('5'));
        assert_eq!(chosen("pull/7/head"), Some('6'));
        assert_eq!(chosen("v3"), None);
    }
}
