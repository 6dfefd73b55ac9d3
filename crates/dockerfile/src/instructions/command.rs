//! CMD, ENTRYPOINT, SHELL: a line for the shell, or a JSON array.

use super::{NO_FLAGS, NotStrings, at_least_one, json_form};
use crate::flags::Flags;
use crate::keyword::Keyword;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Command, Word};

/// CMD and ENTRYPOINT. With nothing behind them they are an empty line for the shell.
pub(super) fn parse(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Command> {
    Flags::parse(statement, NO_FLAGS, sink);
    command(statement, sink)
}

/// The arguments as a command.
pub(super) fn command(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Command> {
    match json_form(statement, sink) {
        Ok(Some(words)) => Some(Command::Json(words)),
        Ok(None) => Some(Command::Shell(statement.word(statement.args.clone()))),
        Err(NotStrings) => None,
    }
}

/// SHELL, which has no shell form.
pub(super) fn shell(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Vec<Word>> {
    match parse(statement, sink)? {
        Command::Json(words) if !words.is_empty() => Some(words),
        Command::Shell(word) if !word.value.is_empty() => {
            let message = "SHELL requires the arguments to be in JSON form";
            statement.error(sink, "not-json", message);
            None
        }
        _ => {
            at_least_one(Keyword::Shell, statement, sink);
            None
        }
    }
}
