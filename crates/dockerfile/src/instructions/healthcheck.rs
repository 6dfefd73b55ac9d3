//! HEALTHCHECK: `NONE`, or `[--interval=…] CMD command`.

use super::{at_least_one, command};
use crate::flags::{Flags, Known, Takes};
use crate::keyword::Keyword;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Command, Diagnostic, Healthcheck, Word, parse_duration};

const FLAGS: Known = &[
    ("interval", Takes::Value),
    ("timeout", Takes::Value),
    ("start-period", Takes::Value),
    ("start-interval", Takes::Value),
    ("retries", Takes::Value),
];

/// Shortest duration that is not zero.
const MIN_NANOSECONDS: i64 = 1_000_000;

/// Parses HEALTHCHECK.
pub(super) fn parse(statement: &mut Statement<'_, '_>, sink: &mut Sink) -> Option<Healthcheck> {
    let text = statement.args_text();
    let kind_length = text.find(char::is_whitespace).unwrap_or(text.len());
    let kind = statement.args.start..statement.args.start + kind_length;
    let rest = text.len() - text[kind_length..].trim_start().len();
    match text[..kind_length].to_uppercase().as_str() {
        "" => {
            at_least_one(Keyword::Healthcheck, statement, sink);
            None
        }
        "NONE" if rest < text.len() => {
            statement.error(
                sink,
                "healthcheck-none",
                "HEALTHCHECK NONE takes no arguments",
            );
            None
        }
        "NONE" => Some(Healthcheck::None),
        "CMD" => {
            statement.args.start += rest;
            check(statement, sink)
        }
        unknown => {
            let message = format!(
                "Unknown type \"{}\" in HEALTHCHECK (try CMD)",
                unknown.escape_debug()
            );
            sink.push(Diagnostic::error(
                "healthcheck-type",
                message,
                statement.line.span(kind),
            ));
            None
        }
    }
}

fn check(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Healthcheck> {
    let mut flags = Flags::parse(statement, FLAGS, sink);
    let mut duration = |name: &'static str| {
        flags
            .value(name)
            .and_then(|word| nanoseconds(name, &word, sink))
    };
    let interval = duration("interval");
    let timeout = duration("timeout");
    let start_period = duration("start-period");
    let start_interval = duration("start-interval");
    let retries = flags.value("retries").and_then(|word| retries(&word, sink));
    let command = command::command(statement, sink)?;
    let is_empty = match &command {
        Command::Shell(word) => word.value.is_empty(),
        Command::Json(words) => words.is_empty(),
    };
    if is_empty {
        statement.error(
            sink,
            "missing-argument",
            "Missing command after HEALTHCHECK CMD",
        );
        return None;
    }
    Some(Healthcheck::Cmd {
        command,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    })
}

fn nanoseconds(name: &str, word: &Word, sink: &mut Sink) -> Option<i64> {
    match parse_duration(&word.value) {
        Ok(nanoseconds) if nanoseconds == 0 || nanoseconds >= MIN_NANOSECONDS => Some(nanoseconds),
        Ok(_) => {
            let message = format!("Interval \"{name}\" cannot be less than 1ms");
            sink.push(Diagnostic::error("invalid-duration", message, word.span));
            None
        }
        Err(error) => {
            let diagnostic = Diagnostic::error("invalid-duration", error.to_string(), word.span);
            sink.push(diagnostic.with_help("write a number with a unit: `30s`, `1m30s`, `500ms`"));
            None
        }
    }
}

fn retries(word: &Word, sink: &mut Sink) -> Option<i64> {
    match word.value.parse::<i32>() {
        Ok(retries) if retries >= 0 => Some(i64::from(retries)),
        Ok(retries) => {
            let message = format!("--retries cannot be negative ({retries})");
            sink.push(Diagnostic::error("invalid-retries", message, word.span));
            None
        }
        Err(_) => {
            let message = format!(
                "--retries is not a number: \"{}\"",
                word.value.escape_debug()
            );
            sink.push(Diagnostic::error("invalid-retries", message, word.span));
            None
        }
    }
}
