//! Git sources, from real repositories made here.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

mod checkouts;
mod guards;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_source::{
    Authorization, GitCheckout, GitClient, GitOptions, GitProtocols, GitTimes, GitUrl, SourceError,
};

const NONE: Authorization = Authorization::None;

struct Remote {
    dir: tempfile::TempDir,
}

impl Remote {
    fn new() -> Self {
        let remote = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        remote.git(&["init", "--quiet", "--initial-branch=main"]);
        remote
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@t",
                "-c",
                "protocol.file.allow=always",
                "-C",
            ])
            .arg(self.path())
            .args(args)
            .env("GIT_COMMITTER_DATE", "2020-01-02T03:04:05Z")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=m"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn url(&self) -> GitUrl {
        GitUrl {
            remote: format!("file://{}", self.path().display()),
            reference: None,
            subdirectory: None,
            checksum: None,
            files: None,
            submodules: None,
            times: GitTimes::Checkout,
        }
    }
}

struct Bench {
    dir: tempfile::TempDir,
    client: GitClient,
}

impl Bench {
    fn new(protocols: GitProtocols) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let client = GitClient::new(GitOptions {
            program: PathBuf::from("git"),
            cache: dir.path().join("cache"),
            environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
            ssh_agent: None,
            ssh_keys: Vec::new(),
            known_hosts: Vec::new(),
            protocols,
        });
        Self { dir, client }
    }

    fn files() -> Self {
        Self::new(GitProtocols::NetworkAndFiles)
    }

    fn try_checkout(&self, url: &GitUrl, name: &str) -> Result<GitCheckout, SourceError> {
        let commit = self.client.resolve(url, &NONE)?;
        let path = self.dir.path().join(name);
        fs::create_dir(&path).unwrap();
        self.client.checkout(url, &commit, &path, &NONE)
    }

    fn checkout(&self, url: &GitUrl, name: &str) -> Vec<String> {
        let checkout = self.try_checkout(url, name).unwrap();
        checkout
            .index
            .entries()
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
            .collect()
    }
}
