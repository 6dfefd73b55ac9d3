//! What the user asks of a container: the options of `run` and `create`, read but not yet carried out.

use std::net::IpAddr;
use std::path::Path;

use rbuild_image::Healthcheck;
use rbuild_network::{Membership, Port, Publish};
use rbuild_sandbox::Capabilities;
use serde::{Deserialize, Serialize};

use crate::add_host::AddHost;
use crate::environment::{EnvSource, resolve};
use crate::limits::Limits;
use crate::log::{LogLimits, Logging};
use crate::mount_options::{Device, Tmpfs, Volume};
use crate::namespaces::{IpcMode, PidMode, Sharing};
use crate::restart::RestartPolicy;
use crate::signals::signal_number;
use crate::sysctl::Sysctl;
use crate::ulimit::Ulimit;
use crate::users::UserMode;
use crate::{ContainerError, health, names};

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
    /// `--dns`: name servers in the place of the host's.
    pub dns: Vec<String>,
    /// `--dns-search`; `.` alone for none.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_options: Vec<String>,
    /// `--network`.
    pub network: NetworkMode,
    /// The private networks that it is on, where its network is such.
    pub networks: Vec<Membership>,
    /// `-p`.
    pub ports: Vec<Publish>,
    /// `--expose`, besides what the image exposes.
    pub expose: Vec<Port>,
    /// `-P`.
    pub exposed: Exposed,
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
    /// `--stop-timeout`, in seconds.
    pub stop_timeout: Option<i64>,
    /// `--restart`.
    pub restart: RestartPolicy,
    /// `--log-opt`.
    pub log: LogLimits,
    /// `--log-driver`.
    pub logging: Logging,
    /// `--memory`, `--cpus` and their like.
    pub limits: Limits,
    /// `--cap-add`, by name.
    pub cap_add: Vec<String>,
    /// `--cap-drop`, by name.
    pub cap_drop: Vec<String>,
    /// `--oom-score-adj`.
    pub oom_score: Option<i16>,
    /// `--group-add`, by number.
    pub groups: Vec<u32>,
    /// `--device`.
    pub devices: Vec<Device>,
    /// `--security-opt no-new-privileges`.
    pub new_privileges: Privileges,
    /// `--security-opt seccomp=unconfined`.
    pub system_calls: SystemCalls,
    /// `--security-opt apparmor=NAME`, which may be `unconfined`.
    pub apparmor: Option<String>,
    /// `--health-*` and `--no-healthcheck` (`NONE`): what goes before the image's HEALTHCHECK.
    pub health: Healthcheck,
    /// `--init`.
    pub first: FirstProcess,
    /// `--sysctl`.
    pub sysctls: Vec<Sysctl>,
    /// `--pid`.
    pub pid: PidMode,
    /// `--ipc`.
    pub ipc: IpcMode,
    /// `--uts`.
    pub uts: Sharing,
    /// `--cgroupns`.
    pub cgroupns: Sharing,
    /// `--userns`.
    pub userns: UserMode,
}

/// What process 1 of a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstProcess {
    /// The command.
    #[default]
    Command,
    /// An init that passes signals on to the command and reaps what others leave.
    Init,
}

/// Whether programs in a container can have more rights than who starts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privileges {
    /// They can: `sudo` works.
    #[default]
    Allowed,
    /// They cannot.
    Denied,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemCalls {
    /// Those of Docker's default profile.
    #[default]
    Filtered,
    /// All.
    Unconfined,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// The host's.
    #[default]
    Host,
    /// Loopback only.
    None,
    /// One of its own, on private networks.
    Private,
    /// One of its own where that can be had, else the host's.
    Default,
    /// That of another container, by its name or id.
    Container(String),
}

