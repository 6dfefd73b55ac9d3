//! What is wrong, or doubtful, in a Dockerfile: data; the edge draws it.

use crate::{Source, Span};

/// Which look at the file made a finding: each begins when the one before it found no error in BuildKit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// Lines are joined and cut into words.
    Lines,
    /// Each instruction's words are read.
    Instructions,
    /// The instructions are put together, with what is around them.
    Plan,
}

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
    /// One sentence without a full stop, in the words (and the case) of BuildKit where it has some: people search for them.
    pub message: String,
    /// The guilty words.
    pub span: Span,
    /// The whole instruction that they are part of, if they are: what tools are told instead of the words.
    pub instruction: Option<Span>,
    /// Which look at the file made it.
    pub pass: Pass,
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
            instruction: None,
            pass: Pass::Plan,
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

    /// As a finding within `instruction`, unless that is known.
    #[must_use]
    pub fn within(self, instruction: Span) -> Self {
        Self {
            instruction: self.instruction.or(Some(instruction)),
            ..self
        }
    }

    /// As one that shows when lines are read.
    #[must_use]
    pub(crate) fn in_lines(self) -> Self {
        Self {
            pass: Pass::Lines,
            ..self
        }
    }

    /// The lines to tell tools of, first and last, from 1: those of the instruction, else those of the words.
    pub fn lines(&self, source: &Source) -> (u32, u32) {
        source.lines(self.instruction.unwrap_or(self.span))
    }

    /// The message as users of BuildKit know it, and search for: with the line where an instruction makes no sense,
    /// and with what was probably meant.
    ///
    /// ```
    /// use rbuild_dockerfile::{Source, parse};
    ///
    /// let source = Source::new("Dockerfile", "FROM alpine\nRUNN make\n");
    /// let mistake = &parse(&source).diagnostics[0];
    /// assert_eq!(
    ///     mistake.headline(&source),
    ///     "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)"
    /// );
    /// ```
    pub fn headline(&self, source: &Source) -> String {
        let message = match self.suggestion() {
            Some(meant) => format!("{} ({meant})", self.message),
            None => self.message.clone(),
        };
        if self.pass == Pass::Instructions && self.severity == Severity::Error {
            let (line, _) = self.lines(source);
            return format!("dockerfile parse error on line {line}: {message}");
        }
        message
    }

    /// The help, if all it says is what was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        let help = self.help.as_deref()?;
        help.starts_with("did you mean ").then_some(help)
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
