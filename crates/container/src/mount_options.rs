//! What the user mounts: the values of `-v`, `--tmpfs`, `--mount` and `--device`.

use std::path::PathBuf;

use rbuild_sandbox::Programs;
use serde::{Deserialize, Serialize};

use crate::limits::parse_bytes;
use crate::options::RootAccess;
use crate::{ContainerError, names};

/// A directory or file of the host, or a volume, mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// On the host, absolute; `None` is a volume.
    pub source: Option<PathBuf>,
    /// The volume's name. An anonymous one gets it when the container is created.
    #[serde(default)]
    pub name: Option<String>,
    /// In the container, absolute.
    pub target: PathBuf,
    /// Whether it can be written.
    pub access: RootAccess,
    /// Who gave the name.
    #[serde(default, skip_serializing_if = "Naming::is_given")]
    pub naming: Naming,
}

/// Who gave a volume its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// The user.
    #[default]
    Given,
    /// Nobody: it is an anonymous volume.
    MadeUp,
}

impl Naming {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_given(&self) -> bool {
        *self == Self::Given
    }
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
    /// User and group that it belongs to.
    #[serde(default)]
    pub owner: (u32, u32),
    /// Whether programs on it can be started.
    #[serde(default)]
    pub programs: Programs,
}

/// A device of the host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
}

/// What `--mount` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountOption {
    /// A directory or file of the host, or a volume.
    Volume(Volume),
    /// A file system in memory.
    Tmpfs(Tmpfs),
}

impl Volume {
    /// Reads `-v`: `/host:/container[:ro|rw]`, `name:/container[:ro|rw]` or `/container`.
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
        let named = source.filter(|text| !text.starts_with('/'));
        if named.is_some_and(|name| names::check(name).is_err()) {
            return fail("what stands before the colon is an absolute path, or a volume's name");
        }
        let mut access = RootAccess::ReadWrite;
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "ro" => access = RootAccess::ReadOnly,
                // Labels, consistency and propagation: what we do anyway, or what only other systems have.
                "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "private"
                | "rprivate" => {}
                "nocopy" => {
                    return fail(
                        "a volume that is empty is filled from the image; nocopy is not supported",
                    );
                }
                "shared" | "rshared" | "slave" | "rslave" => {
                    return fail("mounts do not propagate into containers or out of them");
                }
                _ => return fail("of the flags after the second colon, ro and rw are supported"),
            }
        }
        Ok(Self {
            source: source.filter(|_| named.is_none()).map(PathBuf::from),
            name: named.map(str::to_owned),
            target: PathBuf::from(target),
            access,
            naming: Naming::Given,
        })
    }
}

impl Tmpfs {
    fn new(target: &str) -> Self {
        Self {
            target: PathBuf::from(target),
            bytes: None,
            mode: 0o1777,
            access: RootAccess::ReadWrite,
            owner: (0, 0),
            programs: Programs::Refused,
        }
    }

    /// Reads `--tmpfs`: `/path[:size=64m,mode=1777,uid=1000,gid=1000,exec,ro]`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| ContainerError::option("--tmpfs", text, reason);
        let (target, flags) = text.split_once(':').unwrap_or((text, ""));
        if !target.starts_with('/') || target == "/" {
            return Err(fail("the path in the container is absolute and not /"));
        }
        let id = |text: &str| text.parse().map_err(|_| fail("uid and gid are numbers"));
        let mut tmpfs = Self::new(target);
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
                Some(("uid", user)) => tmpfs.owner.0 = id(user)?,
                Some(("gid", group)) => tmpfs.owner.1 = id(group)?,
                None if flag == "ro" => tmpfs.access = RootAccess::ReadOnly,
                None if flag == "exec" => tmpfs.programs = Programs::Started,
                None if flag == "noexec" => tmpfs.programs = Programs::Refused,
                None if ["rw", "nosuid", "nodev"].contains(&flag) => {}
                _ => return Err(fail("size, mode, uid, gid, exec, ro and rw are supported")),
            }
        }
        Ok(tmpfs)
    }
}

impl Device {
    /// Reads `--device`: `/dev/x[:/dev/y[:rwm]]`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| Err(ContainerError::option("--device", text, reason));
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target) = match parts[..] {
            [source] | [source, "rwm" | "rw"] => (source, source),
            [source, target] if target.starts_with('/') => (source, target),
            [source, target, "rwm" | "rw"] => (source, target),
            _ => {
                return fail(
                    "it is /dev/HOST[:/dev/CONTAINER[:rwm]]; other rights cannot be given",
                );
            }
        };
        if !source.starts_with('/') || !target.starts_with('/') {
            return fail("a device is an absolute path");
        }
        Ok(Self {
            source: source.into(),
            target: target.into(),
        })
    }
}

impl MountOption {
    /// Reads `--mount`: `type=bind,source=/a,target=/b,readonly`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: String| ContainerError::option("--mount", text, reason);
        let (mut kind, mut source, mut target) = ("volume", None, None);
        let mut access = RootAccess::ReadWrite;
        let (mut bytes, mut mode) = (None, 0o1777);
        for field in text.split(',') {
            match field.split_once('=').unwrap_or((field, "true")) {
                ("type", value) => kind = value,
                ("source" | "src", value) => source = Some(value),
                ("target" | "destination" | "dst", value) => target = Some(value),
                ("readonly" | "ro", "true" | "1") => access = RootAccess::ReadOnly,
                ("readonly" | "ro", "false" | "0") => access = RootAccess::ReadWrite,
                // Ours are no other.
                ("bind-propagation", "private" | "rprivate")
                | ("consistency", "consistent" | "cached" | "delegated" | "default")
                | ("volume-driver", "local") => {}
                ("tmpfs-size", value) => {
                    let size = parse_bytes(value);
                    bytes = Some(size.ok_or_else(|| fail("tmpfs-size is a number".to_owned()))?);
                }
                ("tmpfs-mode", value) => {
                    mode = u32::from_str_radix(value, 8)
                        .map_err(|_| fail("tmpfs-mode is an octal number".to_owned()))?;
                }
                (name, _) => return Err(fail(format!("{name} is not supported"))),
            }
        }
        let target = target
            .filter(|path| path.starts_with('/') && *path != "/")
            .ok_or_else(|| fail("it needs target=/path".to_owned()))?;
        match (kind, source) {
            ("tmpfs", None) => Ok(Self::Tmpfs(Tmpfs {
                bytes,
                mode,
                access,
                ..Tmpfs::new(target)
            })),
            ("bind", Some(path)) if path.starts_with('/') => Ok(Self::Volume(Volume {
                source: Some(path.into()),
                name: None,
                target: target.into(),
                access,
                naming: Naming::Given,
            })),
            ("bind", _) => Err(fail("a bind mount needs source=/path".to_owned())),
            ("volume", name) => {
                if let Some(name) = name {
                    names::check(name)?;
                }
                Ok(Self::Volume(Volume {
                    source: None,
                    name: name.map(str::to_owned),
                    target: target.into(),
                    access,
                    naming: Naming::Given,
                }))
            }
            ("tmpfs", Some(_)) => Err(fail("a tmpfs has no source".to_owned())),
            (other, _) => Err(fail(format!(
                "there are bind, volume and tmpfs, and no {other}"
            ))),
        }
    }
}
