//! The reader of expansions: one pass over the text, a call deeper for each `${…}` within another. What follows a `$` is
//! read in [`super::substitution`].

use std::collections::HashMap;

use super::split::{SplitWord, Splitter};
use super::{ExpandError, Expanded, MAX_GROWTH_BYTES, Variables};
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
pub(super) enum Found {
    Set,
    Defaulted,
    Missing,
}

/// Reads one text.
pub(crate) struct Lexer<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    escape: char,
    pub(super) variables: &'t dyn Variables,
    pub(super) mode: Mode,
    pub(super) depth: usize,
    /// Bytes that expansions may still add.
    pub(super) budget: usize,
    pub(super) names: Vec<(String, Found)>,
    pub(super) known: HashMap<String, usize>,
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
    pub(super) fn until(
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

    pub(super) fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }
}
