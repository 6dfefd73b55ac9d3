//! Where a parse leaves its findings.

use crate::{Diagnostic, Severity};

/// After so many errors a parse ends: nobody reads more, and a hostile file could have one on each of its lines.
pub(crate) const MAX_ERRORS: usize = 200;

/// As many warnings are kept.
const MAX_WARNINGS: usize = 1000;

/// Diagnostics in the order of their finding.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Sink {
    /// Keeps `diagnostic`, unless there are too many of its kind.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let (count, limit) = match diagnostic.severity {
            Severity::Error => (&mut self.errors, MAX_ERRORS),
            Severity::Warning => (&mut self.warnings, MAX_WARNINGS),
        };
        *count += 1;
        if *count <= limit {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Keeps a finding, if there is one.
    pub(crate) fn extend(&mut self, found: Option<Diagnostic>) {
        if let Some(diagnostic) = found {
            self.push(diagnostic);
        }
    }

    /// Whether an error was found.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether it is time to give up.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= MAX_ERRORS
    }

    /// The findings, by their place in the file.
    pub(crate) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        self.diagnostics
    }
}
