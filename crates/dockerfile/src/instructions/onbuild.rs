//! ONBUILD: another instruction, kept as text until an image is built from this one.

use super::{NO_FLAGS, at_least_one};
use crate::flags::Flags;
use crate::keyword::Keyword;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Diagnostic, Onbuild, Pass, heredoc};

/// Parses ONBUILD. What the payload's words mean is looked at when it fires, as its image may be built by another builder
/// than the one that uses it: here it only has to be readable, and of a kind that can fire.
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
    let keyword = Keyword::find(payload.keyword_text());
    match keyword {
        Some(Keyword::Onbuild) => {
            sink.push(forbidden(
                "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned(),
            ));
            return None;
        }
        Some(keyword @ (Keyword::From | Keyword::Maintainer)) => {
            sink.push(forbidden(format!(
                "{} isn't allowed as an ONBUILD trigger",
                keyword.name()
            )));
            return None;
        }
        _ => {}
    }

    let expression = heredoc::reassemble(trigger_text(statement), &statement.heredocs);
    if let Some(keyword) = keyword {
        payload.heredocs = std::mem::take(&mut statement.heredocs);
        let mut found = Sink::default();
        super::parse(keyword, &mut payload, &mut found);
        let unreadable = found.into_diagnostics().into_iter();
        for mistake in unreadable.filter(|mistake| mistake.pass == Pass::Lines) {
            sink.push(mistake);
        }
    }
    Some(Onbuild { expression })
}

/// Everything behind the keyword, the blanks at the line's end included.
fn trigger_text<'t>(statement: &Statement<'t, '_>) -> &'t str {
    statement.text()[statement.keyword.end..].trim_start()
}
