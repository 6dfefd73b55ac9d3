//! The last words of a command that failed, and its exit status.
//!
//! ```text
//! 0    all went well                 125  `rbuild run` itself failed
//! 1    the command failed            126  `rbuild run`: the command could not be started
//! 130  the user interrupted          127  `rbuild run`: there is no such command
//! ```

use std::fmt;
use std::process::ExitCode;

use rbuild_progress::redacted;

/// The exit status of an interrupted command: 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error and its causes in words, without passwords.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    redacted(&rbuild_solve::with_causes(error)).into_owned()
}

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
    /// The same for programs, one object for each mistake.
    pub(crate) findings: Vec<serde_json::Value>,
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

/// The failures of several things that were done side by side, each on a line of its own as if it were the only one.
pub(crate) fn all_of(failures: &[String]) -> anyhow::Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{}", failures.join("\nERROR: "))
}

/// Writes `ERROR: …` and gives the exit status that fits.
#[expect(
    clippy::print_stderr,
    reason = "the one place that speaks when a command fails"
)]
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(known) = error.downcast_ref::<WithExcerpt>() {
        eprint!("{}", known.excerpt);
    }
    eprintln!("ERROR: {}", chain(error.as_ref()));
    if error.is::<Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    match error.downcast_ref::<WithStatus>() {
        Some(failure) => ExitCode::from(failure.status),
        None => ExitCode::FAILURE,
    }
}
