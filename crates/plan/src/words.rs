//! Expansion of words with a stage's variables.

use rbuild_dockerfile::{
    Diagnostic, Escape, ExpandError, Expanded, Instruction, Span, Variables, parse_onbuild,
};

use crate::environment::Environment;
use crate::go::quote;

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        Environment::get(self, name)
    }
}

/// Expands `text` as one word: quotes are taken off.
pub(crate) fn expand(
    text: &str,
    escape: Escape,
    env: &Environment,
) -> Result<Expanded, ExpandError> {
    if is_plain(text, escape) {
        return Ok(Expanded {
            text: text.to_owned(),
            ..Expanded::default()
        });
    }
    rbuild_dockerfile::expand(text, escape, env)
}

/// Whether expansion leaves `text` as it is: most words of most files.
fn is_plain(text: &str, escape: Escape) -> bool {
    let escape = escape.char() as u8;
    let is_special = |byte: u8| matches!(byte, b'$' | b'\'' | b'"') || byte == escape;
    !text.bytes().any(is_special)
}

/// The diagnostic for `text` that cannot be expanded.
pub(crate) fn mistake(reason: &ExpandError, text: &str, span: Span) -> Diagnostic {
    let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    let message = format!("failed to process {}: {reason}", quote(&shown));
    Diagnostic::error("expansion", message, span)
}

/// So much of a text is shown in a message.
const MAX_SHOWN_CHARS: usize = 1000;

/// An ONBUILD's instruction. Its own spans point into the trigger's text, so mistakes stand at `span`.
pub(crate) fn trigger(expression: &str, span: Span) -> Result<Instruction, Diagnostic> {
    parse_onbuild(expression).map_err(|mistakes| {
        let first = mistakes.into_iter().next();
        let (reason, help) = first.map_or_else(
            || ("it is no instruction".to_owned(), None),
            |first| (first.message, first.help),
        );
        let message = format!(
            "invalid ONBUILD trigger {} of the base: {reason}",
            quote(expression)
        );
        Diagnostic {
            help,
            ..Diagnostic::error("invalid-trigger", message, span)
        }
    })
}
