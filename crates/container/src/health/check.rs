//! What is run, how often, and what follows from it.

use std::time::Duration;

use rbuild_image::{Healthcheck, RuntimeConfig};

use crate::{ContainerError, Options};

/// Docker's values of what nobody says.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// Shorter times than this are a mistake of the unit.
const SHORTEST_NANOSECONDS: i64 = 1_000_000;

/// A check that is to be made again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) command: Vec<String>,
    /// Between the end of one probe and the next.
    pub(crate) interval: Duration,
    /// Of one probe.
    pub(crate) timeout: Duration,
    /// In which failures do not count.
    pub(crate) start_period: Duration,
    /// The interval in that period.
    pub(crate) start_interval: Duration,
    /// Failures in a row that make the container unhealthy.
    pub(crate) retries: u32,
}

/// The image's check with what the options say in its place; `None` if neither has one.
pub fn healthcheck(options: &Options, image: &RuntimeConfig) -> Option<Healthcheck> {
    let own = &options.health;
    let mut merged = image.healthcheck.clone().unwrap_or_default();
    if !own.test.is_empty() {
        merged.test.clone_from(&own.test);
    }
    for (value, asked) in [
        (&mut merged.interval, own.interval),
        (&mut merged.timeout, own.timeout),
        (&mut merged.start_period, own.start_period),
        (&mut merged.start_interval, own.start_interval),
        (&mut merged.retries, own.retries),
    ] {
        if asked != 0 {
            *value = asked;
        }
    }
    (merged != Healthcheck::default()).then_some(merged)
}

/// Whether the times and the number of `--health-*` can be meant.
pub(crate) fn verify(health: &Healthcheck) -> Result<(), ContainerError> {
    for (option, value) in [
        ("--health-interval", health.interval),
        ("--health-timeout", health.timeout),
        ("--health-start-period", health.start_period),
        ("--health-start-interval", health.start_interval),
    ] {
        if value != 0 && value < SHORTEST_NANOSECONDS {
            let reason = "it is at least 1ms";
            return Err(ContainerError::option(option, format!("{value}ns"), reason));
        }
    }
    if u32::try_from(health.retries).is_err() {
        return Err(ContainerError::option(
            "--health-retries",
            health.retries.to_string(),
            "it is a number that is not negative",
        ));
    }
    Ok(())
}

impl Check {
    /// The check of a container with these options; `None` if there is nothing to run.
    pub(crate) fn of(options: &Options, image: &RuntimeConfig) -> Option<Self> {
        let merged = healthcheck(options, image)?;
        let (form, rest) = merged.test.split_first()?;
        let command = match (form.as_str(), rest) {
            ("CMD", [_, ..]) => rest.to_vec(),
            ("CMD-SHELL", [line, ..]) => {
                let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
                let mut command = image.shell.clone().unwrap_or_else(default);
                command.push(line.clone());
                command
            }
            // NONE, and what no Dockerfile can say.
            _ => return None,
        };
        let or = |nanoseconds: i64, default: Duration| match u64::try_from(nanoseconds) {
            Ok(0) | Err(_) => default,
            Ok(nanoseconds) => Duration::from_nanos(nanoseconds),
        };
        Some(Self {
            command,
            interval: or(merged.interval, INTERVAL),
            timeout: or(merged.timeout, TIMEOUT),
            start_period: or(merged.start_period, Duration::ZERO),
            start_interval: or(merged.start_interval, START_INTERVAL),
            retries: match u32::try_from(merged.retries) {
                Ok(0) | Err(_) => RETRIES,
                Ok(retries) => retries,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(test: &[&str]) -> RuntimeConfig {
        RuntimeConfig {
            healthcheck: Some(Healthcheck {
                test: test.iter().map(|&word| word.to_owned()).collect(),
                interval: 5_000_000_000,
                ..Healthcheck::default()
            }),
            ..RuntimeConfig::default()
        }
    }

    #[test]
    fn what_the_user_says_goes_before_what_the_image_says() {
        let mut options = Options::default();
        options.health.retries = 7;
        let check = Check::of(&options, &image(&["CMD", "check", "-x"])).expect("a check");
        assert_eq!(check.command, ["check", "-x"]);
        assert_eq!((check.interval.as_secs(), check.retries), (5, 7));
        assert_eq!(
            (check.timeout, check.start_interval),
            (TIMEOUT, START_INTERVAL)
        );
        options.health.test = vec!["CMD-SHELL".into(), "test -e /up".into()];
        let check = Check::of(&options, &image(&["CMD", "check"])).expect("a check");
        assert_eq!(check.command, ["/bin/sh", "-c", "test -e /up"]);
        options.health.test = vec!["NONE".into()];
        assert_eq!(Check::of(&options, &image(&["CMD", "check"])), None);
    }

    #[test]
    fn without_a_command_there_is_no_check() {
        let options = Options::default();
        assert_eq!(Check::of(&options, &RuntimeConfig::default()), None);
        for test in [&[][..], &["NONE"], &["CMD"], &["CMD-SHELL"]] {
            assert_eq!(Check::of(&options, &image(test)), None, "{test:?}");
        }
    }

    #[test]
    fn a_shell_command_goes_to_the_shell_of_the_image() {
        let mut image = image(&["CMD-SHELL", "up"]);
        image.shell = Some(vec!["/bin/bash".into(), "-ec".into()]);
        let check = Check::of(&Options::default(), &image).expect("a check");
        assert_eq!(check.command, ["/bin/bash", "-ec", "up"]);
    }

    #[test]
    fn times_without_a_unit_in_mind_are_refused() {
        let health = Healthcheck {
            timeout: 30,
            ..Healthcheck::default()
        };
        let error = verify(&health).expect_err("30 nanoseconds").to_string();
        assert!(error.contains("--health-timeout"), "{error}");
    }
}
