//! ENV, LABEL and ARG: `key=value` words.

use std::ops::Range;

use super::{NO_FLAGS, at_least_one};
use crate::flags::Flags;
use crate::keyword::Keyword;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{ArgItem, Diagnostic, KeyValueForm, KeyValues, Word, words};

/// ENV and LABEL: the first word decides between `k=v …` and `k rest of line`.
pub(super) fn parse(
    keyword: Keyword,
    statement: &Statement<'_, '_>,
    sink: &mut Sink,
) -> Option<KeyValues> {
    Flags::parse(statement, NO_FLAGS, sink);
    let words = words::quoted(statement.text(), statement.args.clone(), statement.escape);
    let Some(first) = words.first() else {
        at_least_one(keyword, statement, sink);
        return None;
    };
    if !statement.text()[first.clone()].contains('=') {
        return legacy(keyword, statement, sink);
    }
    let mut pairs = Vec::new();
    for word in words {
        pairs.push(pair(keyword, statement, word, sink)?);
    }
    Some(KeyValues {
        pairs,
        form: KeyValueForm::Equals,
    })
}

fn legacy(keyword: Keyword, statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<KeyValues> {
    let args = statement.args.clone();
    let text = statement.args_text();
    let Some(blank) = text.find(words::is_blank) else {
        let message = format!("{} must have two arguments", keyword.name());
        let help = format!("write `{} {text}=value`", keyword.name());
        sink.push(
            Diagnostic::error("missing-argument", message, statement.args_span())
                .with_help(help)
                .in_lines(),
        );
        return None;
    };
    let value = text[blank..].trim_start_matches(words::is_blank);
    let key = statement.word(args.start..args.start + blank);
    let value = statement.word(args.end - value.len()..args.end);
    Some(KeyValues {
        pairs: vec![(key, value)],
        form: KeyValueForm::Legacy,
    })
}

fn pair(
    keyword: Keyword,
    statement: &Statement<'_, '_>,
    word: Range<usize>,
    sink: &mut Sink,
) -> Option<(Word, Word)> {
    let text = &statement.text()[word.clone()];
    let Some(equals) = text.find('=') else {
        let message = format!(
            "Syntax error - can't find = in \"{}\". Must be of the form: name=value",
            text.escape_debug()
        );
        let diagnostic = Diagnostic::error("missing-equals", message, statement.line.span(word));
        let help = "a value with blanks in it needs quotes";
        sink.push(diagnostic.with_help(help).in_lines());
        return None;
    };
    if equals == 0 {
        blank_name(keyword, statement, word, sink);
        return None;
    }
    let key = statement.word(word.start..word.start + equals);
    Some((key, statement.word(word.start + equals + 1..word.end)))
}

/// ARG: names with or without a default. Flags are not looked at, as in BuildKit.
pub(super) fn arg(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<Vec<ArgItem>> {
    let words = words::quoted(statement.text(), statement.args.clone(), statement.escape);
    if words.is_empty() {
        at_least_one(Keyword::Arg, statement, sink);
        return None;
    }
    let mut items = Vec::new();
    for word in words {
        let item = if statement.text()[word.clone()].contains('=') {
            let (name, default) = pair(Keyword::Arg, statement, word, sink)?;
            ArgItem {
                name,
                default: Some(default),
            }
        } else {
            ArgItem {
                name: statement.word(word),
                default: None,
            }
        };
        items.push(item);
    }
    Some(items)
}

fn blank_name(
    keyword: Keyword,
    statement: &Statement<'_, '_>,
    word: Range<usize>,
    sink: &mut Sink,
) {
    let message = format!("{} names can not be blank", keyword.name());
    sink.push(Diagnostic::error(
        "blank-name",
        message,
        statement.line.span(word),
    ));
}
