//! Running `git` so that neither the user's configuration nor a hostile repository decides what it does.
//!
//! The environment starts empty. Configuration comes from us alone, through `GIT_CONFIG_COUNT`, so that no secret
//! stands in an argument. Hooks, prompts, credential helpers and protocols that run programs are off.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::git::url::redact;
use crate::{Authorization, SourceError};

/// Lines of git's complaint that an error keeps.
const MESSAGE_LINES: usize = 8;

/// How `git` is run.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The program, by name or path.
    pub program: PathBuf,
    /// Where bare clones are kept between builds, one per remote.
    pub cache: PathBuf,
    /// What `git` sees of the environment: `PATH`, proxies, certificates.
    pub environment: Vec<(OsString, OsString)>,
    /// The socket of an SSH agent.
    pub ssh_agent: Option<PathBuf>,
    /// Which SSH hosts are known.
    pub known_hosts: KnownHosts,
    /// Which protocols may be used.
    pub protocols: GitProtocols,
}

/// How an SSH host proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownHosts {
    /// It stands in this file.
    File(PathBuf),
    /// Not at all.
    AcceptAny,
}

/// The protocols that remotes and submodules may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitProtocols {
    /// http, https, ssh and git.
    Network,
    /// And files on this machine: never for repositories that are not trusted.
    NetworkAndFiles,
}

/// One command to be run on behalf of a remote.
pub(crate) struct Git<'a> {
    options: &'a GitOptions,
    remote: &'a str,
    command: Command,
    config: Vec<(String, String)>,
}

impl<'a> Git<'a> {
    pub(crate) fn new(
        options: &'a GitOptions,
        remote: &'a str,
        authorization: &Authorization,
    ) -> Self {
        let mut command = Command::new(&options.program);
        command
            .env_clear()
            .envs(
                options
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("GIT_SSH_COMMAND", ssh_command(&options.known_hosts))
            .env("HOME", "/dev/null")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Some(agent) = &options.ssh_agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        let mut git = Self {
            options,
            remote,
            command,
            config: Vec::new(),
        };
        git.configure(authorization);
        git
    }

    fn configure(&mut self, authorization: &Authorization) {
        let files = match self.options.protocols {
            GitProtocols::Network => "never",
            GitProtocols::NetworkAndFiles => "always",
        };
        for (key, value) in [
            ("protocol.allow", "never"),
            ("protocol.http.allow", "always"),
            ("protocol.https.allow", "always"),
            ("protocol.ssh.allow", "always"),
            ("protocol.git.allow", "always"),
            ("protocol.file.allow", files),
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.autocrlf", "false"),
            ("core.symlinks", "true"),
            ("core.attributesFile", "/dev/null"),
            ("core.excludesFile", "/dev/null"),
            ("credential.helper", ""),
            ("submodule.recurse", "false"),
            ("transfer.fsckObjects", "false"),
            ("fetch.recurseSubmodules", "false"),
            ("advice.detachedHead", "false"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("init.defaultBranch", "main"),
            // A repository in our cache may belong to another user of the same user namespace.
            ("safe.directory", "*"),
        ] {
            self.config.push((key.to_owned(), value.to_owned()));
        }
        if let Some(header) = authorization.git_header()
            && let Some(origin) = origin(self.remote)
        {
            self.config.push((
                format!("http.{origin}/.extraHeader"),
                format!("Authorization: {header}"),
            ));
        }
    }

    /// A configuration value for this command only.
    pub(crate) fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// What it writes; `action` is what it does, for the error.
    pub(crate) fn run(mut self, action: &'static str) -> Result<Vec<u8>, SourceError> {
        self.command
            .env("GIT_CONFIG_COUNT", self.config.len().to_string());
        for (index, (key, value)) in self.config.iter().enumerate() {
            self.command.env(format!("GIT_CONFIG_KEY_{index}"), key);
            self.command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        let output = self
            .command
            .output()
            .map_err(|source| SourceError::StartGit { source })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(SourceError::Git {
            action,
            remote: redact(self.remote),
            message: self.complaint(&output.stderr),
        })
    }

    /// The end of what git said, without passwords.
    fn complaint(&self, stderr: &[u8]) -> String {
        let text = String::from_utf8_lossy(stderr).replace(self.remote, &redact(self.remote));
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        let first = lines.len().saturating_sub(MESSAGE_LINES);
        lines[first..].join("\n")
    }
}

/// As in `BuildKit`: the user's SSH configuration does not count.
fn ssh_command(known_hosts: &KnownHosts) -> String {
    let hosts = match known_hosts {
        KnownHosts::File(path) => {
            let quoted = path.to_string_lossy().replace('\'', "'\\''");
            format!("-o StrictHostKeyChecking=yes -o UserKnownHostsFile='{quoted}'")
        }
        KnownHosts::AcceptAny => {
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null".to_owned()
        }
    };
    format!("ssh -F /dev/null -o BatchMode=yes -o LogLevel=ERROR {hosts}")
}

/// `https://host` of an http remote.
fn origin(remote: &str) -> Option<String> {
    let (scheme, rest) = remote.split_once("://")?;
    let authority = rest.split('/').next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    matches!(scheme, "http" | "https").then(|| format!("{scheme}://{host}"))
}
