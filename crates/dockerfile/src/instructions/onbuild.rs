//! ONBUILD: another instruction, kept as text until an image is built from this one.

use super::{NO_FLAGS, at_least_one};
use crate::flags::Flags;
use crate::keyword::Keyword;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Diagnostic, Onbuild, heredoc, parser};

/// Parses ONBUILD and its payload. (BuildKit looks at the payload's flags and arguments when it fires; here its
/// mistakes are told to the one who makes them.)
pub(super) fn parse(statement: &mut Statement<'_, '_>, sink: &mut Sink) -> Option<Onbuild> {
    Flags::parse(statement, NO_FLAGS, sink);
    if statement.args.is_empty() {
        at_least_one(Keyword::Onbuild, statement, sink);
        return None;
    }
    let mut payload = Statement::cut(statement.line, statement.args.clone(), statement.escape);
    let forbidden = |message: String| {
        Diagnostic::error(
            "invalid-trigger",
            message,
            payload.line.span(payload.keyword.clone()),
        )
    };
    let Some(keyword) = Keyword::find(payload.keyword_text()) else {
        sink.push(parser::unknown_instruction(&payload, None));
        return None;
    };
    match keyword {
        Keyword::Onbuild => {
            sink.push(forbidden(
                "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned(),
            ));
            return None;
        }
        Keyword::From | Keyword::Maintainer => {
            sink.push(forbidden(format!(
                "{} isn't allowed as an ONBUILD trigger",
                keyword.name()
            )));
            return None;
        }
        _ => {}
    }

    let expression = heredoc::reassemble(trigger_text(statement), &statement.heredocs);
    payload.heredocs = std::mem::take(&mut statement.heredocs);
    let end = payload.heredocs.last().map(|last| last.body.span);
    let kind = super::parse(keyword, &mut payload, sink)?;
    let line = payload.line.span(payload.range.clone());
    let span = end.map_or(line, |end| line.to(end));
    let instruction = parser::instruction(&payload, kind, Vec::new(), span);
    Some(Onbuild {
        expression,
        instruction: Box::new(instruction),
    })
}

/// Everything behind the keyword, the blanks at the line's end included.
fn trigger_text<'t>(statement: &Statement<'t, '_>) -> &'t str {
    statement.text()[statement.keyword.end..].trim_start()
}
