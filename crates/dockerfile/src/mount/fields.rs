//! Options as they come, one after the other, and what they amount to in the end.

use super::{
    BindMount, CacheMount, MountAccess, MountError, MountOptions, MountRequirement, MountSharing,
    SecretMount, SshMount, TmpfsMount, size,
};
use crate::{ExpandError, suggest};

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
    "size",
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Bind,
        Self::Cache,
        Self::Tmpfs,
        Self::Secret,
        Self::Ssh,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// What the options said so far. Empty strings are as good as absent.
#[derive(Debug, Default)]
pub(super) struct Fields {
    kind: Kind,
    from: String,
    source: String,
    target: String,
    id: String,
    env: Option<String>,
    access: Option<MountAccess>,
    sharing: Option<MountSharing>,
    required: bool,
    size: u64,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Fields {
    /// Takes `key=value` or `key` in.
    pub(super) fn set(
        &mut self,
        field: &str,
        expand: &mut impl FnMut(&str) -> Result<String, ExpandError>,
    ) -> Result<(), MountError> {
        let Some((key, value)) = field.split_once('=') else {
            return self.set_bare(field);
        };
        let key = key.to_lowercase();
        let value = expand(value)?;
        self.set_value(&key, value, field)
    }

    fn set_bare(&mut self, field: &str) -> Result<(), MountError> {
        match field.to_lowercase().as_str() {
            "readonly" | "ro" => self.access = Some(MountAccess::ReadOnly),
            "readwrite" | "rw" => self.access = Some(MountAccess::ReadWrite),
            key @ "required" => {
                self.only_for(key, &[Kind::Secret, Kind::Ssh])?;
                self.required = true;
            }
            _ => return Err(MountError::MissingValue(field.to_owned())),
        }
        Ok(())
    }

    fn set_value(&mut self, key: &str, value: String, field: &str) -> Result<(), MountError> {
        match key {
            "type" => self.kind = kind(&value)?,
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "readonly" | "ro" => self.access = Some(access(boolean(key, value)?)),
            "readwrite" | "rw" => self.access = Some(access(!boolean(key, value)?)),
            "required" => {
                self.only_for(key, &[Kind::Secret, Kind::Ssh])?;
                self.required = boolean(key, value)?;
            }
            "size" => {
                self.only_for(key, &[Kind::Tmpfs])?;
                self.size = size::bytes(&value).ok_or_else(|| invalid(key, value))?;
            }
            "id" => self.id = value,
            "sharing" => self.sharing = Some(sharing(&value)?),
            "mode" => self.mode = Some(number(key, value, 8)?),
            "uid" => self.uid = Some(number(key, value, 10)?),
            "gid" => self.gid = Some(number(key, value, 10)?),
            // Other types than secrets have no use for it, and say nothing.
            "env" => self.env = Some(value),
            _ => {
                let suggestion = suggest(key, KEYS);
                return Err(MountError::UnknownKey {
                    key: key.to_owned(),
                    field: field.to_owned(),
                    suggestion,
                });
            }
        }
        Ok(())
    }

    /// Some options know their type only if it was said before them.
    fn only_for(&self, key: &str, kinds: &[Kind]) -> Result<(), MountError> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(MountError::KeyOfOtherType {
            key: key.to_owned(),
            kind: self.kind.name(),
        })
    }

