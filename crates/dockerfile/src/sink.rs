//! Where a parse leaves its findings.

use crate::{Diagnostic, Pass, Severity, Span};

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

    /// A mark behind what was found so far.
    pub(crate) fn mark(&self) -> usize {
        self.diagnostics.len()
    }

    /// What was found since `mark` is part of the instruction at `span`.
    pub(crate) fn within(&mut self, mark: usize, span: Span) {
        for diagnostic in &mut self.diagnostics[mark..] {
            diagnostic.instruction.get_or_insert(span);
            if diagnostic.pass == Pass::Plan {
                diagnostic.pass = Pass::Instructions;
            }
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
        self.drop_late_warnings();
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        self.diagnostics
    }

    /// Leaves out warnings that BuildKit does not come to: it ends at the first error of each pass.
    fn drop_late_warnings(&mut self) {
        let errors = || {
            let all = self.diagnostics.iter();
            all.filter(|one| one.severity == Severity::Error)
        };
        if errors().any(|error| error.pass == Pass::Lines) {
            self.diagnostics
                .retain(|one| one.severity == Severity::Error);
            return;
        }
        let Some(first) = errors().map(|error| error.span).min() else {
            return;
        };
        self.diagnostics.retain(|one| {
            one.severity == Severity::Error || one.pass == Pass::Lines || one.span < first
        });
    }
}
