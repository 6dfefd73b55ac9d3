//! The files of a commit, in a directory.
//!
//! ```text
//! bare clone ──read-tree, checkout-index──> files            .git is not wanted, no submodules
//!            ──init, fetch, checkout──────> files and .git   else; what is not wanted of .git goes again
//! ```
//!
//! With a subdirectory the commit is checked out beside it and the directory's contents are moved up, since attributes
//! and submodules are declared at the top.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rbuild_layer::ContentIndex;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Timespec, Timestamps};

use crate::git::fetch::{Fetched, GitClient, GitCommit};
use crate::git::program::Git;
use crate::git::url::{GitFiles, GitTimes, GitUrl, SubmodulePolicy};
use crate::{Authorization, ContextTree, SourceError};

/// Where a whole commit goes when only a part of it is wanted, and, with `-index` behind it, git's index meanwhile.
/// A commit that has this very name in it fails to check out, which harms nobody else.
const STAGING: &str = ".git~rbuild";

/// A commit's files.
#[derive(Debug)]
pub struct GitCheckout {
    /// The commit.
    pub commit: GitCommit,
    /// What was written.
    pub index: ContentIndex,
}

impl GitClient {
    /// Writes the files of `commit` into `directory`, which is empty: the subdirectory of the URL, if it names
    /// one. Files are 0644 or 0755 and belong to root, whatever the umask.
    ///
    /// `.git` stays where the URL or `files` wants it and there is no subdirectory; submodules come along unless the
    /// URL or `submodules` is against it.
    pub fn checkout(
        &self,
        url: &GitUrl,
        commit: &GitCommit,
        directory: &Path,
        authorization: &Authorization,
    ) -> Result<GitCheckout, SourceError> {
        let fetched = self.fetch(url, commit, authorization)?;
        match &url.subdirectory {
            None => self.populate(url, commit, &fetched, directory, authorization)?,
            Some(subdirectory) => {
                let staging = directory.join(STAGING);
                create_directory(&staging)?;
                self.populate(url, commit, &fetched, &staging, authorization)?;
                move_up(url, &staging, subdirectory, directory)?;
            }
        }
        let time = match url.times {
            GitTimes::Checkout => None,
            GitTimes::Commit => Some(self.commit_time(url, commit, &fetched)?),
        };
        normalize(directory, time).map_err(|source| SourceError::File {
            action: "set modes and times below",
            path: directory.to_owned(),
            source,
        })?;
        let tree = ContextTree::private(directory)?;
        Ok(GitCheckout {
            commit: commit.clone(),
            index: tree.into_index(),
        })
    }

