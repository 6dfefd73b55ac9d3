//! How much of the machine a container may use.

use serde::{Deserialize, Serialize};

use crate::ContainerError;

/// The least memory that a container can do with, as Docker has it.
const MEMORY_MIN_BYTES: u64 = 6 << 20;

/// Limits; none means that there is no limit but the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// `--memory`, in bytes.
    pub memory: Option<u64>,
    /// `--memory-swap`: memory and swap together; -1 for any amount of swap.
    pub memory_swap: Option<i64>,
    /// `--memory-reservation`.
    pub memory_reservation: Option<u64>,
    /// `--cpus`, a decimal number.
    pub cpus: Option<String>,
    /// `--cpu-period`, in microseconds.
    pub cpu_period: Option<u64>,
    /// `--cpu-quota`, in microseconds.
    pub cpu_quota: Option<u64>,
    /// `--cpu-shares`.
    pub cpu_shares: Option<u64>,
    /// `--cpuset-cpus`, as 0-3,5.
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`.
    pub cpuset_mems: Option<String>,
    /// `--pids-limit`; 0 and less for none.
    pub pids: Option<i64>,
}

impl Limits {
    /// Whether the values make sense.
    pub(crate) fn check(&self) -> Result<(), ContainerError> {
        if let Some(bytes) = self.memory.filter(|bytes| *bytes < MEMORY_MIN_BYTES) {
            return Err(ContainerError::option(
                "--memory",
                bytes.to_string(),
                "no container can do with less than 6m",
            ));
        }
        if let Some(text) = &self.cpus {
            check_cpus(text, processors())
                .map_err(|reason| ContainerError::option("--cpus", text, reason))?;
        }
        if self.cpus.is_some() && (self.cpu_period.is_some() || self.cpu_quota.is_some()) {
            return Err(ContainerError::option(
                "--cpus",
                "",
                "it says the same as --cpu-quota and --cpu-period: give one or the other",
            ));
        }
        Ok(())
    }

    /// These, with the `others` that are given in the place of some. A number of processors and a quota say the same: the
    /// new one counts.
    pub(crate) fn with(&self, others: &Self) -> Self {
        let mut all = self.clone();
        if others.cpus.is_some() {
            (all.cpu_period, all.cpu_quota) = (None, None);
        }
        if others.cpu_period.is_some() || others.cpu_quota.is_some() {
            all.cpus = None;
        }
        let Self {
            memory,
            memory_swap,
            memory_reservation,
            cpus,
            cpu_period,
            cpu_quota,
            cpu_shares,
            cpuset_cpus,
            cpuset_mems,
            pids,
        } = others.clone();
        Self {
            memory: memory.or(all.memory),
            memory_swap: memory_swap.or(all.memory_swap),
            memory_reservation: memory_reservation.or(all.memory_reservation),
            cpus: cpus.or(all.cpus),
            cpu_period: cpu_period.or(all.cpu_period),
            cpu_quota: cpu_quota.or(all.cpu_quota),
            cpu_shares: cpu_shares.or(all.cpu_shares),
            cpuset_cpus: cpuset_cpus.or(all.cpuset_cpus),
            cpuset_mems: cpuset_mems.or(all.cpuset_mems),
            pids: pids.or(all.pids),
        }
    }

    /// The first that is given, by its option.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let given = [
            ("--memory", self.memory.is_some()),
            ("--memory-swap", self.memory_swap.is_some()),
            ("--memory-reservation", self.memory_reservation.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--cpu-period", self.cpu_period.is_some()),
            ("--cpu-quota", self.cpu_quota.is_some()),
            ("--cpu-shares", self.cpu_shares.is_some()),
            ("--cpuset-cpus", self.cpuset_cpus.is_some()),
            ("--cpuset-mems", self.cpuset_mems.is_some()),
            ("--pids-limit", self.pids.is_some_and(|count| count > 0)),
        ];
        given
            .iter()
            .find_map(|(option, given)| given.then_some(*option))
    }

    /// Processor time in each period, in microseconds, if there is a limit to it, and the period.
    pub(crate) fn cpu_time(&self, usual_period: u64) -> Option<(Option<u64>, u64)> {
        if let Some(thousandths) = self.cpus.as_deref().and_then(parse_cpus) {
            return Some((Some(thousandths * usual_period / 1000), usual_period));
        }
        if self.cpu_quota.is_none() && self.cpu_period.is_none() {
            return None;
        }
        Some((self.cpu_quota, self.cpu_period.unwrap_or(usual_period)))
    }

    /// Reads `--memory-swap`.
    pub fn parse_swap(text: &str) -> Result<i64, ContainerError> {
        if text == "-1" {
            return Ok(-1);
        }
        let bytes = parse_bytes(text).and_then(|bytes| i64::try_from(bytes).ok());
        bytes.ok_or_else(|| {
            ContainerError::option("--memory-swap", text, "it is a size such as 512m, or -1")
        })
    }
}

/// Whether a machine with `processors` can give so many.
fn check_cpus(text: &str, processors: u64) -> Result<(), String> {
    match parse_cpus(text) {
        None => Err("it is a number of processors such as 1.5".to_owned()),
        Some(thousandths) if !(10..=processors * 1000).contains(&thousandths) => Err(format!(
            "range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        )),
        Some(_) => Ok(()),
    }
}

/// The processors that this process may use, which are docker's measure, too.
fn processors() -> u64 {
    rustix::thread::sched_getaffinity(None).map_or(u64::MAX / 1000, |all| all.count().into())
}

/// `1.5` in thousandths of a processor.
fn parse_cpus(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    let thousandths = whole.checked_mul(1000)? + digits.parse::<u64>().ok()?;
    (thousandths > 0).then_some(thousandths)
}

/// `64m`, `1g`, `4096`: bytes, in binary units.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match number.chars().last()? {
        'k' => (&number[..number.len() - 1], 10),
        'm' => (&number[..number.len() - 1], 20),
        'g' => (&number[..number.len() - 1], 30),
        _ => (number, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_processors_are_promised_than_there_are() {
        for text in ["2", "0.01", "1.999"] {
            assert_eq!(check_cpus(text, 2), Ok(()), "{text}");
        }
        for text in ["900", "2.001", "0.009"] {
            assert_eq!(
                check_cpus(text, 2),
                Err(
                    "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available".into()
                )
            );
        }
        assert!(processors() > 0);
    }

    #[test]
    fn parts_of_processors_are_read_exactly() {
        for (text, thousandths) in [("1.5", Some(1500)), (".25", Some(250)), ("2", Some(2000))] {
            assert_eq!(parse_cpus(text), thousandths);
        }
        assert_eq!(parse_cpus("x"), None);
        assert_eq!(parse_cpus("0"), None);
        assert_eq!(Limits::parse_swap("1g").expect("a size"), 1 << 30);
        assert!(Limits::parse_swap("much").is_err());
    }
}
