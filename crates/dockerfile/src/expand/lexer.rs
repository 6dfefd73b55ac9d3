//! The reader of expansions: one pass over the text, a call deeper for each `${…}` within another.

use std::collections::HashMap;

use super::glob::{Glob, Greed};
use super::split::{SplitWord, Splitter};
use super::{ExpandError, Expanded, MAX_DEPTH, MAX_GROWTH_BYTES, Variables};
use crate::Escape;

/// What becomes of quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// They quote and are taken off.
    Removed,
    /// They quote and stay.
    Kept,
    /// They are like any character.
    Plain,
}

/// What becomes of escape characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// Taken off.
    Removed,
    /// They escape and stay.
    Kept,
}

/// What becomes of variables that are not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// Nothing.
    Empty,
    /// They stay as they are written.
    Kept,
}

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) quotes: Quotes,
    pub(crate) escapes: Escapes,
    pub(crate) unset: Unset,
}

impl Mode {
    /// An instruction's word.
    pub(crate) const WORD: Self = Self {
        quotes: Quotes::Removed,
        escapes: Escapes::Removed,
        unset: Unset::Empty,
    };
}

/// A name that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Set,
    Defaulted,
    Missing,
}

/// Reads one text.
pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    escape: char,
    variables: &'t dyn Variables,
    mode: Mode,
    depth: usize,
    /// Bytes that expansions may still add.
    budget: usize,
    names: Vec<(String, Found)>,
    known: HashMap<String, usize>,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(
        text: &'t str,
        escape: Escape,
        variables: &'t dyn Variables,
        mode: Mode,
    ) -> Self {
        Self {
            text,
            at: 0,
            escape: escape.char(),
            variables,
            mode,
            depth: 0,
            budget: MAX_GROWTH_BYTES,
            names: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// The whole text, and the same split into words.
    pub(crate) fn run(mut self) -> Result<(Expanded, Vec<SplitWord>), ExpandError> {
        let mut splitter = Splitter::default();
        let text = self.until(None, Some(&mut splitter))?;
        let words = splitter.finish(self.text.len());
        let pick = |wanted: &[Found]| {
            self.names
                .iter()
                .filter(|(_, found)| wanted.contains(found))
                .map(|(name, _)| name.clone())
                .collect()
        };
        let undefined = pick(&[Found::Defaulted, Found::Missing]);
        let expanded = Expanded {
            text,
            undefined,
            defaulted: pick(&[Found::Defaulted]),
            used: pick(&[Found::Set]),
        };
        Ok((expanded, words))
    }

    /// Reads up to and with `stop`, or to the end.
    fn until(
        &mut self,
        stop: Option<char>,
        mut words: Option<&mut Splitter>,
    ) -> Result<String, ExpandError> {
        let mut result = String::new();
        while let Some(c) = self.peek() {
            let start = self.at;
            if stop == Some(c) {
                self.next();
                return Ok(result);
            }
            let (piece, splits) = match c {
                '$' => (self.dollar()?, true),
                '\'' if self.mode.quotes != Quotes::Plain => (self.single_quotes()?, false),
                '"' if self.mode.quotes != Quotes::Plain => (self.double_quotes()?, false),
                '<' if self.mode.quotes != Quotes::Plain => (self.angle(), false),
                c if c == self.escape => (self.escaped(), false),
                _ => {
                    let plain = self.plain(stop);
                    result.push_str(plain);
                    if let Some(words) = words.as_deref_mut() {
                        words.add_text(plain, start);
                    }
                    continue;
                }
            };
            result.push_str(&piece);
            if let Some(words) = words.as_deref_mut() {
                if splits {
                    words.add_value(&piece, start);
                } else {
                    words.add_whole(&piece, start);
                }
            }
        }
        match stop {
            Some('/') => Err(ExpandError::MissingSlash),
            Some(_) => Err(ExpandError::MissingBrace),
            None => Ok(result),
        }
    }

    /// The characters before the next one that may mean something.
    fn plain(&mut self, stop: Option<char>) -> &'t str {
        let rest = &self.text[self.at..];
        let special =
            |c: char| matches!(c, '$' | '\'' | '"' | '<') || c == self.escape || Some(c) == stop;
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let length = rest[first..]
            .find(special)
            .map_or(rest.len(), |at| first + at);
        self.at += length;
        &rest[..length]
    }

    /// `\x`; at the very end the escape vanishes.
    fn escaped(&mut self) -> String {
        self.next();
        let mut piece = String::new();
        if self.mode.escapes == Escapes::Kept {
            piece.push(self.escape);
        }
        piece.extend(self.next());
        piece
    }

    /// `<<` with the white space after it: a heredoc's name may stand apart, and is one word with it all the same.
    fn angle(&mut self) -> String {
        let start = self.at;
        self.next();
        if self.peek() == Some('<') {
            self.next();
            while self
                .peek()
                .is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
            {
                self.next();
            }
        }
        self.text[start..self.at].to_owned()
    }

    fn single_quotes(&mut self) -> Result<String, ExpandError> {
        let start = self.at;
        self.next();
        let length = self.text[self.at..]
            .find('\'')
            .ok_or(ExpandError::UnclosedSingleQuote)?;
        let inner = self.at..self.at + length;
        self.at = inner.end + 1;
        let range = if self.mode.quotes == Quotes::Kept {
            start..self.at
        } else {
            inner
        };
        Ok(self.text[range].to_owned())
    }

    fn double_quotes(&mut self) -> Result<String, ExpandError> {
        let mut result = String::new();
        let keeps_quotes = self.mode.quotes == Quotes::Kept;
        self.next();
        if keeps_quotes {
            result.push('"');
        }
        loop {
            match self.peek().ok_or(ExpandError::UnclosedDoubleQuote)? {
                '"' => {
                    self.next();
                    if keeps_quotes {
                        result.push('"');
                    }
                    return Ok(result);
                }
                '$' => result.push_str(&self.dollar()?),
                c if c == self.escape => {
                    self.next();
                    if self.mode.escapes == Escapes::Kept {
                        result.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(special)
                            if special == '"' || special == '$' || special == self.escape =>
                        {
                            self.next();
                            result.push(special);
                        }
                        // Before anything else the escape is a character like any other.
                        Some(_) => result.push(c),
                    }
                }
                c => {
                    self.next();
                    result.push(c);
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return match self.variable(name, Found::Missing) {
                Some(value) => self.spend(value.to_owned()),
                None if self.mode.unset == Unset::Kept => Ok(format!("${name}")),
                None => Ok(String::new()),
            };
        }
        self.next();
        if self.depth == MAX_DEPTH {
            return Err(ExpandError::TooDeep);
        }
        self.depth += 1;
        let value = self.braces();
        self.depth -= 1;
        self.spend(value?)
    }

    /// What follows `${`, with its `}`.
    fn braces(&mut self) -> Result<String, ExpandError> {
        match self.peek() {
            None => return Err(ExpandError::MissingBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next().ok_or(ExpandError::MissingBrace)? {
            '}' => match self.variable(name, Found::Missing) {
                Some(value) => Ok(value.to_owned()),
                None if self.mode.unset == Unset::Kept => Ok(format!("${{{name}}}")),
                None => Ok(String::new()),
            },
            ':' => match self.next().ok_or(ExpandError::MissingBrace)? {
                modifier @ ('-' | '+' | '?') => self.fallback(name, modifier, Empty::CountsAsUnset),
                other => Err(ExpandError::UnsupportedModifier(format!(":{other}"))),
            },
            modifier @ ('-' | '+' | '?') => self.fallback(name, modifier, Empty::IsAValue),
            modifier @ ('#' | '%') => self.strip(name, modifier),
            '/' => self.replace(name),
            other => Err(ExpandError::UnsupportedModifier(other.to_string())),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}`, and the three with a colon.
    fn fallback(
        &mut self,
        name: &'t str,
        modifier: char,
        empty: Empty,
    ) -> Result<String, ExpandError> {
        let word = self.argument('}', Escapes::Removed)?;
        let unset = if modifier == '?' {
            Found::Missing
        } else {
            Found::Defaulted
        };
        let value = self.variable(name, unset);
        if value.is_none() && self.mode.unset == Unset::Kept {
            let colon = if empty == Empty::CountsAsUnset {
                ":"
            } else {
                ""
            };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let value = value.filter(|value| !(empty == Empty::CountsAsUnset && value.is_empty()));
        match (modifier, value) {
            ('-', None) | ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value.to_owned()),
            (_, None) => {
                let is_set = self.variables.get(name).is_some();
                let message = match (word.is_empty(), is_set) {
                    (false, _) => word,
                    (true, false) => "is not allowed to be unset".to_owned(),
                    (true, true) => "is not allowed to be empty".to_owned(),
                };
                Err(ExpandError::Required {
                    name: name.to_owned(),
                    message,
                })
            }
        }
    }

    /// `${name#pattern}`, `##`, `%`, `%%`.
    fn strip(&mut self, name: &'t str, modifier: char) -> Result<String, ExpandError> {
        let word = self.argument('}', Escapes::Kept)?;
        let Some(value) = self.variable(name, Found::Missing) else {
            return Ok(match self.mode.unset {
                Unset::Kept => format!("${{{name}{modifier}{word}}}"),
                Unset::Empty => {
                    Glob::new(word.strip_prefix(modifier).unwrap_or(&word))?;
                    String::new()
                }
            });
        };
        let (greed, pattern) = match word.strip_prefix(modifier) {
            Some(pattern) => (Greed::Longest, pattern),
            None => (Greed::Shortest, word.as_str()),
        };
        let glob = Glob::new(pattern)?;
        Ok(if modifier == '#' {
            glob.strip_prefix(value, greed)
        } else {
            glob.strip_suffix(value, greed)
        }
        .to_owned())
    }

    /// `${name/pattern/text}`, `//`.
    fn replace(&mut self, name: &'t str) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.argument('/', Escapes::Kept)?;
        let replacement = self.argument('}', Escapes::Kept)?;
        let Some(value) = self.variable(name, Found::Missing) else {
            return Ok(match self.mode.unset {
                Unset::Kept => format!("${{{name}/{pattern}/{replacement}}}"),
                Unset::Empty => {
                    // Of nothing too, an empty match can be replaced.
                    self.replaced("", &pattern, &replacement, all)?
                }
            });
        };
        self.replaced(value, &pattern, &replacement, all)
    }

    fn replaced(
        &self,
        value: &str,
        pattern: &str,
        replacement: &str,
        all: bool,
    ) -> Result<String, ExpandError> {
        let glob = Glob::new(pattern)?;
        if all {
            glob.replace_all(value, replacement, self.budget)
        } else {
            Ok(glob.replace_first(value, replacement))
        }
    }

    /// A word within `${…}`, up to `stop`.
    fn argument(&mut self, stop: char, escapes: Escapes) -> Result<String, ExpandError> {
        let outer = std::mem::replace(&mut self.mode.escapes, escapes);
        let word = self.until(Some(stop), None);
        self.mode.escapes = outer;
        word
    }

    /// A name: a digit run, a special parameter, or letters, digits and `_`.
    fn name(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let length = match rest.chars().next() {
            Some(c) if c.is_numeric() => rest.find(|c: char| !c.is_numeric()).unwrap_or(rest.len()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len()),
        };
        self.at += length;
        &rest[..length]
    }

    /// The value of `name`, and a note of it.
    fn variable(&mut self, name: &'t str, unset: Found) -> Option<&'t str> {
        let value = self.variables.get(name);
        let found = if value.is_some() { Found::Set } else { unset };
        if let Some(&at) = self.known.get(name) {
            let noted = &mut self.names[at].1;
            *noted = (*noted).max(found);
        } else {
            self.known.insert(name.to_owned(), self.names.len());
            self.names.push((name.to_owned(), found));
        }
        value
    }

    /// Counts what an expansion adds.
    fn spend(&mut self, value: String) -> Result<String, ExpandError> {
        self.budget = self
            .budget
            .checked_sub(value.len())
            .ok_or(ExpandError::TooLong)?;
        Ok(value)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }
}

/// What a colon makes of an empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsAValue,
    CountsAsUnset,
}
