//! When a container's health is looked at, and what becomes of it.

use std::time::{Duration, Instant, SystemTime};

use super::Supervisor;
use super::life::{Frozen, Life};
use crate::exec::{ExecOptions, added};
use crate::health::{Check, Health, HealthStatus, Outcome, Probe, ProbeRecord};

/// How much longer than its timeout a probe may take to be gone.
const GRACE: Duration = Duration::from_secs(1);

/// The checks of one run of a container.
pub(super) struct Watch {
    check: Check,
    health: Health,
    began: Instant,
    /// When the next thing is to be done.
    due: Instant,
    frozen: Frozen,
    probe: Option<UnderWay>,
}

struct UnderWay {
    probe: Probe,
    start: SystemTime,
    age: Duration,
    /// It took too long, which was told; its thread is still not done.
    told: bool,
}

impl Watch {
    fn new(check: Check) -> Self {
        let began = Instant::now();
        let mut watch = Self {
            check,
            health: Health::new(),
            began,
            due: began,
            frozen: Frozen::No,
            probe: None,
        };
        watch.due = began + watch.interval();
        watch
    }

    fn interval(&self) -> Duration {
        let starting = self.health.status == HealthStatus::Starting
            && self.began.elapsed() < self.check.start_period;
        if starting {
            self.check.start_interval
        } else {
            self.check.interval
        }
    }

    /// When there is something to do, if nothing happens before.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.frozen == Frozen::No).then_some(self.due)
    }

    /// A container that stands still is not checked.
    pub(super) fn hold(&mut self, frozen: Frozen) {
        self.frozen = frozen;
        self.due = Instant::now() + self.interval();
    }

    /// The probe whose end is waited for.
    pub(super) fn probe(&self) -> Option<&Probe> {
        self.probe.as_ref().map(|under_way| &under_way.probe)
    }

    fn take(&mut self, start: SystemTime, age: Duration, outcome: Outcome, end: SystemTime) {
        let record = ProbeRecord {
            start,
            end,
            exit_code: outcome.code,
            output: outcome.output,
        };
        self.health.take(record, age, &self.check);
        self.due = Instant::now() + self.interval();
    }
}

impl Supervisor {
    /// A run of the container begins.
    pub(super) fn watch_health(&mut self) {
        let check = Check::of(&self.config.options, &self.config.image);
        self.health = check.map(Watch::new);
        self.tell_health();
    }

    /// A run of the container has ended.
    pub(super) fn stop_watching(&mut self) {
        if let Some(watch) = &mut self.health {
            watch.health.status = HealthStatus::Unhealthy;
            self.tell_health();
        }
        self.health = None;
    }

    /// Begins the probe that is due, or gives up the one that takes too long.
    pub(super) fn look_after_health(&mut self) {
        let now = self.now();
        let Some(watch) = &mut self.health else {
            return;
        };
        if !matches!(self.life, Life::Running(_))
            || watch.due().is_none_or(|due| due > Instant::now())
        {
            return;
        }
        match &mut watch.probe {
            Some(under_way) => {
                under_way.told = true;
                let (start, age) = (under_way.start, under_way.age);
                watch.take(start, age, Outcome::overdue(watch.check.timeout), now);
                self.tell_health();
            }
            None => self.begin_probe(now),
        }
    }

    fn begin_probe(&mut self, now: SystemTime) {
        let Some(watch) = &mut self.health else {
            return;
        };
        let options = ExecOptions {
            args: watch.check.command.clone(),
            ..ExecOptions::default()
        };
        let timeout = watch.check.timeout;
        let age = watch.began.elapsed();
        let begun = added(&self.id, &self.config, &options).and_then(|process| {
            let directory = self.directory.clone();
            Probe::begin(directory, self.id.clone(), process, timeout)
                .map_err(crate::ContainerError::Supervise)
        });
        match begun {
            Ok(probe) => {
                watch.due = Instant::now() + timeout + GRACE;
                watch.probe = Some(UnderWay {
                    probe,
                    start: now,
                    age,
                    told: false,
                });
            }
            Err(error) => {
                watch.take(now, age, Outcome::failed(&error), now);
                self.tell_health();
            }
        }
    }

    /// The thread of a probe is done.
    pub(super) fn probe_ended(&mut self) {
        let now = self.now();
        let Some(watch) = &mut self.health else {
            return;
        };
        let Some(under_way) = watch.probe.take() else {
            return;
        };
        let outcome = under_way.probe.end();
        if !under_way.told {
            watch.take(under_way.start, under_way.age, outcome, now);
            self.tell_health();
        }
        // Back to little memory.
        rbuild_sandbox::release_program_text();
    }

    fn tell_health(&mut self) {
        if let Some(watch) = &self.health
            && let Err(error) = watch.health.write(&self.directory)
        {
            self.note("record its health", &error);
        }
    }
}
