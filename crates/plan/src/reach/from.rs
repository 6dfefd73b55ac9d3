//! FROM's words: what they expand to, and what there is to say of them.

use rbuild_dockerfile::{Diagnostic, Expanded, Severity, Span, Stage, Word};
use rbuild_image::Platform;

use crate::build::Build;
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
        .map_err(|reason| words::mistake(&reason, written.span))?;
    report_undeclared(build, &expanded.undefined, written.span, report);
    let fail = |message: String| {
        let mistake = Diagnostic::error("invalid-platform", message, written.span);
        undeclared_help(mistake, build, &expanded.undefined)
    };
    if expanded.text.is_empty() {
        let message = format!("empty platform value from expression {}", written.value);
        return Err(fail(message));
    }
    let platform: Platform = expanded.text.parse().map_err(|reason| {
        fail(format!(
            "failed to parse platform {}: {reason}",
            written.value
        ))
    })?;
    let platform = platform.normalized();
    lint_platform(written, &expanded, &platform, stage, build, report);
    Ok((platform, expanded.used))
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
