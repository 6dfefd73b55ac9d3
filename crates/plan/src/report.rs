//! Findings, collected while the plan is made.

use rbuild_dockerfile::{Diagnostic, Severity, Span};

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

    /// Lets `look` find things; they are part of the instruction at `span`.
    pub(crate) fn within<T>(&mut self, span: Span, look: impl FnOnce(&mut Self) -> T) -> T {
        let (errors, warnings) = (self.errors.len(), self.warnings.len());
        let found = look(self);
        let new = self.errors[errors..]
            .iter_mut()
            .chain(&mut self.warnings[warnings..]);
        for diagnostic in new {
            diagnostic.instruction.get_or_insert(span);
        }
        found
    }
}
