//! Variable expansion: `$name`, `${name}`, `${name:-word}`, `${name#pattern}`, `${name/pattern/text}`; quotes; escapes.
//!
//! The language is BuildKit's dialect of a shell's, oddities included: `$$` is a variable that is never set (write
//! `\$`), a digit run is a whole name, `${name/pattern}` needs its second slash.

mod glob;
mod lexer;
mod split;
mod substitution;

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use thiserror::Error;

use crate::Escape;
pub(crate) use lexer::{Escapes, Lexer, Mode, Quotes, Unset};
pub(crate) use split::SplitWord;

/// Nesting of `${…${…}…}` that is followed.
pub(crate) const MAX_DEPTH: usize = 64;

/// What an expansion may add to its text: `ENV A=$A$A$A…` must not grow without end.
pub(crate) const MAX_GROWTH_BYTES: usize = 1 << 20;

/// Longest pattern of `${name#pattern}` and its like, in characters.
pub(crate) const MAX_PATTERN_CHARS: usize = 4096;

/// Where values come from.
pub trait Variables {
    /// The value of `name`; none if it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        Self::get(self, name).map(String::as_str)
    }
}

impl<S: BuildHasher> Variables for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        Self::get(self, name).map(String::as_str)
    }
}

/// No variables.
impl Variables for () {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// A text after expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The result.
    pub text: String,
    /// Names that were asked for and are not set, in the order of their first use.
    pub undefined: Vec<String>,
    /// Those among `undefined` that nothing but forms with a word for that case asked for: `${name:-word}`,
    /// `${name+word}`.
    pub defaulted: Vec<String>,
    /// Names that were asked for and are set, in the order of their first use.
    pub used: Vec<String>,
}

/// Words after expansion and splitting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpandedWords {
    /// The words; never an empty one.
    pub words: Vec<String>,
    /// As [`Expanded::undefined`].
    pub undefined: Vec<String>,
    /// As [`Expanded::defaulted`].
    pub defaulted: Vec<String>,
    /// As [`Expanded::used`].
    pub used: Vec<String>,
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExpandError {
    /// `'` without its partner.
    #[error("unexpected end of statement while looking for matching single-quote")]
    UnclosedSingleQuote,
    /// `"` without its partner.
    #[error("unexpected end of statement while looking for matching double-quote")]
    UnclosedDoubleQuote,
    /// `${` without `}`.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${name/pattern` without the second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${{`, `${:`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// `${name^}` and other forms that do not exist here.
    #[error("unsupported modifier ({0}) in substitution")]
    UnsupportedModifier(String),
    /// A pattern with an escape of something that is not special.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What follows its backslash.
        escaped: String,
    },
    /// `${name:?message}` of a variable that is unset or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message after `?`.
        message: String,
    },
    /// `${…${…${…` too deep.
    #[error("substitutions are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// The result outgrows all reason.
    #[error("the expansion grows by more than {} MiB", MAX_GROWTH_BYTES >> 20)]
    TooLong,
    /// A pattern outgrows all reason.
    #[error("a pattern is longer than {MAX_PATTERN_CHARS} characters")]
    PatternTooLong,
}

/// Expands one word: variables replaced, quotes and escapes taken off. White space stays.
pub fn expand(
    text: &str,
    escape: Escape,
    variables: &dyn Variables,
) -> Result<Expanded, ExpandError> {
    Lexer::new(text, escape, variables, Mode::WORD).run()
}

/// Expands and then splits at white space outside of quotes, values included: what EXPOSE does.
pub fn expand_words(
    text: &str,
    escape: Escape,
    variables: &dyn Variables,
) -> Result<ExpandedWords, ExpandError> {
    let lexer = Lexer::new(text, escape, variables, Mode::WORD);
    let (
        Expanded {
            undefined,
            defaulted,
            used,
            ..
        },
        words,
    ) = lexer.run_split()?;
    let words = words.into_iter().map(|word| word.text).collect();
    Ok(ExpandedWords {
        words,
        undefined,
        defaulted,
        used,
    })
}

/// Expands the body of a heredoc: quotes are like any character, and the escape is `\` whatever the file says.
pub fn expand_raw(text: &str, variables: &dyn Variables) -> Result<Expanded, ExpandError> {
    let mode = Mode {
        quotes: Quotes::Plain,
        ..Mode::WORD
    };
    Lexer::new(text, Escape::Backslash, variables, mode).run()
}

/// Puts known variables into a command that is shown to people: quotes and unset variables stay, escapes outside of
/// quotes are taken off.
pub fn expand_shown(
    text: &str,
    escape: Escape,
    variables: &dyn Variables,
) -> Result<String, ExpandError> {
    let mode = Mode {
        quotes: Quotes::Kept,
        unset: Unset::Kept,
        ..Mode::WORD
    };
    let expanded = Lexer::new(text, escape, variables, mode).run()?;
    Ok(expanded.text)
}

#[cfg(test)]
mod tests;
