//! What can be said of a build when it has ended.

use std::fmt;
use std::time::Duration;

use crate::units;

/// What a build came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Vertices that ended, however they did.
    pub steps: usize,
    /// Vertices that ran to their end.
    pub completed: usize,
    /// Vertices that an earlier result served.
    pub cached: usize,
    /// Vertices that were interrupted.
    pub cancelled: usize,
    /// The first vertex that failed.
    pub failed: Option<FailedVertex>,
    /// From the first event's zero to the end.
    pub elapsed: Duration,
    /// Every warning, in order.
    pub warnings: Vec<String>,
}

/// `9 steps, 4 cached, 3.2s`
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.steps == 1 { "" } else { "s" };
        write!(f, "{} step{plural}, {} cached", self.steps, self.cached)?;
        if self.failed.is_some() {
            f.write_str(", 1 failed")?;
        }
        if self.cancelled > 0 {
            write!(f, ", {} cancelled", self.cancelled)?;
        }
        write!(f, ", {}", units::tenths(self.elapsed))
    }
}

/// A vertex that failed, with its last words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedVertex {
    /// `[2/2] RUN false`
    pub name: String,
    /// Why, as the worker told it.
    pub message: String,
    /// Its last lines of output, each with the time since the vertex began.
    pub last_lines: Vec<(Duration, String)>,
}

/// The block that is printed below a failed build's progress:
///
/// ```text
/// ------
///  > [2/2] RUN make:
/// 0.123 cc: fatal error: no input files
/// ------
/// ```
impl fmt::Display for FailedVertex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "------\n > {}:", self.name)?;
        for (at, line) in &self.last_lines {
            writeln!(f, "{} {line}", units::stamp(*at))?;
        }
        writeln!(f, "------")
    }
}
