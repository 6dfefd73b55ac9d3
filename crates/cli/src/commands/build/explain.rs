//! Failures and warnings in the words and the form that people know: where, what, what to do.

use std::fmt::Write as _;
use std::time::SystemTime;

use rbuild_dockerfile::{Diagnostic, Severity, Source, Span};
use rbuild_export::ExportError;
use rbuild_plan::{Plan, PlanError, Planned};
use rbuild_progress::{EventKind, Reporter, Summary, WarningAbout, redacted};
use rbuild_registry::RegistryError;
use rbuild_solve::{Solution, SolveError, StepError, StepNetworks};
use rbuild_source::SourceError;
use serde_json::{Value, json};

use super::answers;
use super::places::{Places, instruction};
use super::request::{Request, Warnings};
use crate::commands::cache::explained;
use crate::failure::{Interrupted, WithExcerpt, chain};
use crate::render::{diagnostic_excerpt, excerpt, excerpt_of, position};

/// The Dockerfile's mistakes.
pub(super) fn mistakes(source: &Source, errors: &[Diagnostic]) -> anyhow::Error {
    let lines = source.line_index();
    let places = Places::new(source, &lines);
    let mut drawn = String::new();
    let located = errors.iter().filter(|error| error.span != Span::default());
    for error in located {
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
        findings: errors.iter().map(|error| places.finding(error)).collect(),
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

/// What there is to say of a file that cannot be planned: errors, and the warnings beside them.
pub(super) fn findings(error: PlanError) -> Vec<Diagnostic> {
    match error {
        PlanError::Mistakes { diagnostics } => diagnostics,
        PlanError::Resolve {
            reference,
            platform,
            span,
            suggestion,
            warnings,
            source,
        } => {
            let message = format!(
                "failed to resolve image {reference} for {platform}: {}",
                chain(&source)
            );
            let mistake = Diagnostic::error("unresolved-image", message, span);
            let mistake = match suggestion {
                Some(suggestion) => mistake.with_help(format!("did you mean {suggestion}?")),
                None => match source.source.downcast_ref().and_then(RegistryError::hint) {
                    Some(hint) => mistake.with_help(hint),
                    None => mistake,
                },
            };
            std::iter::once(mistake).chain(warnings).collect()
        }
        other => vec![Diagnostic::error("plan", chain(&other), Span::default())],
    }
}

/// The errors among findings, as the failure of a build.
pub(super) fn failure(source: &Source, findings: &[Diagnostic]) -> anyhow::Error {
    let errors: Vec<Diagnostic> = findings
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .cloned()
        .collect();
    mistakes(source, &errors)
}

/// Why a step failed, with its place in the Dockerfile.
pub(super) fn step(error: SolveError, plan: &Plan, source: &Source) -> anyhow::Error {
    let SolveError::Step { vertex, error } = error else {
        return Interrupted.into();
    };
    let origin: Option<Span> = plan.vertex(vertex).origin;
    let mut message = format!("failed to solve: {}", chain(&*error));
    if let Some(hint) = hint(&error) {
        let _ = write!(message, " ({hint})");
    }
    let Some(span) = origin else {
        return anyhow::anyhow!(message);
    };
    let lines = source.line_index();
    let mut finding = Places::new(source, &lines).finding(&Diagnostic::error(
        "step-failed",
        message.trim_start_matches("failed to solve: "),
        span,
    ));
    finding["step"] = json!(plan.vertex(vertex).name);
    WithExcerpt {
        excerpt: excerpt(source, span),
        message,
        findings: vec![finding],
    }
    .into()
}

/// Why an output was not written, and what to do about it.
pub(super) fn export(error: &ExportError) -> anyhow::Error {
    let mut message = chain(error);
    if !matches!(error, ExportError::Unsupported(_)) {
        message.insert_str(0, "failed to ");
    }
    if let ExportError::Registry(refused) = error
        && let Some(hint) = refused.hint()
    {
        let _ = write!(message, " ({hint})");
    }
    anyhow::anyhow!(message)
}

/// What to do about a failed step, where that can be told.
fn hint(error: &StepError) -> Option<String> {
    match error {
        StepError::NotFound { hint, .. } => hint.clone(),
        StepError::Registry(error) => error.hint(),
        StepError::Source(SourceError::Git { message, .. }) => {
            const REFUSALS: [(&str, &str); 3] = [
                (
                    "Permission denied (publickey",
                    "give a key or an agent that may read it with --ssh default=PATH",
                ),
                (
                    "could not read Username",
                    "give a token with --secret id=GIT_AUTH_TOKEN,env=NAME",
                ),
                (
                    "Authentication failed",
                    "give a token that may read it with --secret id=GIT_AUTH_TOKEN,env=NAME",
                ),
            ];
            let mut refusals = REFUSALS.iter();
            let found = refusals.find(|(said, _)| message.contains(said));
            found.map(|(_, advice)| (*advice).to_owned())
        }
        _ => None,
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

/// A failure for programs.
pub(super) fn failure_findings(error: &anyhow::Error) -> Vec<Value> {
    match error.downcast_ref::<WithExcerpt>() {
        Some(known) if !known.findings.is_empty() => known.findings.clone(),
        _ => vec![json!({
            "severity": "error",
            "code": "build-failed",
            "message": chain(error.as_ref()),
        })],
    }
}

/// `--explain`: why each step that ran was not cached.
pub(super) fn misses(plan: &Plan, solution: &Solution, now: SystemTime) -> String {
    if solution.misses.is_empty() {
        return "Every step was cached.\n".to_owned();
    }
    let mut text = String::new();
    for miss in &solution.misses {
        let _ = writeln!(text, "{}", plan.vertex(miss.vertex).name);
        text.push_str(&explained(&miss.explanation, now));
    }
    redacted(&text).into_owned()
}

/// `FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)`
pub(super) fn short(places: Places<'_>, warning: &Diagnostic) -> String {
    let line = warning.lines(places.source()).0;
    format!("{}: {} (line {line})", warning.code, warning.message)
}

/// Lints in a normal build: once, short; at length where that is asked for. Errors among `findings` are left out.
pub(super) fn announce_lints(
    reporter: &Reporter,
    request: &Request,
    places: Places<'_>,
    findings: &[Diagnostic],
) {
    let is_warning = |one: &&Diagnostic| one.severity == Severity::Warning;
    for warning in findings.iter().filter(is_warning) {
        let mut message = short(places, warning);
        if request.warnings == Warnings::Long {
            let url = answers::url(warning);
            if !url.is_empty() {
                let _ = write!(message, "\nMore info: {url}");
            }
            let lines = instruction(warning);
            let drawn = excerpt_of(places.source(), lines, warning);
            let _ = write!(message, "\n{}", drawn.trim_end());
        }
        let rule = rbuild_plan::lint_rule(warning.code);
        let about = Some(Box::new(WarningAbout {
            detail: rule.map_or("", |rule| rule.description).to_owned(),
            url: answers::url(warning),
            file: places.source().name.clone(),
            lines: warning.lines(places.source()),
        }));
        reporter.send(EventKind::Warning { message, about });
    }
}

/// `--debug`: why steps that were to have a network of their own are on the host's.
pub(super) fn announce_networks(reporter: &Reporter, request: &Request, networks: &StepNetworks) {
    let reason = networks.failure();
    if let (Warnings::Long, Some(reason)) = (request.warnings, reason) {
        let message = format!("RUN has the host's network: {reason}");
        reporter.send(EventKind::Warning {
            message,
            about: None,
        });
    }
}

/// All that there is to say of a file and a command line that are good enough to build.
pub(super) fn announce_warnings(
    reporter: &Reporter,
    request: &Request,
    places: Places<'_>,
    planned: &Planned,
) {
    announce_lints(reporter, request, places, &planned.warnings);
    let unused = planned.unused_build_args.iter();
    let unused = unused.map(|unused| {
        let name = &unused.name;
        let meant = unused.suggestion.as_ref();
        let meant = meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
        format!("--build-arg {name}: no ARG of the Dockerfile declares it{meant}")
    });
    for message in unused.chain(request.remarks.iter().cloned()) {
        let about = None;
        reporter.send(EventKind::Warning { message, about });
    }
}
