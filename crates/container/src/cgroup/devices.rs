//! Which devices of the host a container can open.
//!
//! Everything that it sees is mounted so that device nodes in it are dead, but for the few that are bound one by one. A
//! process with CAP_SYS_ADMIN mounts what it likes, and could make a node there that is not: the control group keeps the
//! container from all devices but these few, and those that it was given.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;

use rbuild_sandbox::{Capabilities, KernelPaths, Source, Spec, Users};
use rbuild_sys::{DeviceKind, DeviceRule, is_initial_user_namespace, restrict_devices};
use rustix::fs::{FileType, major, minor, stat};

use super::{Cgroup, Kind};
use crate::ContainerError;

/// What every container has: null, zero, full, random and urandom; the terminal of a process, that which makes terminals, and
/// those that it made.
const HARMLESS: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];
/// What makes mounts.
const MOUNTS: &str = "SYS_ADMIN";
/// Nodes may be made, of all devices.
const NODES: [&str; 2] = ["c *:* m", "b *:* m"];

impl Cgroup {
    /// Keeps the container of `spec` from devices that are not its own, where nothing else does.
    pub(crate) fn guard_devices(&self, spec: &Spec) -> Result<(), ContainerError> {
        let mounts = Capabilities::by_name(MOUNTS)
            .is_some_and(|mounts| spec.process.capabilities.contains(mounts));
        // In a user namespace no node can be opened that was made there.
        let is_fenced = spec.users != Users::Caller || !is_initial_user_namespace();
        if is_fenced || spec.kernel_paths == KernelPaths::Open {
            return Ok(());
        }
        match self.restrict(&allowed(spec)) {
            Err(error) if mounts => Err(ContainerError::Devices(error)),
            // Else it is for what `exec --privileged` adds: where it cannot be had, that is not kept from devices.
            _ => Ok(()),
        }
    }

    fn restrict(&self, allowed: &[DeviceRule]) -> io::Result<()> {
        let none = || io::Error::other("this machine has no control groups for devices");
        match &self.kind {
            Kind::Absent => Err(none()),
            Kind::Unified(directory) => {
                restrict_devices(File::open(directory)?.as_fd(), allowed).map_err(io::Error::other)
            }
            Kind::Separate(_) => {
                let file = |name| self.file("devices", name).ok_or_else(none);
                fs::write(file("devices.deny")?, "a")?;
                let rules = allowed.iter().copied().map(line);
                for rule in NODES.map(str::to_owned).into_iter().chain(rules) {
                    fs::write(file("devices.allow")?, rule)?;
                }
                Ok(())
            }
        }
    }
}

/// A rule as version 1 reads it.
fn line(rule: DeviceRule) -> String {
    let kind = match rule.kind {
        DeviceKind::Block => 'b',
        DeviceKind::Character => 'c',
    };
    let minor = rule.minor.map_or("*".to_owned(), |minor| minor.to_string());
    format!("{kind} {}:{minor} rwm", rule.major)
}

/// The harmless ones, and those that are mounted by name.
fn allowed(spec: &Spec) -> Vec<DeviceRule> {
    let harmless = HARMLESS.map(|(major, minor)| DeviceRule {
        kind: DeviceKind::Character,
        major,
        minor,
    });
    let given = spec.mounts.iter().filter_map(|mount| {
        let Source::Path(path) = &mount.source else {
            return None;
        };
        let found = stat(path).ok()?;
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::BlockDevice => DeviceKind::Block,
            FileType::CharacterDevice => DeviceKind::Character,
            _ => return None,
        };
        Some(DeviceRule {
            kind,
            major: major(found.st_rdev),
            minor: Some(minor(found.st_rdev)),
        })
    });
    harmless.into_iter().chain(given).collect()
}

#[cfg(test)]
mod tests {
    use rbuild_sandbox::{Access, Mount, Root};

    use super::*;

    #[test]
    fn devices_that_are_mounted_by_name_are_among_those_that_can_be_opened() {
        let mut spec = Spec::new(Root::Directory("/".into()), "/scaffold", Vec::new());
        for path in ["/dev/full", "/dev", "/not/there"] {
            spec.mounts.push(Mount {
                target: path.into(),
                source: Source::Path(path.into()),
                access: Access::ReadWrite,
            });
        }
        let lines: Vec<String> = allowed(&spec).into_iter().map(line).collect();
        assert_eq!(lines.len(), HARMLESS.len() + 1);
        assert_eq!(lines[HARMLESS.len() - 1], "c 136:* rwm");
        assert_eq!(lines[HARMLESS.len()], "c 1:7 rwm");
    }
}
