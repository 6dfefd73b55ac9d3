//! The grammar of each instruction: from a [`Statement`] to its part of the tree.

mod command;
mod from;
mod healthcheck;
mod key_values;
mod onbuild;
mod run;
mod transfer;

use crate::flags::{Flags, Known};
use crate::json::{self, Form};
use crate::keyword::Keyword;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Diagnostic, InstructionKind, Word};
pub(crate) use from::from;

/// Flags of an instruction that has none.
const NO_FLAGS: Known = &[];

/// Parses any instruction but FROM. None if something is wrong with it, which `sink` then holds.
pub(crate) fn parse(
    keyword: Keyword,
    statement: &mut Statement<'_, '_>,
    sink: &mut Sink,
) -> Option<InstructionKind> {
    Some(match keyword {
        Keyword::Add => InstructionKind::Add(transfer::add(statement, sink)?),
        Keyword::Arg => InstructionKind::Arg(key_values::arg(statement, sink)?),
        Keyword::Cmd => InstructionKind::Cmd(command::parse(statement, sink)?),
        Keyword::Copy => InstructionKind::Copy(transfer::copy(statement, sink)?),
        Keyword::Entrypoint => InstructionKind::Entrypoint(command::parse(statement, sink)?),
        Keyword::Env => InstructionKind::Env(key_values::parse(keyword, statement, sink)?),
        Keyword::Expose => InstructionKind::Expose(words(keyword, statement, sink)?),
        Keyword::From => return None,
        Keyword::Healthcheck => InstructionKind::Healthcheck(healthcheck::parse(statement, sink)?),
        Keyword::Label => InstructionKind::Label(key_values::parse(keyword, statement, sink)?),
        Keyword::Maintainer => InstructionKind::Maintainer(one(keyword, statement, sink)?),
        Keyword::Onbuild => InstructionKind::Onbuild(onbuild::parse(statement, sink)?),
        Keyword::Run => InstructionKind::Run(run::parse(statement, sink)?),
        Keyword::Shell => InstructionKind::Shell(command::shell(statement, sink)?),
        // Its flags are not looked at, as in BuildKit.
        Keyword::Stopsignal => InstructionKind::Stopsignal(rest(keyword, statement, sink)?),
        Keyword::User => InstructionKind::User(one(keyword, statement, sink)?),
        Keyword::Volume => InstructionKind::Volume(volume(statement, sink)?),
        Keyword::Workdir => InstructionKind::Workdir(one(keyword, statement, sink)?),
    })
}

/// The rest of the line, as one argument that must be there, and no flags.
fn one(keyword: Keyword, statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Word> {
    Flags::parse(statement, NO_FLAGS, sink);
    rest(keyword, statement, sink)
}

fn rest(keyword: Keyword, statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Word> {
    if statement.args.is_empty() {
        let message = format!("{} requires exactly one argument", keyword.name());
        statement.error(sink, "missing-argument", message);
        return None;
    }
    Some(statement.word(statement.args.clone()))
}

/// Words between blanks, at least one.
fn words(keyword: Keyword, statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Vec<Word>> {
    Flags::parse(statement, NO_FLAGS, sink);
    let words = statement.blank_separated();
    if words.is_empty() {
        at_least_one(keyword, statement, sink);
        return None;
    }
    Some(words)
}

fn volume(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Vec<Word>> {
    Flags::parse(statement, NO_FLAGS, sink);
    let mut volumes = list(statement, sink)?;
    if volumes.is_empty() {
        at_least_one(Keyword::Volume, statement, sink);
        return None;
    }
    for volume in &mut volumes {
        if volume.value.trim().is_empty() {
            let message = "VOLUME specified can not be an empty string";
            sink.push(Diagnostic::error("empty-volume", message, volume.span));
            return None;
        }
        volume.value = volume.value.trim().to_owned();
    }
    Some(volumes)
}

/// A JSON array, or else words between blanks.
fn list(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Vec<Word>> {
    match json_form(statement, sink) {
        Ok(Some(words)) => Some(words),
        Ok(None) => Some(statement.blank_separated()),
        Err(NotStrings) => None,
    }
}

/// A JSON array with something else than strings in it; it has been reported.
struct NotStrings;

/// The strings of the JSON form, if this is it.
fn json_form(
    statement: &Statement<'_, '_>,
    sink: &mut Sink,
) -> Result<Option<Vec<Word>>, NotStrings> {
    let base = statement.args.start;
    match json::read(statement.args_text()) {
        Form::Text => Ok(None),
        Form::Strings(strings) => {
            let word = |(string, range): (String, std::ops::Range<usize>)| {
                Word::new(
                    string,
                    statement.line.span(base + range.start..base + range.end),
                )
            };
            Ok(Some(strings.into_iter().map(word).collect()))
        }
        Form::NotStrings(range) => {
            let message = "when using JSON array syntax, arrays must be comprised of strings only";
            let span = statement.line.span(base + range.start..base + range.end);
            sink.push(
                Diagnostic::error("json-not-strings", message, span)
                    .with_help("put it in double quotes")
                    .in_lines(),
            );
            Err(NotStrings)
        }
    }
}

fn at_least_one(keyword: Keyword, statement: &Statement<'_, '_>, sink: &mut Sink) {
    let message = format!("{} requires at least one argument", keyword.name());
    statement.error(sink, "missing-argument", message);
}
