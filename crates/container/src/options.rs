//! What the user asks of a container: the options of `run` and `create`, read but not yet carried out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::environment::{EnvSource, resolve};
use crate::{ContainerError, names};

/// The options of `run` and `create`. Stored with the container: fields may be added, with a default, not renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Arguments after the image; they replace CMD.
    pub args: Vec<String>,
    /// `--entrypoint`: replaces ENTRYPOINT and clears CMD; empty means none.
    pub entrypoint: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// `--hostname`; the first twelve digits of the ID where it is not given.
    pub hostname: Option<String>,
    /// `-e` and `--env-file`, as `NAME=value`, in the order in which they win: the last is the strongest.
    pub env: Vec<String>,
    /// `-w`.
    pub workdir: Option<String>,
    /// `-u`.
    pub user: Option<String>,
    /// `-v`.
    pub volumes: Vec<Volume>,
    /// `--tmpfs`.
    pub tmpfs: Vec<Tmpfs>,
    /// `--add-host`.
    pub add_hosts: Vec<AddHost>,
    /// `--network`.
    pub network: NetworkMode,
    /// `--read-only`.
    pub root_access: RootAccess,
    /// `--privileged`.
    pub security: Security,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `--shm-size` in bytes.
    pub shm_bytes: Option<u64>,
    /// `-l`, as `NAME=value`.
    pub labels: Vec<String>,
    /// `--stop-signal`.
    pub stop_signal: Option<String>,
    /// `-i`: the container reads the user's input.
    pub interactive: bool,
    /// `-t`: the container has a terminal.
    pub tty: bool,
    /// `--rm`.
    pub cleanup: Cleanup,
}

/// What becomes of a container when it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cleanup {
    /// It stays, with its changes and its exit status.
    #[default]
    Keep,
    /// It is removed.
    Remove,
}

/// Which network a container sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// The host's.
    #[default]
    Host,
    /// Loopback only.
    None,
}

/// Whether the root file system can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootAccess {
    /// It can.
    #[default]
    ReadWrite,
    /// It cannot, volumes and tmpfs apart.
    ReadOnly,
}

/// How far root inside is kept from acting like root outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// Docker's default capabilities, system call filter and masked paths.
    #[default]
    Default,
    /// All capabilities, no filter, nothing masked.
    Privileged,
}

/// A directory or file of the host, mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// On the host, absolute; `None` is an anonymous volume.
    pub source: Option<PathBuf>,
    /// In the container, absolute.
    pub target: PathBuf,
    /// Whether it can be written.
    pub access: RootAccess,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// In the container, absolute.
    pub target: PathBuf,
    /// Size limit; `None` is half the memory.
    pub bytes: Option<u64>,
    /// Permission bits of its root.
    pub mode: u32,
    /// Whether it can be written.
    pub access: RootAccess,
}

/// A line of /etc/hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddHost {
    /// The name.
    pub name: String,
    /// Its address.
    pub address: String,
}

/// A resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`
    pub name: String,
    /// The limit in force.
    pub soft: u64,
    /// How far it can be raised.
    pub hard: u64,
}

impl Options {
    /// Adds one `-e`: `NAME=value`, or `NAME` to pass the user's own value on.
    pub fn add_env(&mut self, text: &str, source: EnvSource<'_>) -> Result<(), ContainerError> {
        if text.is_empty() || text.starts_with('=') {
            return Err(ContainerError::option(
                "--env",
                text,
                "it is NAME=value or NAME",
            ));
        }
        self.env.extend(resolve(text, source));
        Ok(())
    }

    /// Whether the values that have rules follow them.
    pub(crate) fn check(&self) -> Result<(), ContainerError> {
        if let Some(name) = &self.name {
            names::check(name)?;
        }
        let hostname = self.hostname.as_deref().unwrap_or("x");
        let fits = hostname
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        if hostname.is_empty() || hostname.len() > 64 || !fits {
            let reason = "a host name has at most 64 letters, digits, '-' and '.'";
            return Err(ContainerError::option("--hostname", hostname, reason));
        }
        match self.workdir.as_deref() {
            Some(path) if !path.starts_with('/') => Err(ContainerError::option(
                "--workdir",
                path,
                "it is an absolute path",
            )),
            _ => Ok(()),
        }
    }
}

