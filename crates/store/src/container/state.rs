//! What was last said of what a container is doing.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What a container is doing. Written to the database as JSON: variants may be added, not renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum ContainerState {
    /// Never started.
    Created,
    /// Its first process runs, or did when this was written.
    Running {
        /// The process, as the host numbers it.
        pid: u32,
        /// When that process started, in clock ticks since the machine did (field 22 of `/proc/<pid>/stat`): a
        /// later process with the same number has another.
        start_ticks: u64,
        /// In which boot of the machine: after another no number means anything. Empty where nobody noted it.
        #[serde(default)]
        boot: String,
        /// When.
        since: SystemTime,
        /// How often its policy has started it again.
        #[serde(default)]
        restarts: u32,
    },
    /// As `Running`, but frozen.
    Paused {
        /// See `Running`.
        pid: u32,
        /// See `Running`.
        start_ticks: u64,
        /// See `Running`.
        #[serde(default)]
        boot: String,
        /// When it was started.
        since: SystemTime,
        /// See `Running`.
        #[serde(default)]
        restarts: u32,
    },
    /// Its first process ended, and its supervisor is about to start it again.
    Restarting {
        /// The supervisor, as the host numbers it.
        pid: u32,
        /// See `Running`.
        start_ticks: u64,
        /// See `Running`.
        boot: String,
        /// How it ended.
        end: End,
    },
    /// Its first process ended.
    Exited {
        /// How.
        #[serde(flatten)]
        end: End,
    },
}

/// How a container's first process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The exit status; 128 + the signal if one ended it.
    pub code: i32,
    /// When.
    pub at: SystemTime,
    /// When it had been started.
    #[serde(default)]
    pub since: Option<SystemTime>,
    /// Whether the kernel killed it, or a process beside it, for want of memory.
    #[serde(default)]
    pub out_of_memory: bool,
    /// How often its policy had started it again.
    #[serde(default)]
    pub restarts: u32,
    /// What the supervisor could not do for it, for a person to read.
    #[serde(default)]
    pub trouble: String,
}

impl End {
    /// An end of which nothing but the status is known.
    pub fn new(code: i32, at: SystemTime) -> Self {
        Self {
            code,
            at,
            since: None,
            out_of_memory: false,
            restarts: 0,
            trouble: String::new(),
        }
    }
}

impl ContainerState {
    /// Whether something ran when this was written.
    pub fn is_active(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Paused { .. } | Self::Restarting { .. }
        )
    }
}

/// A state as its row has it.
pub(super) fn to_json(state: &ContainerState) -> String {
    serde_json::to_string(state).expect("a state is plain JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_older_programs_wrote_are_read() {
        let time = r#"{"secs_since_epoch":7,"nanos_since_epoch":0}"#;
        let read = |text: String| serde_json::from_str::<ContainerState>(&text).expect("a state");
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(7);
        assert_eq!(
            read(format!(r#"{{"state":"exited","code":3,"at":{time}}}"#)),
            ContainerState::Exited {
                end: End::new(3, at)
            }
        );
        let running = read(format!(
            r#"{{"state":"running","pid":1,"start_ticks":2,"since":{time}}}"#
        ));
        assert!(running.is_active());
        let exited = ContainerState::Exited {
            end: End::new(3, at),
        };
        assert_eq!(
            to_json(&exited),
            format!(
                r#"{{"state":"exited","code":3,"at":{time},"since":null,"out_of_memory":false,"restarts":0,"trouble":""}}"#
            )
        );
    }
}
