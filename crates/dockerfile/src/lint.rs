//! Lint rules that the tree alone decides. Names and texts are those that BuildKit's users know.

use crate::sink::Sink;
use crate::{Diagnostic, Dockerfile, Instruction, InstructionKind, Span, Stage, Word};

/// The warnings that the tree as a whole decides, in the order of the file: `ConsistentInstructionCasing`. At most 1,000
/// of them.
pub fn lint(dockerfile: &Dockerfile) -> Vec<Diagnostic> {
    let mut sink = Sink::default();
    let majority = Casing::of_majority(dockerfile);
    for stage in &dockerfile.stages {
        sink.extend(consistent_casing(&stage.keyword, stage.span, majority));
        for instruction in &stage.instructions {
            let span = instruction.span;
            sink.extend(consistent_casing(&instruction.keyword, span, majority));
        }
    }
    sink.into_diagnostics()
}

/// The warnings on a FROM.
pub(crate) fn stage(stage: &Stage, sink: &mut Sink) {
    sink.extend(stage_name_casing(stage));
    sink.extend(from_as_casing(stage));
    if let Some(name) = &stage.from.name {
        let lower = name.value.to_lowercase();
        sink.extend(description("FROM", &[&lower], &stage.comments));
    }
}

/// The warnings on any other instruction.
pub(crate) fn instruction(instruction: &Instruction, sink: &mut Sink) {
    match &instruction.kind {
        InstructionKind::Maintainer(_) => sink.push(maintainer(&instruction.keyword)),
        InstructionKind::Arg(items) => {
            let names: Vec<_> = items.iter().map(|item| item.name.value.as_str()).collect();
            sink.extend(description("ARG", &names, &instruction.comments));
        }
        _ => {}
    }
}

/// A comment right above a definition should describe it: `# name text`.
fn description(keyword: &str, names: &[&str], comments: &[Word]) -> Option<Diagnostic> {
    let comment = comments.last()?;
    let first = comment.value.split(' ').next().unwrap_or_default();
    if names.contains(&first) {
        return None;
    }
    let name = match names {
        [name] => name,
        _ => "<arg_key>",
    };
    let message =
        format!("Comment for {keyword} should follow the format: `# {name} <description>`");
    let warning = Diagnostic::warning("InvalidDefinitionDescription", message, comment.span);
    Some(warning.with_help("if it describes nothing, put a line with `#` alone below it"))
}

/// How a keyword is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Casing {
    Lower,
    Upper,
}

impl Casing {
    /// None if it is mixed.
    fn of(word: &str) -> Option<Self> {
        if word.bytes().all(|byte| !byte.is_ascii_uppercase()) {
            Some(Self::Lower)
        } else {
            word.bytes()
                .all(|byte| !byte.is_ascii_lowercase())
                .then_some(Self::Upper)
        }
    }

    /// How most keywords of the stages are written; upper case when there are as many of both.
    fn of_majority(dockerfile: &Dockerfile) -> Self {
        let keywords = dockerfile.stages.iter().flat_map(|stage| {
            std::iter::once(&stage.keyword).chain(
                stage
                    .instructions
                    .iter()
                    .map(|instruction| &instruction.keyword),
            )
        });
        let (mut lower, mut upper) = (0, 0);
        for keyword in keywords {
            match Self::of(&keyword.value) {
                Some(Self::Lower) => lower += 1,
                Some(Self::Upper) => upper += 1,
                None => {}
            }
        }
        if lower > upper {
            Self::Lower
        } else {
            Self::Upper
        }
    }

    fn apply(self, word: &str) -> String {
        match self {
            Self::Lower => word.to_ascii_lowercase(),
            Self::Upper => word.to_ascii_uppercase(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Lower => "lowercase",
            Self::Upper => "uppercase",
        }
    }
}

fn consistent_casing(keyword: &Word, instruction: Span, majority: Casing) -> Option<Diagnostic> {
    let correct = majority.apply(&keyword.value);
    (correct != keyword.value).then(|| {
        let message = format!(
            "Command '{}' should match the case of the command majority ({})",
            keyword.value,
            majority.name()
        );
        Diagnostic::warning("ConsistentInstructionCasing", message, keyword.span)
            .with_patch(correct)
            .within(instruction)
    })
}

fn stage_name_casing(stage: &Stage) -> Option<Diagnostic> {
    let name = stage.from.name.as_ref()?;
    let lower = name.value.to_lowercase();
    (lower != name.value).then(|| {
        let message = format!("Stage name '{}' should be lowercase", name.value);
        Diagnostic::warning("StageNameCasing", message, name.span).with_patch(lower)
    })
}

/// A keyword of mixed case is the business of another rule.
fn from_as_casing(stage: &Stage) -> Option<Diagnostic> {
    let keyword = stage.from.as_keyword.as_ref()?;
    let correct = Casing::of(&stage.keyword.value)?.apply(&keyword.value);
    (correct != keyword.value).then(|| {
        let message = format!(
            "'{}' and '{}' keywords' casing do not match",
            keyword.value, stage.keyword.value
        );
        Diagnostic::warning("FromAsCasing", message, keyword.span).with_patch(correct)
    })
}

fn maintainer(keyword: &Word) -> Diagnostic {
    let message = "Maintainer instruction is deprecated in favor of using label";
    Diagnostic::warning("MaintainerDeprecated", message, keyword.span)
        .with_help("write `LABEL org.opencontainers.image.authors=…`")
}
