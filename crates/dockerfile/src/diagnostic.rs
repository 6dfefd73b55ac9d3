//! What is wrong, or doubtful, in a Dockerfile: data; the edge draws it.

use crate::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The build goes on.
    Warning,
    /// The build does not start.
    Error,
}

/// One finding. Diagnostics are collected: a file with three mistakes yields three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name: a lint rule (`StageNameCasing`) or an error code (`unknown-instruction`).
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One lower-case sentence without a full stop: `unknown instruction: RUNN`.
    pub message: String,
    /// The guilty words.
    pub span: Span,
    /// What to do: `did you mean RUN?`.
    pub help: Option<String>,
    /// Text that would replace the guilty words and mend it.
    pub patch: Option<String>,
}

impl Diagnostic {
    /// An error without help.
    pub fn error(code: &'static str, message: impl Into<String>, span: Span) -> Self {
        let message = message.into();
        Self {
            code,
            severity: Severity::Error,
            message,
            span,
            help: None,
            patch: None,
        }
    }

    /// A warning without help.
    pub fn warning(code: &'static str, message: impl Into<String>, span: Span) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message, span)
        }
    }

    /// With a hint on what to do.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// With the text that would mend it.
    #[must_use]
    pub fn with_patch(self, patch: impl Into<String>) -> Self {
        Self {
            patch: Some(patch.into()),
            ..self
        }
    }
}
