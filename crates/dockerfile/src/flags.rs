//! `--name=value` words between keyword and arguments.
//!
//! Two steps, as one instruction's flags are cut off before anybody knows which it may have: [`RawFlag::take`] decodes
//! quotes and escapes, [`Flags::parse`] checks against what the instruction takes.

use std::ops::Range;

use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Diagnostic, Spanned, Word, suggest};

/// A flag as it stands: quotes and escapes taken off.
#[derive(Debug)]
pub(crate) struct RawFlag {
    text: String,
    range: Range<usize>,
}

impl RawFlag {
    /// Cuts flags off `text` from `start` on. Returns them and where the arguments begin.
    pub(crate) fn take(text: &str, start: usize) -> (Vec<Self>, usize) {
        let mut flags = Vec::new();
        let mut at = start;
        loop {
            let rest = &text[at..];
            at += rest.len() - rest.trim_start().len();
            if !text[at..].starts_with("--") {
                return (flags, at);
            }
            let flag = Self::one(text, at);
            at = flag.range.end;
            if flag.text == "--" {
                return (flags, at);
            }
            if !flag.text.is_empty() {
                flags.push(flag);
            }
        }
    }

    /// The flag at `start`, up to white space outside of quotes. A backslash escapes, whatever the escape character.
    fn one(text: &str, start: usize) -> Self {
        let mut decoded = String::new();
        let mut quote = None;
        let mut end = text.len();
        let mut chars = text[start..].char_indices();
        while let Some((at, c)) = chars.next() {
            match (c, quote) {
                (c, None) if c.is_whitespace() => {
                    end = start + at;
                    break;
                }
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('\\', _) => decoded.extend(chars.next().map(|(_, escaped)| escaped)),
                (c, _) => decoded.push(c),
            }
        }
        Self {
            text: decoded,
            range: start..end,
        }
    }

    /// The name with its dashes, and the value after `=`.
    fn parts(&self) -> (&str, Option<&str>) {
        match self.text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&self.text, None),
        }
    }
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, `true` or `false`.
    Bool,
    /// A value, once.
    Value,
    /// A value, any number of times.
    Values,
}

/// The flags an instruction knows, without dashes.
pub(crate) type Known = &'static [(&'static str, Takes)];

/// Checked flags, taken out one by one.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    values: Vec<(&'static str, Word)>,
    /// Names in `values`, each once.
    used: Vec<&'static str>,
}

impl Flags {
    /// Checks a statement's flags; what is wrong with them goes to `sink`.
    pub(crate) fn parse(statement: &Statement<'_, '_>, known: Known, sink: &mut Sink) -> Self {
        let mut flags = Self::default();
        for raw in &statement.flags {
            match flags.check(statement, raw, known) {
                Ok((name, value)) => {
                    flags.values.push((name, value));
                    if !flags.used.contains(&name) {
                        flags.used.push(name);
                    }
                }
                Err(diagnostic) => sink.push(diagnostic),
            }
        }
        flags
    }

    fn check(
        &self,
        statement: &Statement<'_, '_>,
        raw: &RawFlag,
        known: Known,
    ) -> Result<(&'static str, Word), Diagnostic> {
        let (dashed, value) = raw.parts();
        let written = &statement.text()[raw.range.clone()];
        let equals = written.find('=').map_or(written.len(), |at| at + 1);
        let name_span = statement
            .line
            .span(raw.range.start..raw.range.start + equals.min(written.len()));
        let error = |code, message| {
            Err(Diagnostic::error(
                code,
                message,
                statement.line.span(raw.range.clone()),
            ))
        };

        let bare = dashed.strip_prefix("--").unwrap_or(dashed);
        let Some(&(name, takes)) = known.iter().find(|(name, _)| *name == bare) else {
            let unknown =
                Diagnostic::error("unknown-flag", format!("unknown flag: {dashed}"), name_span);
            return Err(match suggest(bare, known.iter().map(|(name, _)| *name)) {
                Some(meant) => unknown
                    .with_help(format!("did you mean {meant}?"))
                    .with_patch(if value.is_some() {
                        format!("--{meant}=")
                    } else {
                        format!("--{meant}")
                    }),
                None => unknown.with_help(takes_help(statement.keyword_text(), known)),
            });
        };
        if takes != Takes::Values && self.used.contains(&name) {
            return error(
                "duplicate-flag",
                format!("duplicate flag specified: {dashed}"),
            );
        }
        let value = match (takes, value) {
            (Takes::Bool, None) => "true".to_owned(),
            (Takes::Bool, Some("")) | (Takes::Value | Takes::Values, None) => {
                return error(
                    "missing-flag-value",
                    format!("missing a value on flag: {dashed}"),
                );
            }
            (Takes::Bool, Some(value)) => match value.to_lowercase() {
                lower if lower == "true" || lower == "false" => lower,
                _ => {
                    return error(
                        "invalid-flag-value",
                        format!("expecting boolean value for flag {dashed}, not: {value}"),
                    );
                }
            },
            (Takes::Value | Takes::Values, Some(value)) => value.to_owned(),
        };
        let value_start = raw.range.start + if equals < written.len() { equals } else { 0 };
        Ok((
            name,
            Word::new(value, statement.line.span(value_start..raw.range.end)),
        ))
    }

    /// The value of `name`; none if it is absent or empty.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Word> {
        self.value_or_empty(name)
            .filter(|word| !word.value.is_empty())
    }

    /// The value of `name`, be it empty.
    pub(crate) fn value_or_empty(&mut self, name: &'static str) -> Option<Word> {
        let at = self.values.iter().position(|(used, _)| *used == name)?;
        Some(self.values.remove(at).1)
    }

    /// The values of `name` in their order.
    pub(crate) fn values(&mut self, name: &'static str) -> Vec<Word> {
        self.values
            .extract_if(.., |(used, _)| *used == name)
            .map(|(_, word)| word)
            .collect()
    }

    /// The boolean `name`.
    pub(crate) fn bool(&mut self, name: &'static str) -> Option<Spanned<bool>> {
        let word = self.value_or_empty(name)?;
        Some(Spanned::new(word.value == "true", word.span))
    }
}

/// What the instruction does take.
fn takes_help(keyword: &str, known: Known) -> String {
    let keyword = keyword.to_uppercase();
    if known.is_empty() {
        return format!("{keyword} takes no flags");
    }
    let names: Vec<_> = known.iter().map(|(name, _)| format!("--{name}")).collect();
    format!("{keyword} takes {}", names.join(", "))
}
