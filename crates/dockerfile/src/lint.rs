//! Lint rules that the tree alone decides. Names and texts are those that BuildKit's users know.

use crate::sink::Sink;
use crate::{
    Diagnostic, Dockerfile, InstructionKind, KeyValueForm, KeyValues, Source, Stage, Word,
};

/// The warnings of `dockerfile`, in the order of the file: `StageNameCasing`, `FromAsCasing`,
/// `ConsistentInstructionCasing`, `MaintainerDeprecated`, `LegacyKeyValueFormat`. (`NoEmptyContinuation` comes from
/// [`parse`](crate::parse()), as the tree does not show empty lines.) At most 1,000 of them.
pub fn lint(_source: &Source, dockerfile: &Dockerfile) -> Vec<Diagnostic> {
    let mut sink = Sink::default();
    let majority = Casing::of_majority(dockerfile);
    for stage in &dockerfile.stages {
        sink.extend(stage_name_casing(stage));
        sink.extend(from_as_casing(stage));
        sink.extend(consistent_casing(&stage.keyword, majority));
        for instruction in &stage.instructions {
            sink.extend(consistent_casing(&instruction.keyword, majority));
            sink.extend(match &instruction.kind {
                InstructionKind::Maintainer(_) => Some(maintainer(&instruction.keyword)),
                InstructionKind::Env(pairs) => legacy("ENV", &instruction.keyword, pairs),
                InstructionKind::Label(pairs) => legacy("LABEL", &instruction.keyword, pairs),
                _ => None,
            });
        }
    }
    sink.into_diagnostics()
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

fn consistent_casing(keyword: &Word, majority: Casing) -> Option<Diagnostic> {
    let correct = majority.apply(&keyword.value);
    (correct != keyword.value).then(|| {
        let message = format!(
            "Command '{}' should match the case of the command majority ({})",
            keyword.value,
            majority.name()
        );
        Diagnostic::warning("ConsistentInstructionCasing", message, keyword.span)
            .with_patch(correct)
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

fn legacy(name: &str, keyword: &Word, pairs: &KeyValues) -> Option<Diagnostic> {
    let (KeyValueForm::Legacy, Some((key, value))) = (pairs.form, pairs.pairs.first()) else {
        return None;
    };
    let message = format!(
        "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
    );
    let span = keyword.span.to(value.span);
    let warning = Diagnostic::warning("LegacyKeyValueFormat", message, span);
    let is_plain = !value.value.contains([' ', '\t', '"', '\'', '\\', '`']);
    Some(if is_plain {
        warning.with_patch(format!("{} {}={}", keyword.value, key.value, value.value))
    } else {
        warning
    })
}
