//! `# check=skip=A,B|all;error=true;experimental=X|all`: which lints count, for the file and for one instruction.

use std::collections::BTreeSet;

use rbuild_dockerfile::{Diagnostic, Dockerfile, Severity, Span, Word};

use crate::lint::rules;
use crate::platform_args::BuildArgs;

/// The build arg that replaces the file's `# check=` directive.
const CHECK_ARG: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What a `check=` text asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Config {
    skip: Selection,
    experimental: Selection,
    violations: Violations,
}

/// Some rules, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Selection {
    all: bool,
    names: BTreeSet<String>,
}

impl Selection {
    fn holds(&self, rule: &str) -> bool {
        self.all || self.names.contains(rule)
    }
}

/// What a violation does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Violations {
    /// The build goes on.
    #[default]
    Warn,
    /// The build does not start.
    Fail,
}

/// Which warnings of a file count.
#[derive(Debug)]
pub(crate) struct Checks {
    file: Config,
    /// Configs from comments, and the part of the file that each is for.
    local: Vec<(Span, Config)>,
}

impl Checks {
    /// Every warning counts, none fails.
    pub(crate) fn none() -> Self {
        Self {
            file: Config::default(),
            local: Vec::new(),
        }
    }

    /// Reads the directive, the build arg and the comments above instructions.
    pub(crate) fn of(dockerfile: &Dockerfile, build_args: &BuildArgs) -> Result<Self, Diagnostic> {
        let file = match (build_args.get(CHECK_ARG), &dockerfile.directives.check) {
            (Some(text), _) => Config::parse(text).map_err(|reason| {
                Diagnostic::error(
                    "invalid-check",
                    format!("{CHECK_ARG}: {reason}"),
                    Span::default(),
                )
            })?,
            (None, Some(directive)) => Config::parse(&directive.value)
                .map_err(|reason| Diagnostic::error("invalid-check", reason, directive.span))?,
            (None, None) => Config::default(),
        };
        let mut local = Vec::new();
        let mut note = |comments: &[Word], span| {
            local.extend(config_of(comments).map(|config| (span, config)));
        };
        for instruction in &dockerfile.global_args {
            note(&instruction.comments, instruction.span);
        }
        for stage in &dockerfile.stages {
            note(&stage.comments, stage.span);
            for instruction in &stage.instructions {
                note(&instruction.comments, instruction.span);
            }
        }
        Ok(Self { file, local })
    }

    /// The warnings that count, in the order of the file, each once.
    pub(crate) fn filter(&self, warnings: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut kept: Vec<Diagnostic> = warnings
            .into_iter()
            .filter(|warning| self.counts(warning))
            .collect();
        kept.sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
        kept.dedup();
        kept
    }

    /// With `error=true`: the error that the warnings amount to.
    pub(crate) fn verdict(&self, warnings: &[Diagnostic]) -> Option<Diagnostic> {
        let lints: Vec<_> = warnings
            .iter()
            .filter(|warning| warning.severity == Severity::Warning)
            .collect();
        let first = lints.first()?;
        if self.file.violations != Violations::Fail {
            return None;
        }
        let names: BTreeSet<_> = lints.iter().map(|warning| warning.code).collect();
        let names: Vec<_> = names.into_iter().collect();
        let message = format!("lint violation found for rules: {}", names.join(", "));
        Some(
            Diagnostic::error("lint-violation", message, first.span).with_help(
                "the file says `# check=error=true`; mend them, or skip them with `# check=skip=…`",
            ),
        )
    }

    fn counts(&self, warning: &Diagnostic) -> bool {
        if warning.severity == Severity::Error {
            return true;
        }
        let configs = || {
            let local = self
                .local
                .iter()
                .filter(|(span, _)| {
                    span.start <= warning.span.start && warning.span.start < span.end
                })
                .map(|(_, config)| config);
            std::iter::once(&self.file).chain(local)
        };
        let is_skipped = configs().any(|config| config.skip.holds(warning.code));
        let is_on = !rules::EXPERIMENTAL.contains(&warning.code)
            || configs().any(|config| config.experimental.holds(warning.code));
        is_on && !is_skipped
    }
}

/// The config that comments above an instruction ask for. What is not understood is just a comment.
fn config_of(comments: &[Word]) -> Option<Config> {
    comments
        .iter()
        .filter_map(|comment| {
            let (key, value) = comment.value.trim().split_once('=')?;
            key.trim().eq_ignore_ascii_case("check").then_some(value)
        })
        .find_map(|text| Config::parse(text).ok())
}

impl Config {
    fn parse(text: &str) -> Result<Self, String> {
        let mut config = Self::default();
        if text.trim().is_empty() {
            return Ok(config);
        }
        for part in text.splitn(3, ';') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("invalid check option {part:?}"))?;
            let value = value.trim();
            match key.trim() {
                "skip" => config.skip = selection(value),
                "experimental" => config.experimental = selection(value),
                "error" => config.violations = violations(value, part)?,
                other => return Err(format!("invalid check option {other:?}")),
            }
        }
        Ok(config)
    }
}

fn selection(value: &str) -> Selection {
    if value == "all" {
        return Selection {
            all: true,
            names: BTreeSet::new(),
        };
    }
    Selection {
        all: false,
        names: value
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
    }
}

fn violations(value: &str, part: &str) -> Result<Violations, String> {
    match value {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(Violations::Fail),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(Violations::Warn),
        _ => Err(format!(
            "invalid check option {part:?}: error is true or false"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_option_has_three_known_parts() {
        let config = Config::parse("skip=A, B;error=true;experimental=all").expect("a good option");
        assert!(config.skip.holds("B") && !config.skip.holds("C"));
        assert!(config.experimental.holds("anything"));
        assert_eq!(config.violations, Violations::Fail);
        assert!(Config::parse("skip").is_err());
        assert!(Config::parse("what=1").is_err());
        assert!(Config::parse("error=perhaps").is_err());
        assert_eq!(Config::parse(" "), Ok(Config::default()));
    }
}
