//! Running `git` so that neither the user's configuration nor a hostile repository decides what it does.
//!
//! The environment starts empty. Configuration comes from us alone, through `GIT_CONFIG_COUNT`, so that no secret
//! stands in an argument. Hooks, prompts, credential helpers and protocols that run programs are off.
//!
//! Each `git` leads a process group of its own, so that those that it starts (`ssh`, `git-remote-https`) stop with it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::git::GitClient;
use crate::git::processes::Processes;
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
    /// Private keys in files, for SSH without an agent.
    pub ssh_keys: Vec<PathBuf>,
    /// Files of the form of `known_hosts`: a host that is in one of them must have the key that stands there. Any other
    /// host is believed the first time, and its key is kept beside the clones.
    pub known_hosts: Vec<PathBuf>,
    /// Which protocols may be used.
    pub protocols: GitProtocols,
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
    protocols: GitProtocols,
    processes: &'a Processes,
    remote: &'a str,
    command: Command,
    config: Vec<(String, String)>,
}

impl<'a> Git<'a> {
    pub(crate) fn new(
        client: &'a GitClient,
        remote: &'a str,
        authorization: &Authorization,
    ) -> Self {
        let options = &client.options;
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
            .env("GIT_SSH_COMMAND", ssh_command(options))
            .env("HOME", "/dev/null")
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(agent) = &options.ssh_agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        let mut git = Self {
            protocols: options.protocols,
            processes: &client.processes,
            remote,
            command,
            config: Vec::new(),
        };
        git.configure(authorization);
        git
    }

    fn configure(&mut self, authorization: &Authorization) {
        let files = match self.protocols {
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
        let start = |source| SourceError::StartGit { source };
        let child = self.command.spawn().map_err(start)?;
        let output = self.attend(child).map_err(start)?;
        if self.processes.are_stopped() {
            return Err(SourceError::Stopped {
                what: redact(self.remote),
            });
        }
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(SourceError::Git {
            action,
            remote: redact(self.remote),
            message: self.complaint(&output.stderr),
        })
    }

    /// What `child` writes, until it ends.
    fn attend(&self, mut child: Child) -> io::Result<Output> {
        let group = self.processes.enter(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = std::thread::scope(|scope| {
            let errors = scope.spawn(|| read_all(stderr));
            let output = read_all(stdout);
            let errors = errors.join().unwrap_or_else(|_| Ok(Vec::new()));
            (output, errors)
        });
        // What closed its output may still be at work, and can be stopped until it has ended. It is not reaped before it
        // is forgotten: until then its number can be nobody else's.
        if let Some(leader) = group {
            await_end(leader);
        }
        self.processes.leave(group);
        let status = child.wait()?;
        Ok(Output {
            status,
            stdout: stdout?,
            stderr: stderr?,
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

/// Waits until a child has ended, and leaves it to be reaped.
fn await_end(child: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // An interrupted wait goes on; any other failure is for the one who reaps to tell.
    while matches!(waitid(WaitId::Pid(child), options), Err(Errno::INTR)) {}
}

fn read_all(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// As in `BuildKit`, the user's SSH configuration does not count and a host that nobody knows is believed; but a key that
/// is known must not change.
fn ssh_command(options: &GitOptions) -> String {
    /// The first file of `UserKnownHostsFile` is where keys are added.
    const KEPT: &str = "known_hosts";
    let kept = options.cache.join(KEPT);
    let files: Vec<String> = std::iter::once(&kept)
        .chain(&options.known_hosts)
        .map(|file| format!("\"{}\"", file.display()))
        .collect();
    let files = quoted(&files.join(" "));
    let mut keys = String::new();
    for key in &options.ssh_keys {
        keys.push_str(" -i ");
        keys.push_str(&quoted(&key.to_string_lossy()));
    }
    format!(
        "ssh{keys} -F /dev/null -o BatchMode=yes -o LogLevel=ERROR -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={files}"
    )
}

/// A word for the shell that git has read the command.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_believes_new_hosts_and_keeps_their_keys_beside_the_clones() {
        let options = GitOptions {
            program: PathBuf::from("git"),
            cache: PathBuf::from("/store/it's/git"),
            environment: Vec::new(),
            ssh_agent: None,
            ssh_keys: vec![PathBuf::from("/keys/a b")],
            known_hosts: vec![PathBuf::from("/home/me/.ssh/known_hosts")],
            protocols: GitProtocols::Network,
        };
        let command = ssh_command(&options);
        assert!(
            command.starts_with("ssh -i '/keys/a b' -F /dev/null"),
            "{command}"
        );
        assert!(
            command.contains("StrictHostKeyChecking=accept-new"),
            "{command}"
        );
        let files =
            r#"UserKnownHostsFile='"/store/it'\''s/git/known_hosts" "/home/me/.ssh/known_hosts"'"#;
        assert!(command.ends_with(files), "{command}");
    }
}
