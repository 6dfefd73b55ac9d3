//! What the checks of a container came to, and the file that tells it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rbuild_store::{Container, Store};
use serde::{Deserialize, Serialize};

use super::Check;
use crate::directories::replace_file;
use crate::{Condition, ContainerError};

/// In the container's directory. A file of another version is as good as none: the next probe writes a new one.
const FILE: &str = "health.json";
const VERSION: u32 = 1;
/// Probes that are remembered, as Docker has it.
const RECORDS: usize = 5;

/// Whether a container does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It has not been found healthy yet, nor failed often enough.
    Starting,
    /// The last probe succeeded, or not enough have failed since.
    Healthy,
    /// Too many probes have failed in a row.
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Its status; -1 if it had none.
    pub exit_code: i32,
    /// What it wrote, its beginning if that is long.
    pub output: String,
}

/// What is known of a container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    version: u32,
    /// In a word.
    pub status: HealthStatus,
    /// Failures in a row that count.
    pub failing_streak: u32,
    /// The last five probes, the oldest first.
    pub log: Vec<ProbeRecord>,
}

impl Health {
    /// Of a container that has just been started.
    pub(crate) fn new() -> Self {
        Self {
            version: VERSION,
            status: HealthStatus::Starting,
            failing_streak: 0,
            log: Vec::new(),
        }
    }

    /// Takes in a probe that began `age` after the container.
    pub(crate) fn take(&mut self, record: ProbeRecord, age: Duration, check: &Check) {
        if record.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if self.status != HealthStatus::Starting || age >= check.start_period {
            self.failing_streak += 1;
            if self.failing_streak >= check.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.log.push(record);
        if self.log.len() > RECORDS {
            self.log.remove(0);
        }
    }

    /// Puts it in `directory`, whole or not at all.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        replace_file(directory, FILE, &serde_json::to_vec(self)?)
    }
}

/// What is known of the health of `container`; `None` if it is not checked.
///
/// # Errors
/// [`ContainerError::Health`] if the file that tells it cannot be read.
pub fn health(store: &Store, container: &Container) -> Result<Option<Health>, ContainerError> {
    let text = match fs::read(store.container_path(&container.id).join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ContainerError::Health(error)),
    };
    let health: Option<Health> = serde_json::from_slice(&text).ok();
    Ok(health
        .filter(|health| health.version == VERSION)
        .map(|health| health.after(&Condition::of(container))))
}

impl Health {
    /// What does not run is not healthy, as Docker has it; its supervisor may not have been able to say so.
    fn after(mut self, condition: &Condition) -> Self {
        if condition.pid().is_none() {
            self.status = HealthStatus::Unhealthy;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn check() -> Check {
        let mut options = Options::default();
        options.health.test = vec!["CMD".into(), "true".into()];
        options.health.start_period = 10_000_000_000;
        Check::of(&options, &rbuild_image::RuntimeConfig::default()).expect("a check")
    }

    fn record(exit_code: i32) -> ProbeRecord {
        ProbeRecord {
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
            exit_code,
            output: String::new(),
        }
    }

    fn after(probes: &[(u64, i32)]) -> Health {
        let mut health = Health::new();
        for (age, code) in probes {
            health.take(record(*code), Duration::from_secs(*age), &check());
        }
        health
    }

    #[test]
    fn three_failures_in_a_row_make_a_container_unhealthy_and_one_success_healthy_again() {
        let failed = after(&[(20, 1), (21, 1)]);
        assert_eq!(
            (failed.status, failed.failing_streak),
            (HealthStatus::Starting, 2)
        );
        assert_eq!(
            after(&[(20, 1), (21, 2), (22, -1)]).status,
            HealthStatus::Unhealthy
        );
        assert_eq!(
            after(&[(20, 0), (21, 1), (22, 1)]).status,
            HealthStatus::Healthy
        );
        let back = after(&[(20, 1), (21, 1), (22, 1), (23, 0)]);
        assert_eq!(
            (back.status, back.failing_streak),
            (HealthStatus::Healthy, 0)
        );
    }

    #[test]
    fn failures_of_a_container_that_starts_do_not_count_until_it_was_healthy_once() {
        let starting = after(&[(1, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(
            (starting.status, starting.failing_streak),
            (HealthStatus::Starting, 0)
        );
        let began = after(&[(1, 0), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(began.status, HealthStatus::Unhealthy);
    }

    #[test]
    fn the_last_five_probes_are_remembered() {
        let health = after(&[(20, 1), (21, 2), (22, 3), (23, 4), (24, 5), (25, 6)]);
        let codes: Vec<i32> = health.log.iter().map(|record| record.exit_code).collect();
        assert_eq!(codes, [2, 3, 4, 5, 6]);
    }

    #[test]
    fn the_stored_form_does_not_change_unnoticed() {
        let mut health = Health::new();
        health.take(record(1), Duration::from_secs(20), &check());
        let json = serde_json::to_string(&health).expect("plain JSON");
        insta::assert_snapshot!(json, @r#"{"version":1,"status":"starting","failing_streak":1,"log":[{"start":{"secs_since_epoch":0,"nanos_since_epoch":0},"end":{"secs_since_epoch":0,"nanos_since_epoch":0},"exit_code":1,"output":""}]}"#);
    }
}