impl NetworkMode {
    /// Reads `--network`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        match text {
            "host" | "default" => Ok(Self::Host),
            "none" => Ok(Self::None),
            _ => Err(ContainerError::option(
                "--network",
                text,
                "host and none are supported",
            )),
        }
    }
}

impl Volume {
    /// Reads `-v`: `/host:/container[:ro|rw]` or `/container`. Named volumes are refused.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| Err(ContainerError::option("--volume", text, reason));
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, flags) = match parts[..] {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, flags] => (Some(source), target, flags),
            _ => return fail("it is /host/path:/container/path[:ro]"),
        };
        if !target.starts_with('/') || target == "/" {
            return fail("the path in the container is absolute and not /");
        }
        match source {
            Some(path) if !path.starts_with('/') => {
                return fail("named volumes are not supported: give a path that begins with /");
            }
            _ => {}
        }
        let mut access = RootAccess::ReadWrite;
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "ro" => access = RootAccess::ReadOnly,
                // Labels, consistency and propagation: what we do anyway, or what only other systems have.
                "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "rprivate"
                | "nocopy" => {}
                _ => return fail("of the flags after the second colon, ro and rw are supported"),
            }
        }
        Ok(Self {
            source: source.map(PathBuf::from),
            target: PathBuf::from(target),
            access,
        })
    }
}

impl Tmpfs {
    /// Reads `--tmpfs`: `/path[:size=64m,mode=1777,ro]`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| ContainerError::option("--tmpfs", text, reason);
        let (target, flags) = text.split_once(':').unwrap_or((text, ""));
        if !target.starts_with('/') || target == "/" {
            return Err(fail("the path in the container is absolute and not /"));
        }
        let mut tmpfs = Self {
            target: PathBuf::from(target),
            bytes: None,
            mode: 0o1777,
            access: RootAccess::ReadWrite,
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag.split_once('=') {
                Some(("size", size)) => {
                    let bytes = parse_bytes(size);
                    tmpfs.bytes = Some(bytes.ok_or_else(|| fail("size is a number like 64m"))?);
                }
                Some(("mode", mode)) => {
                    tmpfs.mode = u32::from_str_radix(mode, 8)
                        .ok()
                        .filter(|mode| *mode <= 0o7777)
                        .ok_or_else(|| fail("mode is an octal number like 1777"))?;
                }
                None if flag == "ro" => tmpfs.access = RootAccess::ReadOnly,
                None if ["rw", "nosuid", "nodev", "noexec"].contains(&flag) => {}
                _ => return Err(fail("size, mode, ro and rw are supported")),
            }
        }
        Ok(tmpfs)
    }
}

impl AddHost {
    /// Reads `--add-host`: `name:address` or `name=address`; an IPv6 address may stand in brackets.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| ContainerError::option("--add-host", text, reason);
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(|| fail("it is name:address"))?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        // The network is the host's own: its gateway to the host is loopback.
        let address = if address == "host-gateway" {
            "127.0.0.1"
        } else {
            address
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(fail("the name is empty or has white space"));
        }
        address
            .parse::<std::net::IpAddr>()
            .map_err(|_| fail("what stands after the name is no IP address"))?;
        Ok(Self {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl Ulimit {
    /// Reads `--ulimit`: `name=soft[:hard]`, -1 for no limit.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = || ContainerError::option("--ulimit", text, "it is name=soft[:hard]");
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            _ => text.parse().map_err(|_| fail()),
        };
        let (name, limits) = text.split_once('=').ok_or_else(fail)?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (number(soft)?, number(hard)?);
        if rbuild_sandbox::rlimit_number(name).is_none() || soft > hard {
            return Err(fail());
        }
        Ok(Self {
            name: name.to_owned(),
            soft,
            hard,
        })
    }
}

/// `64m`, `1g`, `4096`: bytes, in binary units.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match number.chars().last()? {
        'k' => (&number[..number.len() - 1], 10),
        'm' => (&number[..number.len() - 1], 20),
        'g' => (&number[..number.len() - 1], 30),
        _ => (number, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
