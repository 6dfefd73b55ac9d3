//! A container's control groups: its limits, what it uses, and how it is frozen.
//!
//! ```text
//! v2   /sys/fs/cgroup/rbuild/<id>                   one group for all
//! v1   /sys/fs/cgroup/memory/rbuild/<id>            one for each controller that is mounted
//! ```
//!
//! Who may not write there, as a normal user, asks the user's systemd for a group of its own (see `scope`), or has the same
//! below a group that was delegated otherwise. Where none can be made containers go without; a limit that cannot be applied
//! is an error.

mod devices;
mod find;
mod record;
pub(crate) mod scope;
mod settings;
mod usage;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use self::find::{Group, find};
use self::settings::Setting;
use crate::ContainerError;
use crate::limits::Limits;

pub use self::usage::{Traffic, Usage};

/// How often, and how far apart, a group is asked to go whose last process has just ended.
const REMOVALS: u32 = 50;
const REMOVAL_PAUSE: Duration = Duration::from_millis(2);

/// The groups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroup {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// None could be made.
    Absent,
    Unified(PathBuf),
    /// By controller.
    Separate(Vec<(String, PathBuf)>),
}

impl Cgroup {
    /// The groups that the container `id` is to have, from where this process is.
    pub(crate) fn of(id: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self {
            kind: find(&mounts, &ours, id, &Group::look),
        }
    }

    /// Makes the groups, with these limits.
    pub(crate) fn create(&mut self, limits: &Limits) -> Result<(), ContainerError> {
        let made = match &self.kind {
            Kind::Absent => Err(io::ErrorKind::NotFound.into()),
            Kind::Unified(directory) => create_unified(directory),
            Kind::Separate(groups) => groups
                .iter()
                .try_for_each(|(_, directory)| create_separate(directory)),
        };
        if let Err(source) = made {
            self.remove();
            self.kind = Kind::Absent;
            return match limits.first() {
                None => Ok(()),
                Some(option) => Err(ContainerError::Limit {
                    option,
                    reason: format!(
                        "this user cannot make control groups here ({source}); as root, with a systemd of its own (loginctl enable-linger), or in a group that was delegated, it can"
                    ),
                }),
            };
        }
        self.limit(limits)
    }

    /// Sets these limits.
    pub(crate) fn limit(&self, limits: &Limits) -> Result<(), ContainerError> {
        let settings = self.settings(limits)?;
        // Memory alone never has more than with swap: whether it grows or shrinks decides which of them goes first.
        let second: Vec<&Setting> = settings
            .iter()
            .filter(|one| self.set(one).is_err())
            .collect();
        second.into_iter().try_for_each(|one| self.set(one))
    }

    fn set(&self, setting: &Setting) -> Result<(), ContainerError> {
        let fail = |reason| ContainerError::Limit {
            option: setting.option,
            reason,
        };
        if self.kind == Kind::Absent {
            return Err(fail("this container has no control groups".to_owned()));
        }
        let path = self.file(setting.controller, setting.file).ok_or_else(|| {
            fail(format!(
                "this machine has no controller {}",
                setting.controller
            ))
        })?;
        if !path.exists() {
            return Err(fail(self.lacks(setting.controller)));
        }
        fs::write(&path, &setting.value)
            .map_err(|error| fail(format!("{} refuses it: {error}", path.display())))
    }

    /// Why there are no files of a controller.
    fn lacks(&self, controller: &str) -> String {
        let Kind::Unified(directory) = &self.kind else {
            return format!("this kernel's controller {controller} cannot do it");
        };
        let offered = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
        if offered.split_whitespace().any(|one| one == controller) {
            return format!("this kernel's controller {controller} cannot do it");
        }
        format!(
            "the controller {controller} is not offered to {} ({})",
            directory.display(),
            "for users of systemd, root offers it: systemctl edit user@.service, with the lines [Service] and \
             Delegate=cpu cpuset io memory pids"
        )
    }

