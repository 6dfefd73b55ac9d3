//! Limits as the kernel's files take them.

use super::{Cgroup, Kind};
use crate::ContainerError;
use crate::limits::Limits;

/// The length of a period of processor time, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// What is written where.
pub(super) struct Setting {
    /// The user's option.
    pub(super) option: &'static str,
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) value: String,
}

fn setting(
    option: &'static str,
    controller: &'static str,
    file: &'static str,
    value: &impl ToString,
) -> Setting {
    Setting {
        option,
        controller,
        file,
        value: value.to_string(),
    }
}

impl Cgroup {
    /// All that `limits` ask for.
    pub(super) fn settings(&self, limits: &Limits) -> Result<Vec<Setting>, ContainerError> {
        let unified = matches!(self.kind, Kind::Unified(_));
        let mut all = Vec::new();
        if let Some(bytes) = limits.memory {
            let file = if unified {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            };
            all.push(setting("--memory", "memory", file, &bytes));
            self.swap(&mut all, limits, bytes, unified)?;
        } else if limits.memory_swap.is_some() {
            return Err(ContainerError::Limit {
                option: "--memory-swap",
                reason: "it needs --memory beside it".to_owned(),
            });
        }
        if let Some(bytes) = limits.memory_reservation {
            let file = if unified {
                "memory.low"
            } else {
                "memory.soft_limit_in_bytes"
            };
            all.push(setting("--memory-reservation", "memory", file, &bytes));
        }
        if let Some((quota, period)) = limits.cpu_time(CPU_PERIOD) {
            if unified {
                let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
                all.push(setting(
                    "--cpus",
                    "cpu",
                    "cpu.max",
                    &format!("{quota} {period}"),
                ));
            } else {
                all.push(setting("--cpus", "cpu", "cpu.cfs_period_us", &period));
                if let Some(quota) = quota {
                    all.push(setting("--cpus", "cpu", "cpu.cfs_quota_us", &quota));
                }
            }
        }
        if let Some(shares) = limits.cpu_shares {
            if unified {
                // The kernel's own translation: 2 … 262144 to 1 … 10000.
                let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
                all.push(setting("--cpu-shares", "cpu", "cpu.weight", &weight));
            } else {
                all.push(setting("--cpu-shares", "cpu", "cpu.shares", &shares));
            }
        }
        if let Some(list) = &limits.cpuset_cpus {
            all.push(setting("--cpuset-cpus", "cpuset", "cpuset.cpus", &list));
        }
        if let Some(list) = &limits.cpuset_mems {
            all.push(setting("--cpuset-mems", "cpuset", "cpuset.mems", &list));
        }
        match limits.pids {
            Some(count) if count > 0 => {
                all.push(setting("--pids-limit", "pids", "pids.max", &count));
            }
            // A limit that is lifted; where there are no groups there is none to lift.
            Some(_) if self.kind != Kind::Absent => {
                all.push(setting("--pids-limit", "pids", "pids.max", &"max"));
            }
            _ => {}
        }
        Ok(all)
    }

    /// As much swap as memory, unless the user says how much of both together.
    fn swap(
        &self,
        all: &mut Vec<Setting>,
        limits: &Limits,
        memory: u64,
        unified: bool,
    ) -> Result<(), ContainerError> {
        let file = if unified {
            "memory.swap.max"
        } else {
            "memory.memsw.limit_in_bytes"
        };
        let there = self.file("memory", file).is_some_and(|path| path.exists());
        let both = match limits.memory_swap {
            None if !there => return Ok(()),
            None => Some(memory.saturating_mul(2)),
            Some(-1) => None,
            Some(bytes) => Some(bytes.cast_unsigned()),
        };
        if both.is_some_and(|both| both < memory) {
            return Err(ContainerError::Limit {
                option: "--memory-swap",
                reason: "it is memory and swap together, so not less than --memory".to_owned(),
            });
        }
        let value = match both {
            None if unified => "max".to_owned(),
            None => "-1".to_owned(),
            Some(both) if unified => (both - memory).to_string(),
            Some(both) => both.to_string(),
        };
        all.push(setting("--memory-swap", "memory", file, &value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_say_the_same_in_both_versions() {
        let limits = Limits {
            memory: Some(64 << 20),
            memory_swap: Some(128 << 20),
            cpus: Some("1.5".into()),
            pids: Some(10),
            ..Limits::default()
        };
        let written = |kind: Kind| {
            let settings = Cgroup { kind }.settings(&limits).expect("they make sense");
            let lines = settings.into_iter();
            lines
                .map(|one| format!("{}={}", one.file, one.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            written(Kind::Unified("/x".into())),
            [
                "memory.max=67108864",
                "memory.swap.max=67108864",
                "cpu.max=150000 100000",
                "pids.max=10"
            ]
        );
        assert_eq!(
            written(Kind::Separate(Vec::new())),
            [
                "memory.limit_in_bytes=67108864",
                "memory.memsw.limit_in_bytes=134217728",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=150000",
                "pids.max=10"
            ]
        );
    }
}
