//! `rbuild logs`: what a container wrote.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use rbuild_container::{LogLine, LogQuery, Stream, follow_log};

use super::moment::moment;
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
    /// With the details that --log-opt asked for, of which there are none here: only their column
    #[arg(long)]
    details: bool,
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
        let details = if args.details { " " } else { "" };
        let text = if args.timestamps {
            format!("{} {details}{}", line.time, line.text)
        } else {
            format!("{details}{}", line.text)
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

fn time(text: &str, now: SystemTime) -> anyhow::Result<SystemTime> {
    moment(text, now).with_context(|| {
        format!(
            "{text:?} is no time: give one such as 2026-11-21T10:00:00, or 10m for ten minutes ago"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_counted() {
        assert_eq!(tail("all").expect("all"), None);
        assert_eq!(tail("3").expect("three"), Some(3));
        assert!(tail("few").is_err());
    }
}
