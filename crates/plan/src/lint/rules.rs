//! The rules by name, and their sentences: tools around `docker buildx build --check` read both.

use rbuild_dockerfile::{Diagnostic, Span};

use crate::go::quote;

/// Rules that are off unless `experimental=` names them.
pub(crate) const EXPERIMENTAL: [&str; 1] = ["InvalidDefinitionDescription"];

/// Rules that only the file's own directive turns off, not a comment above the instruction: they look at more than it.
/// (Of several instructions, the last one's comment decides: see `warn_repeated`.)
pub(crate) const WHOLE_FILE: [&str; 7] = [
    "ConsistentInstructionCasing",
    "DuplicateStageName",
    "InvalidBaseImagePlatform",
    "InvalidDefaultArgInFrom",
    "MultipleInstructionsDisallowed",
    "NoEmptyContinuation",
    "ReservedStageName",
];

fn meant(suggestion: Option<&str>, sigil: &str) -> String {
    suggestion.map_or_else(String::new, |name| {
        format!(" (did you mean {sigil}{name}?)")
    })
}

pub(crate) fn undefined_var(name: &str, suggestion: Option<&str>, span: Span) -> Diagnostic {
    let hint = meant(suggestion, "$");
    let message = format!("Usage of undefined variable '${name}'{hint}");
    Diagnostic::warning("UndefinedVar", message, span)
}

pub(crate) fn undefined_arg_in_from(
    name: &str,
    suggestion: Option<&str>,
    span: Span,
) -> Diagnostic {
    let hint = meant(suggestion, "");
    let message = format!("FROM argument '{name}' is not declared{hint}");
    Diagnostic::warning("UndefinedArgInFrom", message, span)
}

pub(crate) fn invalid_default_arg_in_from(base: &str, span: Span) -> Diagnostic {
    let message =
        format!("Default value for ARG {base} results in empty or invalid base image name");
    Diagnostic::warning("InvalidDefaultArgInFrom", message, span)
}

pub(crate) fn duplicate_stage_name(name: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Duplicate stage name {}, stage names should be unique",
        quote(name)
    );
    Diagnostic::warning("DuplicateStageName", message, span)
}

pub(crate) fn reserved_stage_name(name: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Stage name should not use the same name as reserved stage {}",
        quote(name)
    );
    Diagnostic::warning("ReservedStageName", message, span)
}

pub(crate) fn redundant_target_platform(written: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
    );
    Diagnostic::warning("RedundantTargetPlatform", message, span)
}

pub(crate) fn constant_platform(platform: &str, span: Span) -> Diagnostic {
    let message = format!(
        "FROM --platform flag should not use constant value {}",
        quote(platform)
    );
    Diagnostic::warning("FromPlatformFlagConstDisallowed", message, span)
}

pub(crate) fn base_image_platform(
    image: &str,
    expected: &str,
    actual: &str,
    span: Span,
) -> Diagnostic {
    let message = format!(
        "Base image {image} was pulled with platform {}, expected {} for current build",
        quote(actual),
        quote(expected)
    );
    Diagnostic::warning("InvalidBaseImagePlatform", message, span)
}

pub(crate) fn relative_workdir(path: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Relative workdir {} can have unexpected results if the base image changes",
        quote(path)
    );
    Diagnostic::warning("WorkdirRelativePath", message, span)
}

pub(crate) fn json_args_recommended(instruction: &str, span: Span) -> Diagnostic {
    let message = format!(
        "JSON arguments recommended for {instruction} to prevent unintended behavior related to OS signals"
    );
    Diagnostic::warning("JSONArgsRecommended", message, span)
}

pub(crate) fn multiple_instructions(instruction: &str, earlier: Span) -> Diagnostic {
    let message = format!(
        "Multiple {instruction} instructions should not be used in the same stage because only the last one will be used"
    );
    Diagnostic::warning("MultipleInstructionsDisallowed", message, earlier)
}

pub(crate) fn secret_in_arg_or_env(instruction: &str, name: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Do not use ARG or ENV instructions for sensitive data ({instruction} {})",
        quote(name)
    );
    Diagnostic::warning("SecretsUsedInArgOrEnv", message, span)
}

/// `keyword` as it is written.
pub(crate) fn legacy_key_value(keyword: &str, span: Span) -> Diagnostic {
    let message = format!(
        "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
    );
    Diagnostic::warning("LegacyKeyValueFormat", message, span)
}

pub(crate) fn expose_proto_casing(port: &str, span: Span) -> Diagnostic {
    let message = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
    Diagnostic::warning("ExposeProtoCasing", message, span)
}

pub(crate) fn expose_invalid_format(port: &str, span: Span) -> Diagnostic {
    let message = format!(
        "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
    );
    Diagnostic::warning("ExposeInvalidFormat", message, span)
}

pub(crate) fn copy_ignored_file(instruction: &str, path: &str, span: Span) -> Diagnostic {
    let message = format!(
        "Attempting to {instruction} file {} that is excluded by .dockerignore",
        quote(path)
    );
    Diagnostic::warning("CopyIgnoredFile", message, span)
}
