//! The file: directives, comments, logical lines, heredoc bodies, stages.

use crate::directives::Reader;
use crate::keyword::Keyword;
use crate::lines::Lines;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{
    Diagnostic, Directives, Dockerfile, From, Instruction, InstructionKind, LocalCheck, Source,
    Span, Stage, Word, directives, heredoc, instructions, json, lint, suggest,
};

/// A file after parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The tree; none if there is an error among the diagnostics.
    pub dockerfile: Option<Dockerfile>,
    /// What the file says of how it is to be read, be there a tree or not.
    pub directives: Directives,
    /// Everything that was found, by its place in the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a Dockerfile. All its errors are collected (up to 200), and the warnings that one instruction alone decides:
/// `NoEmptyContinuation`, `StageNameCasing`, `FromAsCasing`, `MaintainerDeprecated`, `InvalidDefinitionDescription`.
/// For other warnings see [`lint`](crate::lint()).
pub fn parse(source: &Source) -> Parsed {
    let mut sink = Sink::default();
    let mut directives = Directives::default();
    let dockerfile = parse_file(source, &mut directives, &mut sink);
    Parsed {
        dockerfile: dockerfile.filter(|_| !sink.has_errors()),
        directives,
        diagnostics: sink.into_diagnostics(),
    }
}

/// Parses a trigger as an image config has it. The escape character is `\`, spans point into `trigger`. Fails with
/// the errors.
pub fn parse_onbuild(trigger: &str) -> Result<Instruction, Vec<Diagnostic>> {
    let mut sink = Sink::default();
    let body = Body::read(trigger, &mut sink);
    let whole = Span::new(0, trigger.len() as u32);
    if !sink.has_errors() && body.items.len() != 1 {
        sink.push(Diagnostic::error(
            "invalid-trigger",
            "onbuild trigger should be a single expression",
            whole,
        ));
    }
    let instruction = body.items.into_iter().next().and_then(|item| match item {
        Item::From(stage) => {
            sink.push(Diagnostic::error(
                "invalid-trigger",
                "FROM isn't allowed as an ONBUILD trigger",
                stage.span,
            ));
            None
        }
        Item::BrokenFrom => None,
        Item::Instruction(instruction) => Some(instruction),
    });
    match instruction {
        Some(instruction) if !sink.has_errors() => Ok(instruction),
        _ => Err(sink.into_diagnostics()),
    }
}

fn parse_file(source: &Source, directives: &mut Directives, sink: &mut Sink) -> Option<Dockerfile> {
    let text = source.text.as_str();
    let start = Span::new(0, 0);
    if u32::try_from(text.len()).is_err() {
        sink.push(Diagnostic::error(
            "too-large",
            "the Dockerfile is larger than 4 GiB",
            start,
        ));
        return None;
    }
    if text.is_empty() {
        sink.push(Diagnostic::error(
            "empty-dockerfile",
            "the Dockerfile cannot be empty",
            start,
        ));
        return None;
    }
    let body = Body::read(text, sink);
    directives.clone_from(&body.directives);
    if body.items.is_empty() {
        if !sink.has_errors() {
            sink.push(Diagnostic::error(
                "no-instructions",
                "file with no instructions",
                start,
            ));
        }
        return None;
    }
    body.into_dockerfile(sink)
}

/// What stands at the top level.
enum Item {
    From(Stage),
    /// A FROM with mistakes: what follows it has a stage all the same.
    BrokenFrom,
    Instruction(Instruction),
}

/// The instructions in their order, and the directives above them.
struct Body {
    directives: Directives,
    items: Vec<Item>,
}

impl Body {
    fn read(text: &str, sink: &mut Sink) -> Self {
        let mut directives = Reader::new(text);
        let mut lines = Lines::new(text);
        let mut items = Vec::new();
        let mut comments = Vec::new();
        let mut checks = Vec::new();
        let mut previous = None;
        while let Some(line) = lines.next(sink) {
            let is_directive = directives.read(line, sink);
            if line.is_comment() {
                if !is_directive {
                    keep_comment(line, &mut comments);
                }
                continue;
            }
            if line.text().trim_start().is_empty() {
                continue;
            }
            let (logical, span) = lines.join(line, directives.escape(), sink);
            let statement = Statement::cut(&logical, 0..logical.text().len(), directives.escape());
            let context = Context {
                comments: std::mem::take(&mut comments),
                span,
                previous,
            };
            checks.extend(local_check(&context));
            items.extend(read_item(statement, context, &mut lines, sink));
            previous = Some(span);
            if sink.is_full() {
                break;
            }
        }
        let directives = Directives {
            local_checks: checks,
            ..directives.finish()
        };
        Self { directives, items }
    }

    fn into_dockerfile(self, sink: &mut Sink) -> Option<Dockerfile> {
        let mut global_args = Vec::new();
        let mut stages: Vec<Stage> = Vec::new();
        let mut end = Span::default();
        let mut orphans = Orphans::Reported;
        for item in self.items {
            match (item, stages.last_mut()) {
                (Item::From(stage), _) => stages.push(stage),
                (Item::BrokenFrom, _) => orphans = Orphans::Ignored,
                (Item::Instruction(instruction), Some(stage)) => {
                    stage.instructions.push(instruction);
                }
                (Item::Instruction(instruction), None) => {
                    end = instruction.span;
                    if matches!(instruction.kind, InstructionKind::Arg(_)) {
                        global_args.push(instruction);
                    } else if orphans == Orphans::Reported {
                        sink.push(before_from(&instruction));
                        orphans = Orphans::Ignored;
                    }
                }
            }
        }
        if stages.is_empty() {
            if !sink.has_errors() {
                let message = "dockerfile contains no stages to build";
                let missing = Diagnostic::error("no-stages", message, end)
                    .with_help("add a FROM instruction");
                sink.push(missing);
            }
            return None;
        }
        Some(Dockerfile {
            directives: self.directives,
            global_args,
            stages,
        })
    }
}