    /// Directories that a process has to join.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        match &self.kind {
            Kind::Absent => Vec::new(),
            Kind::Unified(directory) => vec![directory.clone()],
            Kind::Separate(groups) => groups.iter().map(|(_, path)| path.clone()).collect(),
        }
    }

    /// Removes the groups, and ends what still runs in them: processes of a container that has no PID namespace of its own.
    /// Groups that are not there are fine. What stays behind is empty, and used by the next start.
    pub(crate) fn remove(&self) {
        self.kill();
        for directory in self.directories() {
            for _ in 0..REMOVALS {
                match fs::remove_dir(&directory) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(REMOVAL_PAUSE);
                    }
                    _ => break,
                }
            }
        }
    }

    /// Kills all processes, until there are none: while they are looked at, they may make others.
    pub(crate) fn kill(&self) {
        let directories = self.directories();
        let Some(directory) = directories.first() else {
            return;
        };
        for _ in 0..REMOVALS {
            let processes = members(directory);
            if processes.is_empty() {
                return;
            }
            for pid in processes {
                kill_member(directory, pid);
            }
            // What is frozen dies when it thaws.
            let _ = self.thaw();
            std::thread::sleep(REMOVAL_PAUSE);
        }
    }

    /// The numbers of its processes; `None` without groups.
    pub(crate) fn processes(&self) -> Option<Vec<u32>> {
        self.directories().first().map(|group| members(group))
    }

    /// Stops all processes where they are.
    pub(crate) fn freeze(&self) -> Result<(), ContainerError> {
        self.write_freezer("FROZEN", "1")
    }

    /// Lets them go on.
    pub(crate) fn thaw(&self) -> Result<(), ContainerError> {
        self.write_freezer("THAWED", "0")
    }

    fn write_freezer(&self, separate: &str, unified: &str) -> Result<(), ContainerError> {
        let (file, value) = match self.kind {
            Kind::Unified(_) => ("cgroup.freeze", unified),
            _ => ("freezer.state", separate),
        };
        let path = self
            .file("freezer", file)
            .ok_or(ContainerError::NoFreezer)?;
        fs::write(path, value).map_err(ContainerError::Freeze)
    }

    /// How many processes the kernel has killed here for want of memory.
    pub(crate) fn out_of_memory_kills(&self) -> u64 {
        let file = match self.kind {
            Kind::Unified(_) => "memory.events",
            _ => "memory.oom_control",
        };
        self.keyed("memory", file, "oom_kill").unwrap_or_default()
    }

    /// The file of a controller; `None` where there is no such controller.
    fn file(&self, controller: &str, file: &str) -> Option<PathBuf> {
        match &self.kind {
            Kind::Absent => None,
            Kind::Unified(directory) => Some(directory.join(file)),
            Kind::Separate(groups) => {
                let group = groups.iter().find(|(name, _)| name == controller)?;
                Some(group.1.join(file))
            }
        }
    }

    fn number(&self, controller: &str, file: &str) -> Option<u64> {
        let text = fs::read_to_string(self.file(controller, file)?).ok()?;
        text.trim().parse().ok()
    }

    /// The value of `key` in a file of lines `key value`.
    fn keyed(&self, controller: &str, file: &str, key: &str) -> Option<u64> {
        let text = fs::read_to_string(self.file(controller, file)?).ok()?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
    }
}

fn members(directory: &Path) -> Vec<u32> {
    let list = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let numbers = list.lines().filter_map(|line| line.parse().ok());
    // Those of a namespace that we do not see are 0.
    numbers.filter(|pid| *pid != 0).collect()
}

/// By descriptor: the number may be another process's by now, which then is no member.
fn kill_member(directory: &Path, pid: u32) {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(process) = number.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return;
    };
    if members(directory).contains(&pid) {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn create_unified(directory: &Path) -> io::Result<()> {
    let parent = directory.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(parent)?;
    // As many as there are: a limit whose controller is missing fails when it is set.
    let above = parent.parent().ok_or(io::ErrorKind::NotFound)?;
    for level in [above, parent] {
        for controller in ["memory", "cpu", "cpuset", "pids", "io"] {
            let _ = fs::write(
                level.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
    }
    create_one(directory)
}

fn create_separate(directory: &Path) -> io::Result<()> {
    let parent = directory.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(parent)?;
    inherit_cpuset(parent)?;
    create_one(directory)?;
    inherit_cpuset(directory)
}

fn create_one(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// A group of v1's cpuset takes no process before it has processors and memory.
fn inherit_cpuset(directory: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let path = directory.join(file);
        let Ok(own) = fs::read_to_string(&path) else {
            continue;
        };
        if own.trim().is_empty() {
            let parent = directory.parent().ok_or(io::ErrorKind::NotFound)?;
            fs::write(&path, fs::read_to_string(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