/// What becomes of the ports that a container exposes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposed {
    /// They can be reached from its networks only.
    #[default]
    Kept,
    /// Each is published on a free port of the host.
    Published,
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

    /// What root may do in the container.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let set = |names: &[String]| {
            let found = names.iter().filter_map(|name| Capabilities::by_name(name));
            found.fold(Capabilities::NONE, Capabilities::with)
        };
        if self.security == Security::Privileged {
            return Capabilities::ALL;
        }
        let (added, dropped) = (set(&self.cap_add), set(&self.cap_drop));
        match (added == Capabilities::ALL, dropped == Capabilities::ALL) {
            (true, _) => added.without(dropped),
            (false, true) => added,
            (false, false) => Capabilities::DEFAULT.without(dropped).with(added),
        }
    }

    /// Adds one `--security-opt`.
    pub fn add_security_option(&mut self, text: &str) -> Result<(), ContainerError> {
        match text.replace('=', ":").as_str() {
            "no-new-privileges" | "no-new-privileges:true" => {
                self.new_privileges = Privileges::Denied;
            }
            "no-new-privileges:false" => self.new_privileges = Privileges::Allowed,
            "seccomp:unconfined" => self.system_calls = SystemCalls::Unconfined,
            "seccomp:builtin" => self.system_calls = SystemCalls::Filtered,
            "label:disable" => {}
            "apparmor:unconfined" => self.apparmor = Some(UNCONFINED.to_owned()),
            other if other.starts_with("apparmor:") => self.apparmor = Some(profile(text)?),
            _ => {
                return Err(ContainerError::option(
                    "--security-opt",
                    text,
                    "no-new-privileges, seccomp=unconfined, apparmor=PROFILE and label=disable are supported",
                ));
            }
        }
        Ok(())
    }

    /// On the host's network, a container that is called nothing else is called as the host is, as with docker.
    pub(crate) fn name_host(&mut self) {
        if self.network == NetworkMode::Host && self.hostname.is_none() {
            let names = rustix::system::uname();
            self.hostname = Some(names.nodename().to_string_lossy().into_owned());
        }
    }

    /// Whether the values that have rules follow them.
    pub(crate) fn check(&self) -> Result<(), ContainerError> {
        if let Some(name) = &self.name {
            names::check(name)?;
        }
        if self.cleanup == Cleanup::Remove && self.restart != RestartPolicy::No {
            return Err(ContainerError::option(
                "--restart",
                "",
                "a container that is removed when it ends (--rm) cannot be started again",
            ));
        }
        self.limits.check()?;
        self.userns.check(self)?;
        health::verify(&self.health)?;
        for sysctl in &self.sysctls {
            sysctl.check(&self.network, &self.ipc)?;
        }
        for name in self.cap_add.iter().chain(&self.cap_drop) {
            if Capabilities::by_name(name).is_none() {
                let reason = "there is no such capability";
                return Err(ContainerError::option("--cap-add", name, reason));
            }
        }
        if let Some(server) = self.dns.iter().find(|text| text.parse::<IpAddr>().is_err()) {
            return Err(ContainerError::option(
                "--dns",
                server,
                "it is an IP address",
            ));
        }
        if let Some(signal) = &self.stop_signal {
            signal_number(signal)?;
        }
        if self.uts == Sharing::Host && self.hostname.is_some() {
            let reason = "conflicting options: hostname and the UTS mode";
            return Err(ContainerError::option("--uts", "host", reason));
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

/// The AppArmor profile that is none.
pub(crate) const UNCONFINED: &str = "unconfined";

/// The name in `apparmor=NAME`, where there is AppArmor.
fn profile(text: &str) -> Result<String, ContainerError> {
    let fail = |reason| ContainerError::option("--security-opt", text, reason);
    let name = text.get("apparmor=".len()..).unwrap_or_default();
    if name.is_empty()
        || name.contains(|letter: char| letter.is_whitespace() || letter.is_control())
    {
        return Err(fail("it is apparmor=PROFILE"));
    }
    if !Path::new("/proc/self/attr/apparmor").exists() {
        return Err(fail("this machine's kernel has no AppArmor"));
    }
    Ok(name.to_owned())
}

impl NetworkMode {
    /// Reads `--network`: `host`, `none`, `container:NAME`, or the name of a private network.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        match text.split_once(':') {
            None if text == "host" => Ok(Self::Host),
            None if text == "none" => Ok(Self::None),
            None if !text.is_empty() => Ok(Self::Private),
            Some(("container", name)) if !name.is_empty() => Ok(Self::Container(name.to_owned())),
            _ => Err(ContainerError::option(
                "--network",
                text,
                "it is host, none, container:NAME or the name of a network",
            )),
        }
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
