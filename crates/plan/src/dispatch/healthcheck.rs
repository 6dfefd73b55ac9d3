//! HEALTHCHECK.

use std::sync::Arc;

use rbuild_dockerfile::{Command, Healthcheck as Written};
use rbuild_image::Healthcheck;

use super::{Layer, Step};
use crate::go;

impl Step<'_, '_, '_> {
    pub(super) fn healthcheck(&mut self, written: &Written) {
        let earlier = self.state().latest.healthcheck;
        self.warn_repeated(earlier);
        self.state().latest.healthcheck = Some(self.origin);
        let check = from_written(written);
        self.commit(format!("HEALTHCHECK {}", printed(&check)), Layer::None);
        self.state().config.healthcheck = Some(Arc::new(check));
    }
}

fn from_written(written: &Written) -> Healthcheck {
    match written {
        Written::None => Healthcheck {
            test: vec!["NONE".to_owned()],
            ..Healthcheck::default()
        },
        Written::Cmd {
            command,
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
        } => Healthcheck {
            test: test(command),
            interval: interval.unwrap_or(0),
            timeout: timeout.unwrap_or(0),
            start_period: start_period.unwrap_or(0),
            start_interval: start_interval.unwrap_or(0),
            retries: retries.unwrap_or(0),
        },
    }
}

/// The runtime, not the builder, knows the shell of `CMD-SHELL`.
fn test(command: &Command) -> Vec<String> {
    match command {
        Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.value.clone()],
        Command::Json(words) => {
            let words = words.iter().map(|word| word.value.clone());
            std::iter::once("CMD".to_owned()).chain(words).collect()
        }
    }
}

/// As Go prints the struct.
fn printed(check: &Healthcheck) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        go::list(&check.test),
        go::duration(check.interval),
        go::duration(check.timeout),
        go::duration(check.start_period),
        go::duration(check.start_interval),
        check.retries,
    )
}
