//! FROM's words: what they expand to, and what there is to say of them.

use rbuild_dockerfile::{Diagnostic, Expanded, Severity, Span, Stage, Word};
use rbuild_image::{ImageError, Platform};

use crate::build::Build;
use crate::go::quote;
use crate::lint::rules;
use crate::report::Report;
use crate::{near, words};

/// `FROM --platform=`, expanded and understood, and the names that it expands.
pub(super) fn from_platform(
    written: &Word,
    stage: &Stage,
    build: &Build<'_>,
    report: &mut Report,
) -> Result<(Platform, Vec<String>), Diagnostic> {
    let expanded = words::expand(&written.value, build.escape, &build.globals.env)
        .map_err(|reason| words::mistake(&reason, &written.value, written.span))?;
    report_undeclared(build, &expanded.undefined, written.span, report);
    let fail = |message: String| {
        let mistake = Diagnostic::error("invalid-platform", message, written.span);
        undeclared_help(mistake, build, &expanded.undefined)
    };
    if expanded.text.is_empty() {
        let message = format!("empty platform value from expression {}", written.value);
        return Err(fail(message));
    }
    let platform: Platform = expanded.text.parse().map_err(|_| {
        let reason = platform_reason(&expanded.text);
        fail(format!(
            "failed to parse platform {}: {reason}: invalid argument",
            written.value
        ))
    })?;
    let platform = platform.normalized();
    lint_platform(written, &expanded, &platform, stage, build, report);
    Ok((platform, expanded.used))
}

/// Why `text` is no platform, in the words that people know.
fn platform_reason(text: &str) -> String {
    let is_component = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        !part.is_empty() && part.chars().all(allowed)
    };
    let parts: Vec<&str> = text.split('/').collect();
    match parts.iter().find(|part| !is_component(part)) {
        Some(part) => format!(
            "{} is an invalid component of {}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\"",
            quote(part),
            quote(text)
        ),
        None if parts.len() == 1 => {
            format!("{}: unknown operating system or architecture", quote(text))
        }
        None => format!("{}: cannot parse platform specifier", quote(text)),
    }
}

fn lint_platform(
    written: &Word,
    expanded: &Expanded,
    platform: &Platform,
    stage: &Stage,
    build: &Build<'_>,
    report: &mut Report,
) {
    const TARGET: &str = "TARGETPLATFORM";
    let used = &expanded.used;
    if *used == [TARGET]
        && expanded.undefined.is_empty()
        && build.globals.env.get(TARGET) == Some(&expanded.text)
    {
        report.push(rules::redundant_target_platform(
            &written.value,
            written.span,
        ));
    }
    let name = stage
        .from
        .name
        .as_ref()
        .map(|name| name.value.to_lowercase());
    let is_named_after = name
        .is_some_and(|name| name.contains(&platform.os) || name.contains(&platform.architecture));
    if used.is_empty() && expanded.undefined.is_empty() && !is_named_after {
        report.push(rules::constant_platform(&expanded.text, written.span));
    }
}

pub(super) fn report_undeclared(
    build: &Build<'_>,
    undefined: &[String],
    span: Span,
    report: &mut Report,
) {
    for name in undefined {
        if !build.globals.declared.contains(name) {
            let options = build.globals.declared.iter().map(String::as_str);
            let suggestion = near::nearest(name, options);
            report.push(rules::undefined_arg_in_from(name, suggestion, span));
        }
    }
}

pub(super) fn undeclared_help(
    mistake: Diagnostic,
    build: &Build<'_>,
    undefined: &[String],
) -> Diagnostic {
    debug_assert_eq!(mistake.severity, Severity::Error);
    let suggestion = undefined
        .iter()
        .find_map(|name| near::nearest(name, build.globals.env.names()));
    match suggestion {
        Some(name) => mistake.with_help(format!("did you mean {name}?")),
        None => mistake,
    }
}

/// What is no name of an image, in the words of those who wrote the grammar; ours are the help.
pub(super) fn invalid_reference(text: &str, reason: &ImageError, span: Span) -> Diagnostic {
    let name = text.split(['@', ':']).next().unwrap_or_default();
    let path = if name.contains('/') {
        name.to_owned()
    } else {
        format!("library/{name}")
    };
    let detail = if path.chars().any(|c| c.is_ascii_uppercase()) {
        format!(": repository name ({path}) must be lowercase")
    } else {
        String::new()
    };
    let message = format!(
        "failed to parse stage name {}: invalid reference format{detail}",
        quote(text)
    );
    let mistake = Diagnostic::error("invalid-reference", message, span);
    match reason {
        ImageError::Reference { reason, .. } => mistake.with_help(*reason),
        _ => mistake,
    }
}
