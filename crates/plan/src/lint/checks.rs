//! `# check=skip=A,B|all;error=true;experimental=X|all`: which lints count, for the file and for one instruction.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_dockerfile::{Diagnostic, Directives, Severity, Span};

use crate::PlanOptions;
use crate::go::quote;
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
    /// Configs from comments, by where the instruction that each is for begins.
    local: BTreeMap<u32, Config>,
}

impl Checks {
    /// Every warning counts, none fails.
    pub(crate) fn none() -> Self {
        Self {
            file: Config::default(),
            local: BTreeMap::new(),
        }
    }

    /// Reads the directive, the build arg and the comments above instructions. Of these comments, what is not
    /// understood is just a comment.
    pub(crate) fn of(directives: &Directives, build_args: &BuildArgs) -> Result<Self, Diagnostic> {
        let file = match (build_args.get(CHECK_ARG), &directives.check) {
            (Some(text), _) => Config::parse(text)
                .map_err(|reason| invalid(&format!("{CHECK_ARG}: {reason}"), Span::default()))?,
            (None, Some(directive)) => Config::parse(first_word(&directive.value))
                .map_err(|reason| invalid(&reason, directive.span).within(directive.span))?,
            (None, None) => Config::default(),
        };
        let local = directives.local_checks.iter().filter_map(|check| {
            let config = Config::parse(first_word(&check.value.value)).ok()?;
            Some((check.instruction.start, config))
        });
        Ok(Self {
            file,
            local: local.collect(),
        })
    }

    /// Whether a comment above the instruction at `span` turns `rule` off.
    pub(crate) fn skips_at(&self, span: Span, rule: &str) -> bool {
        let local = self.local.get(&span.start);
        local.is_some_and(|config| config.skip.holds(rule))
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
        let is_local = !rules::WHOLE_FILE.contains(&warning.code);
        let place = warning.instruction.unwrap_or(warning.span);
        let local = self.local.get(&place.start).filter(|_| is_local);
        let mut configs = std::iter::once(&self.file).chain(local);
        if rules::EXPERIMENTAL.contains(&warning.code) {
            configs.any(|config| config.experimental.holds(warning.code))
        } else {
            !configs.any(|config| config.skip.holds(warning.code))
        }
    }
}

/// What BuildKit takes of a directive's value: a blank ends it.
fn first_word(value: &str) -> &str {
    value.split(' ').next().unwrap_or_default()
}

fn invalid(reason: &str, span: Span) -> Diagnostic {
    let message = format!("failed to parse check options: {reason}");
    let help = "`skip=RULE,RULE`, `error=true` and `experimental=RULE`, with `;` between them";
    Diagnostic::error("invalid-check", message, span).with_help(help)
}

/// Those of the parser's `warnings` that count after `# check=` and the build arg that replaces it: what there is to say of
/// a file that does not parse. ([`plan`](crate::plan()) tells those of other files.)
pub fn syntax_warnings(
    directives: &Directives,
    options: &PlanOptions,
    warnings: Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    let build_args: BuildArgs = options.build_args.iter().cloned().collect();
    Checks::of(directives, &build_args)
        .map_or_else(|_| Vec::new(), |checks| checks.filter(warnings))
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
                .ok_or_else(|| format!("invalid check option {}", quote(part)))?;
            let value = value.trim();
            match key.trim() {
                "skip" => config.skip = selection(value),
                "experimental" => config.experimental = selection(value),
                "error" => config.violations = violations(value, part)?,
                other => return Err(format!("invalid check option {}", quote(other))),
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
            "failed to parse check option {}: strconv.ParseBool: parsing {}: invalid syntax",
            quote(part),
            quote(value)
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
