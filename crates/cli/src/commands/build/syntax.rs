//! `# syntax=`: the language is built in, so its own image means nothing new, and any other cannot be had.
//!
//! ```text
//! docker/dockerfile:1   docker.io/docker/dockerfile-upstream:master   mirror.example/docker/dockerfile@sha256:…
//! ```

use rbuild_dockerfile::{Diagnostic, Source, Span, detect_syntax};
use rbuild_image::Reference;

use super::explain;
use super::request::Request;

/// The build arg that replaces the file's line.
const ARGUMENT: &str = "BUILDKIT_SYNTAX";
/// Its value for the builder's own language.
const BUILTIN: &str = "dockerfile.v0";
/// The repositories of the language's own images, wherever they are mirrored.
const OWN: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Fails if the file, or who builds it, asks for another language.
pub(super) fn check(source: &Source, request: &Request) -> anyhow::Result<()> {
    let arguments = request.build_args.iter().rev();
    let mut asked = arguments.filter(|(name, _)| name == ARGUMENT);
    if let Some((_, value)) = asked.next().filter(|(_, value)| !value.trim().is_empty()) {
        return match foreign(value, request) {
            Some(image) => Err(anyhow::anyhow!(
                "failed to solve: --build-arg {ARGUMENT}={value}: {}",
                refusal(&image)
            )),
            None => Ok(()),
        };
    }
    let Some(written) = detect_syntax(&source.text) else {
        return Ok(());
    };
    let Some(image) = foreign(&written.value, request) else {
        return Ok(());
    };
    let end = written.span.start + first_word(&written.value).len() as u32;
    let help = format!(
        "remove the line, name docker/dockerfile instead, or build with --build-arg {ARGUMENT}={BUILTIN} to read it as \
         a Dockerfile anyway"
    );
    let span = Span::new(written.span.start, end);
    let mistake = Diagnostic::error("foreign-syntax", refusal(&image), span).with_help(help);
    Err(explain::mistakes(source, &[mistake]))
}

fn refusal(image: &str) -> String {
    format!(
        "the frontend {image:?} cannot be used: rbuild has the Dockerfile language built in, and does not fetch or run \
         other frontends"
    )
}

fn first_word(value: &str) -> &str {
    value.split_whitespace().next().unwrap_or_default()
}

/// The image that `value` names, if it is not the language's own. A named context of that name stands for it.
fn foreign(value: &str, request: &Request) -> Option<String> {
    let name = first_word(value);
    let is_same = |other: &str| match (other.parse::<Reference>(), name.parse::<Reference>()) {
        (Ok(other), Ok(name)) => other == name,
        _ => other == name,
    };
    let mut contexts = request.build_contexts.iter();
    let name = match contexts.find(|(context, _)| is_same(context)) {
        Some((_, source)) => source.strip_prefix("docker-image://").unwrap_or(source),
        None => name,
    };
    (!is_own(name)).then(|| name.to_owned())
}

fn is_own(name: &str) -> bool {
    let is_known = |repository: &str| {
        OWN.iter().any(|own| {
            let rest = repository.strip_suffix(own);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        })
    };
    name == BUILTIN
        || name
            .parse::<Reference>()
            .is_ok_and(|reference| is_known(reference.repository()))
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn the_languages_own_images_are_known_wherever_they_are() {
        for own in [
            "docker/dockerfile",
            "docker/dockerfile:1",
            "docker/dockerfile:1.7-labs",
            "docker/dockerfile-upstream:master",
            "docker.io/docker/dockerfile:1",
            "mirror.example:5000/hub/docker/dockerfile:1",
            "docker/dockerfile:1@sha256:9e2c9eca7367393aecc68795c671f93466818395a2693498debe831fd67f5e89",
            "dockerfile.v0",
        ] {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "tonistiigi/dockerfile:runmount",
            "dockerfile",
            "docker/buildkit",
            "notdocker/dockerfile",
            "docker/dockerfile-other",
            "r2d4/mopy",
            "",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
