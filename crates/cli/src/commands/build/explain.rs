//! Failures and warnings in the words and the form that people know: where, what, what to do.

use std::fmt::Write as _;

use rbuild_dockerfile::{Diagnostic, Severity, Source, Span};
use rbuild_plan::{Plan, PlanError, Planned};
use rbuild_progress::{EventKind, Reporter, Summary};
use rbuild_solve::{SolveError, StepError};

use crate::failure::{Interrupted, WithExcerpt, chain};
use crate::render::{diagnostic_excerpt, excerpt, position};

/// The Dockerfile's mistakes.
pub(super) fn mistakes(source: &Source, errors: &[Diagnostic]) -> anyhow::Error {
    let mut drawn = String::new();
    for error in errors {
        drawn.push_str(&diagnostic_excerpt(source, error));
    }
    let mut message = String::from("failed to solve: ");
    for (number, error) in errors.iter().enumerate() {
        if number > 0 {
            message.push_str("\n       ");
        }
        message.push_str(&sentence(source, error));
    }
    WithExcerpt {
        excerpt: drawn,
        message,
    }
    .into()
}

/// What is wrong, in the words that people search for, then what to do and where.
fn sentence(source: &Source, diagnostic: &Diagnostic) -> String {
    let mut text = diagnostic.headline(source);
    if let (None, Some(help)) = (diagnostic.suggestion(), &diagnostic.help) {
        let _ = write!(text, " ({help})");
    }
    if diagnostic.span != Span::default() {
        let _ = write!(text, " at {}", position(source, diagnostic.span));
    }
    text
}

/// Why there is no plan.
pub(super) fn plan(error: PlanError, source: &Source) -> anyhow::Error {
    match error {
        PlanError::Mistakes { diagnostics } => {
            let errors: Vec<_> = diagnostics
                .into_iter()
                .filter(|one| one.severity == Severity::Error)
                .collect();
            mistakes(source, &errors)
        }
        PlanError::Resolve {
            reference,
            platform,
            span,
            suggestion,
            source: cause,
            ..
        } => {
            let mut message = format!(
                "failed to solve: {}: failed to resolve image {reference} for {platform}: {}",
                position(source, span),
                chain(&cause)
            );
            if let Some(suggestion) = suggestion {
                let _ = write!(message, " (did you mean {suggestion}?)");
            }
            WithExcerpt {
                excerpt: excerpt(source, span),
                message,
            }
            .into()
        }
        other => other.into(),
    }
}

/// Why a step failed, with its place in the Dockerfile.
pub(super) fn step(error: SolveError, plan: &Plan, source: &Source) -> anyhow::Error {
    let SolveError::Step { vertex, error } = error else {
        return Interrupted.into();
    };
    let origin: Option<Span> = plan.vertex(vertex).origin;
    let mut message = format!("failed to solve: {}", chain(&*error));
    if let StepError::NotFound {
        hint: Some(hint), ..
    } = &*error
    {
        let _ = write!(message, " ({hint})");
    }
    match origin {
        Some(span) => WithExcerpt {
            excerpt: excerpt(source, span),
            message,
        }
        .into(),
        None => anyhow::anyhow!(message),
    }
}

/// Puts the failed step's last lines in front of the excerpt, as BuildKit does.
pub(super) fn with_last_words(error: anyhow::Error, summary: &Summary) -> anyhow::Error {
    let Some(failed) = &summary.failed else {
        return error;
    };
    match error.downcast::<WithExcerpt>() {
        Ok(known) if !failed.last_lines.is_empty() => WithExcerpt {
            excerpt: format!("{failed}\n{}", known.excerpt),
            ..known
        }
        .into(),
        Ok(known) => known.into(),
        Err(other) => other,
    }
}

/// Lints in a normal build: once, short.
pub(super) fn announce_warnings(reporter: &Reporter, source: &Source, planned: &Planned) {
    for warning in &planned.warnings {
        let message = format!(
            "{}: {} ({})",
            warning.code,
            warning.message,
            position(source, warning.span)
        );
        reporter.send(EventKind::Warning { message });
    }
    for unused in &planned.unused_build_args {
        let name = &unused.name;
        let mut message = format!("--build-arg {name}: no ARG of the Dockerfile declares it");
        if let Some(meant) = &unused.suggestion {
            let _ = write!(message, " (did you mean {meant}?)");
        }
        reporter.send(EventKind::Warning { message });
    }
}

/// `--check`: every warning with its place.
pub(super) fn warnings_report(source: &Source, warnings: &[Diagnostic]) -> String {
    if warnings.is_empty() {
        return "Check complete, no warnings found.\n".to_owned();
    }
    let plural = if warnings.len() == 1 {
        "warning has"
    } else {
        "warnings have"
    };
    let mut text = format!("Check complete, {} {plural} been found!\n", warnings.len());
    for warning in warnings {
        let _ = write!(
            text,
            "\nWARNING: {}\n{}\n\n{}",
            warning.code,
            warning.message,
            diagnostic_excerpt(source, warning)
        );
    }
    text
}