/// What becomes of instructions that have no stage: the first one is reported, unless a broken FROM stands above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orphans {
    Reported,
    Ignored,
}

fn before_from(instruction: &Instruction) -> Diagnostic {
    let keyword = instruction.keyword.value.to_uppercase();
    Diagnostic::error(
        "no-stage",
        "no build stage in current context",
        instruction.keyword.span,
    )
    .with_help(format!(
        "{keyword} belongs below a FROM; only ARG may stand above the first one"
    ))
}

/// Keeps a comment for the instruction below it; an empty one parts it from those above.
fn keep_comment(line: crate::lines::Line<'_>, comments: &mut Vec<Word>) {
    let text = line.text();
    let Some(comment) = text.trim_start().strip_prefix('#').map(str::trim) else {
        return;
    };
    if comment.is_empty() {
        comments.clear();
        return;
    }
    let start = line.start + (comment.as_ptr() as usize - text.as_ptr() as usize) as u32;
    comments.push(Word::new(
        comment.to_owned(),
        Span::new(start, start + comment.len() as u32),
    ));
}

/// A `# check=` above an instruction; of several, the first.
fn local_check(context: &Context) -> Option<LocalCheck> {
    let value = context
        .comments
        .iter()
        .find_map(directives::check_comment)?;
    Some(LocalCheck {
        instruction: context.span,
        value,
    })
}

/// What stands around a statement.
struct Context {
    comments: Vec<Word>,
    /// From its first to its last line.
    span: Span,
    /// The instruction above.
    previous: Option<Span>,
}

fn read_item(
    mut statement: Statement<'_, '_>,
    context: Context,
    lines: &mut Lines<'_>,
    sink: &mut Sink,
) -> Option<Item> {
    let Context {
        comments,
        mut span,
        previous,
    } = context;
    let mark = sink.mark();
    let keyword = Keyword::find(statement.keyword_text());
    if keyword.is_some_and(|keyword| has_heredocs(&statement, keyword)) {
        statement.heredocs = heredoc::read_bodies(&statement, lines, &mut span, sink);
    }
    let item = match keyword {
        None => {
            // What is meant for the shell is not to be read as instructions, whatever the keyword should have been.
            if suggested(&statement).is_some_and(Keyword::takes_heredocs) {
                heredoc::read_bodies(&statement, lines, &mut span, &mut Sink::default());
            }
            sink.push(unknown_instruction(&statement, previous));
            None
        }
        Some(Keyword::From) => Some(match instructions::from(&statement, sink) {
            Some(from) => Item::From(stage(&statement, from, comments, span)),
            None => Item::BrokenFrom,
        }),
        Some(keyword) => instructions::parse(keyword, &mut statement, sink)
            .map(|kind| Item::Instruction(instruction(&statement, kind, comments, span))),
    };
    match &item {
        Some(Item::From(stage)) => lint::stage(stage, sink),
        Some(Item::Instruction(instruction)) => lint::instruction(instruction, sink),
        Some(Item::BrokenFrom) | None => {}
    }
    sink.within(mark, span);
    item
}

/// Whether a statement's words may be heredocs; those of an ONBUILD are its payload's.
fn has_heredocs(statement: &Statement<'_, '_>, keyword: Keyword) -> bool {
    if keyword == Keyword::Onbuild {
        let payload = Statement::cut(statement.line, statement.args.clone(), statement.escape);
        return Keyword::find(payload.keyword_text())
            .is_some_and(|keyword| keyword.takes_heredocs() && has_heredocs(&payload, keyword));
    }
    keyword.takes_heredocs() && json::read(statement.args_text()) == json::Form::Text
}

fn stage(statement: &Statement<'_, '_>, from: From, comments: Vec<Word>, span: Span) -> Stage {
    let keyword = statement.word(statement.keyword.clone());
    Stage {
        span,
        comments,
        keyword,
        from,
        instructions: Vec::new(),
    }
}

/// Puts an instruction together.
fn instruction(
    statement: &Statement<'_, '_>,
    kind: InstructionKind,
    comments: Vec<Word>,
    span: Span,
) -> Instruction {
    let keyword = statement.word(statement.keyword.clone());
    let original = statement.text()[statement.range.clone()].to_owned();
    Instruction {
        span,
        comments,
        keyword,
        original,
        kind,
    }
}

fn suggested(statement: &Statement<'_, '_>) -> Option<Keyword> {
    suggest(statement.keyword_text(), Keyword::names()).and_then(|name| Keyword::find(&name))
}

/// The error for a keyword that does not exist.
fn unknown_instruction(statement: &Statement<'_, '_>, previous: Option<Span>) -> Diagnostic {
    let keyword = statement.word(statement.keyword.clone());
    let message = format!("unknown instruction: {}", keyword.value);
    let unknown = Diagnostic::error("unknown-instruction", message, keyword.span);
    if let Some(meant) = suggest(&keyword.value, Keyword::names()) {
        return unknown
            .with_help(format!("did you mean {meant}?"))
            .with_patch(meant);
    }
    if previous.is_some() {
        let escape = statement.escape.char();
        return unknown.with_help(format!(
            "if this continues the instruction above, that one's last line must end with `{escape}`"
        ));
    }
    unknown
}
