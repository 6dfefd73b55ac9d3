//! FROM: `FROM [--platform=P] base [AS name]`.

use crate::flags::{Flags, Known, Takes};
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Diagnostic, From, Word};

const FLAGS: Known = &[("platform", Takes::Value)];

/// Parses FROM.
pub(crate) fn from(statement: &Statement<'_, '_>, sink: &mut Sink) -> Option<From> {
    let mut flags = Flags::parse(statement, FLAGS, sink);
    let platform = flags.value("platform");
    let mut words = statement.blank_separated().into_iter();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(base), None, None, None) => Some(From {
            platform,
            base,
            as_keyword: None,
            name: None,
        }),
        (Some(base), Some(keyword), Some(name), None)
            if keyword.value.eq_ignore_ascii_case("as") =>
        {
            check_name(&name, sink)?;
            Some(From {
                platform,
                base,
                as_keyword: Some(keyword),
                name: Some(name),
            })
        }
        _ => {
            let message = "FROM requires either one or three arguments";
            let diagnostic = Diagnostic::error("from-arguments", message, statement.args_span());
            sink.push(diagnostic.with_help("write `FROM image` or `FROM image AS name`"));
            None
        }
    }
}

/// A stage's name, once in lower case: a letter, then letters, digits, `-`, `_`, `.`.
fn check_name(name: &Word, sink: &mut Sink) -> Option<()> {
    let lower = name.value.to_lowercase();
    let valid = lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
        });
    if valid {
        return Some(());
    }
    let message = format!(
        "invalid name for build stage: \"{}\", name can't start with a number or contain symbols",
        name.value.escape_debug()
    );
    sink.push(Diagnostic::error("invalid-stage-name", message, name.span));
    None
}
