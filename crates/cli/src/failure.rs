//! The last words of a command that failed, and its exit status.
//!
//! ```text
//! 0    all went well                 125  `rbuild run` itself failed
//! 1    the command failed            126  `rbuild run`: the command could not be started
//! 130  the user interrupted          127  `rbuild run`: there is no such command
//! ```

use std::fmt;
use std::process::ExitCode;

/// The exit status of an interrupted command: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// The user interrupted.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("canceled")
    }
}

impl std::error::Error for Interrupted {}

/// A failure with its place in the Dockerfile.
#[derive(Debug)]
pub(crate) struct WithExcerpt {
    /// What is shown above the message.
    pub(crate) excerpt: String,
    /// What happened.
    pub(crate) message: String,
}

impl fmt::Display for WithExcerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WithExcerpt {}

/// A failure with an exit status of its own.
#[derive(Debug)]
pub(crate) struct WithStatus {
    /// The exit status.
    pub(crate) status: u8,
    /// What happened.
    pub(crate) message: String,
}

impl fmt::Display for WithStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WithStatus {}

/// Writes `ERROR: …` and gives the exit status that fits.
#[allow(clippy::print_stderr)] // the one place that speaks when a command fails
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(known) = error.downcast_ref::<WithExcerpt>() {
        eprint!("{}", known.excerpt);
    }
    eprintln!("ERROR: {}", describe(error));
    if error.is::<Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    match error.downcast_ref::<WithStatus>() {
        Some(failure) => ExitCode::from(failure.status),
        None => ExitCode::FAILURE,
    }
}

/// The whole chain of causes in one line; a cause that its effect already repeats is left out.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
    }
    text
}

/// An error and its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_told_already_is_not_repeated() {
        let error = anyhow::anyhow!("no space left").context("failed to write: no space left");
        assert_eq!(describe(&error), "failed to write: no space left");
    }
}
