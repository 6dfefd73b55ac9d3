//! What a container is doing: its row says what was last known, the kernel what is so.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rbuild_store::{Container, ContainerState, End};

/// The status of a container whose end nobody saw, as Docker has it.
const STATUS_UNKNOWN: i32 = 255;

/// What a container is doing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It was never started.
    Created,
    /// It runs.
    Running {
        /// Its first process.
        pid: u32,
        /// Since when.
        since: SystemTime,
    },
    /// It is frozen.
    Paused {
        /// Its first process.
        pid: u32,
        /// Since when it runs.
        since: SystemTime,
    },
    /// It has ended, and will be started again.
    Restarting(End),
    /// It has ended.
    Exited(End),
    /// It has ended, and nobody saw how: its supervisor was killed, or the machine stopped.
    Lost(End),
}

impl Condition {
    /// The condition of `container`.
    pub fn of(container: &Container) -> Self {
        match &container.state {
            ContainerState::Exited { end } => Self::Exited(end.clone()),
            ContainerState::Restarting {
                pid,
                start_ticks,
                boot,
                end,
            } if lives(*pid, *start_ticks, boot) => Self::Restarting(end.clone()),
            ContainerState::Restarting { end, .. } => Self::Lost(end.clone()),
            ContainerState::Running {
                pid,
                start_ticks,
                boot,
                since,
                ..
            } if lives(*pid, *start_ticks, boot) => Self::Running {
                pid: *pid,
                since: *since,
            },
            ContainerState::Paused {
                pid,
                start_ticks,
                boot,
                since,
                ..
            } if lives(*pid, *start_ticks, boot) => Self::Paused {
                pid: *pid,
                since: *since,
            },
            ContainerState::Running {
                since, restarts, ..
            }
            | ContainerState::Paused {
                since, restarts, ..
            } => Self::Lost(End {
                since: Some(*since),
                restarts: *restarts,
                ..End::new(STATUS_UNKNOWN, *since)
            }),
            // Created, or something that a newer program knows.
            _ => Self::Created,
        }
    }

    /// Docker's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Restarting(_) => "restarting",
            Self::Exited(_) | Self::Lost(_) => "exited",
        }
    }

    /// Its first process, where it has one.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Running { pid, .. } | Self::Paused { pid, .. } => Some(*pid),
            _ => None,
        }
    }

    /// Whether somebody still deals with it.
    pub fn is_active(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Paused { .. } | Self::Restarting(_)
        )
    }

    /// How it ended, where it has.
    pub fn end(&self) -> Option<&End> {
        match self {
            Self::Restarting(end) | Self::Exited(end) | Self::Lost(end) => Some(end),
            _ => None,
        }
    }
}

/// The first process of a container that runs or is frozen, if it lives.
pub fn live_process(container: &Container) -> Option<u32> {
    Condition::of(container).pid()
}

/// Whether the process `pid` of that boot is still the one that started then.
fn lives(pid: u32, started: u64, boot: &str) -> bool {
    (boot.is_empty() || boot == boot_id()) && start_ticks(pid) == Some(started)
}

/// The kernel's name for the time since this machine started.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// When a process started, in clock ticks since the machine did: field 22 of /proc/PID/stat (proc(5)), counted after the
/// command's name, which may hold anything. `None` if there is no such process, or it has only to be reaped.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    let path = Path::new("/proc").join(pid.to_string()).join("stat");
    let stat = fs::read_to_string(path).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(pid: u32, start_ticks: u64, boot: String) -> Container {
        Container {
            id: "ab".repeat(32),
            name: "one".into(),
            image: None,
            image_name: "busybox".into(),
            config: String::new(),
            layers: Vec::new(),
            state: ContainerState::Running {
                pid,
                start_ticks,
                boot,
                since: SystemTime::UNIX_EPOCH,
                restarts: 0,
            },
            created: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_container_runs_only_while_its_own_process_lives() {
        let pid = std::process::id();
        let ticks = start_ticks(pid).expect("we live");
        let word = |container: &Container| Condition::of(container).word();
        assert_eq!(word(&running(pid, ticks, boot_id())), "running");
        assert_eq!(word(&running(pid, ticks, String::new())), "running");
        let reused = running(pid, ticks + 1, boot_id());
        assert_eq!(word(&reused), "exited");
        assert_eq!(
            Condition::of(&reused).end().map(|end| end.code),
            Some(STATUS_UNKNOWN)
        );
        let rebooted = running(pid, ticks, "another boot".into());
        assert_eq!(word(&rebooted), "exited");
    }
}
