//! Findings, collected while the plan is made.

use rbuild_dockerfile::{Diagnostic, Severity};

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Report {
    /// Notes `finding`.
    pub(crate) fn push(&mut self, finding: Diagnostic) {
        match finding.severity {
            Severity::Error => self.errors.push(finding),
            Severity::Warning => self.warnings.push(finding),
        }
    }
}
