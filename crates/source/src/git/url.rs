//! What is fetched from git, taken apart.

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
    /// The remote without a password, for messages.
    pub fn display_remote(&self) -> String {
        redact(&self.remote)
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

    #[test]
    fn passwords_stay_out_of_messages() {
        assert_eq!(redact("https://me:pw@h/x.git"), "https://me:xxxxx@h/x.git");
        assert_eq!(redact("https://h/a@b"), "https://h/a@b");
    }
}
