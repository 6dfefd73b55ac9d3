//! `rbuild logs`: what a container wrote.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rbuild_container::{LogLine, LogQuery, Stream, follow_log};

use super::documents;
use super::several::{one, worded};
use crate::app::App;

// What was typed after `rbuild logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name, ID, or beginning of an ID
    container: String,
    /// Go on as long as it runs
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines at the end, or all
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all")]
    tail: String,
    /// Only what was written since: a time such as 2026-11-21T10:00:00, or 10m ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was written until then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// With the time of each line
    #[arg(short, long)]
    timestamps: bool,
}

/// Writes each line to the stream that the container wrote it to.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let now = app.environment.now();
    let moment = |text: &Option<String>| text.as_deref().map(|text| time(text, now)).transpose();
    let query = LogQuery {
        tail: tail(&args.tail)?,
        since: moment(&args.since)?,
        until: moment(&args.until)?,
        follow: args.follow,
    };
    let store = app.store()?;
    let container = one(store, &args.container)?;
    let (mut stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    let mut show = |line: LogLine| {
        let text = if args.timestamps {
            format!("{} {}", line.time, line.text)
        } else {
            line.text
        };
        match line.stream {
            Stream::Stdout => {
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }
            Stream::Stderr => stderr.write_all(text.as_bytes()),
        }
    };
    follow_log(store, &container, query, &mut show).map_err(worded)?;
    Ok(ExitCode::SUCCESS)
}

fn tail(text: &str) -> anyhow::Result<Option<usize>> {
    match text {
        "all" | "-1" => Ok(None),
        _ => {
            let count = text.parse();
            Ok(Some(count.with_context(|| {
                format!("--tail {text:?}: it is a number or all")
            })?))
        }
    }
}

/// A moment: RFC 3339 with or without a zone, seconds since 1970, or how long ago.
fn time(text: &str, now: SystemTime) -> anyhow::Result<SystemTime> {
    if let Some(moment) = documents::time(text).or_else(|| documents::time(&format!("{text}Z"))) {
        return Ok(moment);
    }
    if let Some(moment) = documents::time(&format!("{text}T00:00:00Z")) {
        return Ok(moment);
    }
    if let Ok(seconds) = text.parse::<f64>()
        && let Ok(since) = Duration::try_from_secs_f64(seconds)
    {
        return Ok(SystemTime::UNIX_EPOCH + since);
    }
    match super::filter::duration(text) {
        Some(ago) => Ok(now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)),
        None => {
            bail!(
                "{text:?} is no time: give one such as 2026-11-21T10:00:00, or 10m for ten minutes ago"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_given_as_docker_takes_them() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        let seconds = |text: &str| {
            let moment = time(text, now).expect("a time");
            let since = moment.duration_since(SystemTime::UNIX_EPOCH);
            since.expect("after 1970").as_secs_f64()
        };
        assert!((seconds("1970-01-01T00:01:00Z") - 60.0).abs() < 1e-9);
        assert!((seconds("1970-01-01T00:01:00") - 60.0).abs() < 1e-9);
        assert!((seconds("1970-01-02") - 86_400.0).abs() < 1e-9);
        assert!((seconds("1.5") - 1.5).abs() < 1e-9);
        assert!((seconds("1m") - 9_940.0).abs() < 1e-9);
        assert!(time("yesterday", now).is_err());
        assert_eq!(tail("all").expect("all"), None);
        assert_eq!(tail("3").expect("three"), Some(3));
    }
}
