//! `SOURCE_DATE_EPOCH`: a number, or what its time is taken from.
//!
//! ```dockerfile
//! ARG SOURCE_DATE_EPOCH=source            # or context, or a --build-context's name
//! FROM scratch AS source                  # such a stage has ARGs and one ADD from elsewhere
//! ADD https://example.org/v1.tar.gz /
//! ```

use rbuild_dockerfile::{CopySource, Diagnostic, InstructionKind, Span, Stage, Word};
use rbuild_image::Digest;

use crate::build::Build;
use crate::contexts::{self, SCRATCH};
use crate::environment::Environment;
use crate::git_url::parse_git_url;
use crate::{GitSource, HttpSource, NamedContext, words};

/// The variable.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What the epoch is the time of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EpochSource {
    /// The build context.
    MainContext,
    /// A named context.
    Context(NamedContext),
    /// A commit.
    Git(GitSource),
    /// A file from the web.
    Http(HttpSource),
}

/// The value: a build arg goes before the file's global ARG. An empty one is none.
pub(crate) fn value<'a>(build: &'a Build<'_>) -> Option<&'a str> {
    let given = build.args.get(SOURCE_DATE_EPOCH).map(String::as_str);
    given
        .or_else(|| build.globals.env.get(SOURCE_DATE_EPOCH))
        .filter(|text| !text.is_empty())
}

/// Where the epoch's time is to be taken from; nothing if it is a number or there is none.
pub(crate) fn source(build: &Build<'_>) -> Result<Option<EpochSource>, Diagnostic> {
    let Some(value) = value(build).filter(|text| text.parse::<i64>().is_err()) else {
        return Ok(None);
    };
    if value == "context" {
        return Ok(Some(EpochSource::MainContext));
    }
    if let Some((_, context)) = contexts::named(build.options, value, &build.target) {
        return Ok(Some(EpochSource::Context(context)));
    }
    let is_meant = |stage: &&Stage| {
        let name = stage.from.name.as_ref();
        name.is_some_and(|name| name.value.eq_ignore_ascii_case(value))
    };
    match build.dockerfile.stages.iter().find(is_meant) {
        Some(stage) => of_stage(build, stage).map(Some),
        None => Err(invalid(value, span_of(build))),
    }
}

/// The diagnostic for a value that means nothing.
pub(crate) fn invalid(value: &str, span: Span) -> Diagnostic {
    let message = format!("invalid {SOURCE_DATE_EPOCH}: {value}");
    Diagnostic::error("invalid-epoch", message, span).with_help(
        "seconds since 1970 as a whole number, context, a named context, or a stage with nothing but one remote ADD",
    )
}

/// Where the file sets it.
pub(crate) fn span_of(build: &Build<'_>) -> Span {
    if build.args.contains_key(SOURCE_DATE_EPOCH) {
        return Span::default();
    }
    let items = build.dockerfile.global_args.iter();
    items
        .flat_map(|instruction| match &instruction.kind {
            InstructionKind::Arg(items) => items.as_slice(),
            _ => &[],
        })
        .filter(|item| item.name.value == SOURCE_DATE_EPOCH)
        .map(|item| {
            item.default
                .as_ref()
                .map_or(item.name.span, |default| default.span)
        })
        .next_back()
        .unwrap_or_default()
}

/// The one remote source that a stage adds.
fn of_stage(build: &Build<'_>, stage: &Stage) -> Result<EpochSource, Diagnostic> {
    let refused = |reason: &str, span| {
        let message = format!("{SOURCE_DATE_EPOCH} stage {reason}");
        Diagnostic::error("invalid-epoch", message, span)
    };
    let one_add = "must contain exactly one remote ADD";
    let mut env = build.globals.env.clone();
    env.set(SOURCE_DATE_EPOCH, "");
    if expanded(build, &stage.from.base, &env)? != SCRATCH {
        return Err(refused("must use FROM scratch", stage.from.base.span));
    }
    let mut found = None;
    for instruction in &stage.instructions {
        match &instruction.kind {
            InstructionKind::Arg(items) => {
                for item in items {
                    let value = match (build.args.get(&item.name.value), &item.default) {
                        (Some(given), _) => given.clone(),
                        (None, Some(default)) => expanded(build, default, &env)?,
                        (None, None) => continue,
                    };
                    env.set(&item.name.value, &value);
                }
            }
            InstructionKind::Add(_) if found.is_some() => {
                return Err(refused(one_add, instruction.span));
            }
            InstructionKind::Add(add) => {
                let [CopySource::Path(word)] = add.transfer.sources.as_slice() else {
                    return Err(refused(
                        "must contain exactly one remote ADD source",
                        instruction.span,
                    ));
                };
                let checksum = match &add.checksum {
                    Some(word) => Some(expanded(build, word, &env)?),
                    None => None,
                };
                let text = expanded(build, word, &env)?;
                found = Some(remote(&text, checksum, word)?);
            }
            _ => {
                let reason = format!(
                    "does not meet source-only requirements: unsupported {} instruction",
                    instruction.keyword.value.to_uppercase()
                );
                return Err(refused(&reason, instruction.span));
            }
        }
    }
    found.ok_or_else(|| refused(one_add, stage.span))
}

fn expanded(build: &Build<'_>, word: &Word, env: &Environment) -> Result<String, Diagnostic> {
    words::expand(&word.value, build.escape, env)
        .map(|expanded| expanded.text)
        .map_err(|reason| words::mistake(&reason, &word.value, word.span))
}

fn remote(text: &str, checksum: Option<String>, word: &Word) -> Result<EpochSource, Diagnostic> {
    let refused = |message: String| Diagnostic::error("invalid-epoch", message, word.span);
    if let Some(git) = parse_git_url(text).map_err(|error| refused(error.to_string()))? {
        let checksum = checksum.or(git.source.checksum.clone());
        return Ok(EpochSource::Git(GitSource {
            checksum,
            ..git.source
        }));
    }
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(refused(format!(
            "{SOURCE_DATE_EPOCH} stage source must be a single HTTP(S) or Git ADD"
        )));
    }
    let checksum = checksum.map(|text| text.parse::<Digest>()).transpose();
    Ok(EpochSource::Http(HttpSource {
        url: text.to_owned(),
        checksum: checksum.map_err(|error| refused(error.to_string()))?,
        file_name: "source".to_owned(),
    }))
}