    /// The mount, when all options are in.
    pub(super) fn finish(self) -> Result<MountOptions, MountError> {
        self.check()?;
        let requirement = if self.required {
            MountRequirement::Required
        } else {
            MountRequirement::Optional
        };
        let from = Some(self.from).filter(|from| !from.is_empty());
        let named_target = Some(self.target.clone()).filter(|target| !target.is_empty());
        Ok(match self.kind {
            Kind::Bind => MountOptions::Bind(BindMount {
                target: self.target,
                source: self.source,
                from,
                access: self.access.unwrap_or(MountAccess::ReadOnly),
            }),
            Kind::Cache => MountOptions::Cache(CacheMount {
                id: if self.id.is_empty() {
                    clean(&self.target)
                } else {
                    self.id
                },
                target: self.target,
                source: self.source,
                from,
                sharing: self.sharing.unwrap_or_default(),
                access: self.access.unwrap_or(MountAccess::ReadWrite),
                mode: self.mode,
                uid: self.uid,
                gid: self.gid,
            }),
            Kind::Tmpfs => MountOptions::Tmpfs(TmpfsMount {
                target: self.target,
                size: self.size,
                access: self.access.unwrap_or(MountAccess::ReadWrite),
            }),
            Kind::Secret => {
                let id = [self.source, self.id].into_iter().find(|id| !id.is_empty());
                let id = id.unwrap_or_else(|| base(&self.target));
                let default = || format!("/run/secrets/{}", base(&id));
                let target = if self.env.is_some() {
                    named_target
                } else {
                    Some(named_target.unwrap_or_else(default))
                };
                MountOptions::Secret(SecretMount {
                    target,
                    env: self.env,
                    requirement,
                    mode: self.mode.unwrap_or(0o400),
                    uid: self.uid.unwrap_or(0),
                    gid: self.gid.unwrap_or(0),
                    id,
                })
            }
            Kind::Ssh => MountOptions::Ssh(SshMount {
                id: if self.id.is_empty() {
                    "default".to_owned()
                } else {
                    self.id
                },
                target: named_target,
                requirement,
                mode: self.mode.unwrap_or(0o600),
                uid: self.uid.unwrap_or(0),
                gid: self.gid.unwrap_or(0),
            }),
        })
    }

    fn check(&self) -> Result<(), MountError> {
        let kind = self.kind.name();
        if matches!(self.kind, Kind::Bind | Kind::Tmpfs) {
            let owner = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
            if let Some((key, _)) = owner.into_iter().find(|(_, value)| value.is_some()) {
                return Err(MountError::NotAllowed { key, kind });
            }
        }
        if self.kind == Kind::Secret {
            self.check_secret()?;
        }
        if self.sharing.is_some() && self.kind != Kind::Cache {
            return Err(MountError::SharingWithoutCache(kind));
        }
        if self.kind == Kind::Ssh && !self.source.is_empty() {
            return Err(MountError::SshSource);
        }
        Ok(())
    }

    fn check_secret(&self) -> Result<(), MountError> {
        if !self.from.is_empty() {
            return Err(MountError::SecretFrom);
        }
        if self.sharing.is_some() {
            return Err(MountError::SecretSharing);
        }
        if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
            return Err(MountError::SecretWithoutName);
        }
        if !self.source.is_empty() && !self.id.is_empty() {
            return Err(MountError::SecretNamedTwice);
        }
        Ok(())
    }
}

fn kind(value: &str) -> Result<Kind, MountError> {
    let lower = value.to_lowercase();
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == lower)
        .ok_or_else(|| MountError::UnknownType {
            value: value.to_owned(),
            suggestion: suggest(value, Kind::ALL.map(Kind::name)),
        })
}

fn sharing(value: &str) -> Result<MountSharing, MountError> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(MountSharing::Shared),
        "private" => Ok(MountSharing::Private),
        "locked" => Ok(MountSharing::Locked),
        _ => Err(MountError::UnknownSharing {
            value: value.to_owned(),
            suggestion: suggest(value, ["shared", "private", "locked"]),
        }),
    }
}

const fn access(read_only: bool) -> MountAccess {
    if read_only {
        MountAccess::ReadOnly
    } else {
        MountAccess::ReadWrite
    }
}

/// A boolean as Go's `strconv` reads it.
fn boolean(key: &str, value: String) -> Result<bool, MountError> {
    match value.as_str() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(invalid(key, value)),
    }
}

fn number(key: &str, value: String, radix: u32) -> Result<u32, MountError> {
    // `from_str_radix` would take a sign.
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit());
    match u32::from_str_radix(&value, radix) {
        Ok(number) if is_plain => Ok(number),
        _ => Err(MountError::InvalidNumber {
            key: key.to_owned(),
            value,
        }),
    }
}

fn invalid(key: &str, value: String) -> MountError {
    MountError::InvalidValue {
        key: key.to_owned(),
        value,
    }
}

/// A path without `.`, `..`, empty parts and a slash at its end; `.` if nothing is left.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// The last part of a path.
fn base(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some(last) if !last.is_empty() => last.to_owned(),
        _ if path.is_empty() => ".".to_owned(),
        _ => "/".to_owned(),
    }
}