    fn populate(
        &self,
        url: &GitUrl,
        commit: &GitCommit,
        fetched: &Fetched,
        directory: &Path,
        authorization: &Authorization,
    ) -> Result<(), SourceError> {
        let keeps_git = url.files == Some(GitFiles::Repository) && url.subdirectory.is_none();
        let has_submodules = url.submodules != Some(SubmodulePolicy::Skip)
            && self.has_submodules(url, commit, fetched);
        if !keeps_git && !has_submodules {
            return self.export(url, commit, fetched, directory);
        }
        self.clone_into(url, commit, fetched, directory)?;
        if has_submodules {
            Git::new(self, &url.remote, authorization)
                .directory(directory)
                .args([
                    "submodule",
                    "--quiet",
                    "update",
                    "--init",
                    "--recursive",
                    "--depth=1",
                ])
                .run("fetch the submodules of")?;
        }
        if !keeps_git {
            remove_git_files(directory).map_err(|source| SourceError::File {
                action: "remove .git below",
                path: directory.to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    fn has_submodules(&self, url: &GitUrl, commit: &GitCommit, fetched: &Fetched) -> bool {
        Git::new(self, &url.remote, &Authorization::None)
            .env("GIT_DIR", &fetched.repository)
            .args(["cat-file", "-e", &format!("{}:.gitmodules", commit.sha)])
            .run("look for submodules in")
            .is_ok()
    }

    /// The files alone, straight from the bare clone.
    fn export(
        &self,
        url: &GitUrl,
        commit: &GitCommit,
        fetched: &Fetched,
        directory: &Path,
    ) -> Result<(), SourceError> {
        // The index is this checkout's own, so that any number of them can run at once.
        let index = directory.join(format!("{STAGING}-index"));
        let git = || {
            Git::new(self, &url.remote, &Authorization::None)
                .env("GIT_DIR", &fetched.repository)
                .env("GIT_WORK_TREE", directory)
                .env("GIT_INDEX_FILE", &index)
                .directory(directory)
        };
        git()
            .args(["read-tree", &commit.sha])
            .run("read the commit of")?;
        git()
            .args(["checkout-index", "--all", "--force", "--quiet"])
            .run("check out")?;
        match fs::remove_file(&index) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SourceError::File {
                action: "remove",
                path: index,
                source,
            }),
            _ => Ok(()),
        }
    }

    /// A repository of its own in `directory`, with the remote as its origin.
    fn clone_into(
        &self,
        url: &GitUrl,
        commit: &GitCommit,
        fetched: &Fetched,
        directory: &Path,
    ) -> Result<(), SourceError> {
        let git = || {
            Git::new(self, &url.remote, &Authorization::None)
                // Only to our own bare clone.
                .config("protocol.file.allow", "always")
                .directory(directory)
        };
        let source = format!("file://{}", fetched.repository.display());
        git()
            .args(["init", "--quiet", "--template="])
            .run("make a repository for")?;
        git()
            .args(["remote", "add", "origin", &url.display_remote()])
            .run("make a repository for")?;
        git()
            .args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--depth=1",
                "--",
                &source,
                &fetched.held,
            ])
            .run("copy the commit of")?;
        git()
            .args(["checkout", "--quiet", "--force", &commit.sha])
            .run("check out")?;
        // It names our cache.
        match fs::remove_file(directory.join(".git/FETCH_HEAD")) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SourceError::File {
                action: "remove",
                path: directory.join(".git/FETCH_HEAD"),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// When the commit that `url` names now was made, in seconds after 1970.
    pub fn time(&self, url: &GitUrl, authorization: &Authorization) -> Result<i64, SourceError> {
        let commit = self.resolve(url, authorization)?;
        let fetched = self.fetch(url, &commit, authorization)?;
        self.commit_time(url, &commit, &fetched)
    }

    fn commit_time(
        &self,
        url: &GitUrl,
        commit: &GitCommit,
        fetched: &Fetched,
    ) -> Result<i64, SourceError> {
        let shown = Git::new(self, &url.remote, &Authorization::None)
            .env("GIT_DIR", &fetched.repository)
            .args(["show", "--no-patch", "--format=%ct", &commit.sha])
            .run("read the commit of")?;
        String::from_utf8_lossy(&shown)
            .trim()
            .parse()
            .map_err(|_| SourceError::Git {
                action: "read the commit of",
                remote: url.display_remote(),
                message: "it has no time".to_owned(),
            })
    }
}

fn create_directory(path: &Path) -> Result<(), SourceError> {
    fs::create_dir(path).map_err(|source| SourceError::File {
        action: "create",
        path: path.to_owned(),
        source,
    })
}

/// Moves what is in `staging/subdirectory` into `directory`, and removes the rest.
fn move_up(
    url: &GitUrl,
    staging: &Path,
    subdirectory: &str,
    directory: &Path,
) -> Result<(), SourceError> {
    let missing = || SourceError::GitSubdirectory {
        directory: subdirectory.to_owned(),
        remote: url.display_remote(),
    };
    let fail = |source: io::Error| SourceError::File {
        action: "move the files of",
        path: directory.join(subdirectory),
        source,
    };
    let root = crate::context::open_directory(staging).map_err(fail)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The commit's own links decide where the directory is, but only inside of it.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let from = rbuild_sys::openat2(&root, subdirectory, flags, Mode::empty(), resolve)
        .map_err(|_| missing())?;
    let to = crate::context::open_directory(directory).map_err(fail)?;
    let names = rustix::fs::Dir::read_from(&from).map_err(|error| fail(error.into()))?;
    for name in names {
        let name = name.map_err(|error| fail(error.into()))?;
        let name = name.file_name();
        if name != c"." && name != c".." {
            rustix::fs::renameat(&from, name, &to, name).map_err(|error| fail(error.into()))?;
        }
    }
    fs::remove_dir_all(staging).map_err(fail)
}

/// Every `.git` below `directory`: git never tracks that name, so all are its own.
fn remove_git_files(directory: &Path) -> io::Result<()> {
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let is_directory = entry.file_type()?.is_dir();
            match (entry.file_name() == ".git", is_directory) {
                (true, true) => fs::remove_dir_all(entry.path())?,
                (true, false) => fs::remove_file(entry.path())?,
                (false, true) => pending.push(entry.path()),
                (false, false) => {}
            }
        }
    }
    Ok(())
}

/// Gives group and others what the owner may, without writing, and sets times: neither umask nor the
/// hour should be seen. Children before their directory, whose time they would change.
fn normalize(directory: &Path, time: Option<i64>) -> io::Result<()> {
    let mut directories: Vec<PathBuf> = vec![directory.to_owned()];
    let mut at = 0;
    while at < directories.len() {
        for entry in fs::read_dir(&directories[at])? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(entry.path());
                continue;
            }
            if kind.is_file() {
                let mode = entry.metadata()?.permissions().mode();
                set_mode(&entry.path(), mode)?;
            }
            set_time(&entry.path(), time)?;
        }
        at += 1;
    }
    for directory in directories.iter().skip(1).rev() {
        set_mode(directory, 0o700)?;
        set_time(directory, time)?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let owner = mode & 0o700;
    let others = owner & 0o500;
    fs::set_permissions(
        path,
        fs::Permissions::from_mode(owner | others >> 3 | others >> 6),
    )
}

fn set_time(path: &Path, time: Option<i64>) -> io::Result<()> {
    let Some(seconds) = time else { return Ok(()) };
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}
