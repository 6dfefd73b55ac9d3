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
    pub(super) names: Names<'t>,
}

/// Names that were asked for, in the order of their first use.
#[derive(Default)]
pub(super) struct Names<'t> {
    list: Vec<(&'t str, Found)>,
    /// Their places, once they are too many to look through.
    places: HashMap<&'t str, usize>,
}

/// So many names are looked through one by one.
const FEW: usize = 8;

impl<'t> Names<'t> {
    pub(super) fn note(&mut self, name: &'t str, found: Found) {
        let known = if self.places.is_empty() {
            self.list.iter().position(|(known, _)| *known == name)
        } else {
            self.places.get(name).copied()
        };
        if let Some(known) = known {
            let noted = &mut self.list[known].1;
            *noted = (*noted).max(found);
            return;
        }
        self.list.push((name, found));
        match self.list.len() {
            ..FEW => {}
            FEW => {
                let places = self.list.iter().enumerate();
                self.places = places.map(|(place, (name, _))| (*name, place)).collect();
            }
            more => {
                self.places.insert(name, more - 1);
            }
        }
    }

    fn pick(&self, wanted: &[Found]) -> Vec<String> {
        let names = self.list.iter();
        let names = names.filter(|(_, found)| wanted.contains(found));
        names.map(|(name, _)| (*name).to_owned()).collect()
    }
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
            names: Names::default(),
        }
    }

    /// The whole text.
    pub(crate) fn run(mut self) -> Result<Expanded, ExpandError> {
        let mut text = String::with_capacity(self.text.len());
        self.until(None, &mut text, None)?;
        Ok(self.expanded(text))
    }

    /// The whole text, and the same split into words.
    pub(crate) fn run_split(mut self) -> Result<(Expanded, Vec<SplitWord>), ExpandError> {
        let mut text = String::with_capacity(self.text.len());
        let mut splitter = Splitter::default();
        self.until(None, &mut text, Some(&mut splitter))?;
        let words = splitter.finish(self.text.len());
        Ok((self.expanded(text), words))
    }

    fn expanded(&self, text: String) -> Expanded {
        Expanded {
            text,
            undefined: self.names.pick(&[Found::Defaulted, Found::Missing]),
            defaulted: self.names.pick(&[Found::Defaulted]),
            used: self.names.pick(&[Found::Set]),
        }
    }

    /// Reads up to and with `stop`, or to the end, and appends what that comes to to `result`.
    pub(super) fn until(
        &mut self,
        stop: Option<char>,
        result: &mut String,
        mut words: Option<&mut Splitter>,
    ) -> Result<(), ExpandError> {
        while let Some(c) = self.peek() {
            let start = self.at;
            if stop == Some(c) {
                self.next();
                return Ok(());
            }
            let piece = result.len();
            let splits = match c {
                '$' => {
                    self.dollar(result)?;
                    true
                }
                '\'' | '"' | '<' if self.mode.quotes != Quotes::Plain => {
                    match c {
                        '\'' => self.single_quotes(result)?,
                        '"' => self.double_quotes(result)?,
                        _ => self.angle(result),
                    }
                    false
                }
                c if c == self.escape => {
                    self.escaped(result);
                    false
                }
                _ => {
                    let plain = self.plain(stop);
                    result.push_str(plain);
                    if let Some(words) = words.as_deref_mut() {
                        words.add_text(plain, start);
                    }
                    continue;
                }
            };
            if let Some(words) = words.as_deref_mut() {
                let piece = &result[piece..];
                if splits {
                    words.add_value(piece, start);
                } else {
                    words.add_whole(piece, start);
                }
            }
        }
        match stop {
            Some('/') => Err(ExpandError::MissingSlash),
            Some(_) => Err(ExpandError::MissingBrace),
            None => Ok(()),
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
    fn escaped(&mut self, result: &mut String) {
        self.next();
        if self.mode.escapes == Escapes::Kept {
            result.push(self.escape);
        }
        result.extend(self.next());
    }

    /// `<<` with the white space after it: a heredoc's name may stand apart, and is one word with it all the same.
    fn angle(&mut self, result: &mut String) {
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
        result.push_str(&self.text[start..self.at]);
    }

    fn single_quotes(&mut self, result: &mut String) -> Result<(), ExpandError> {
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
        result.push_str(&self.text[range]);
        Ok(())
    }

    fn double_quotes(&mut self, result: &mut String) -> Result<(), ExpandError> {
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
                    return Ok(());
                }
                '$' => self.dollar(result)?,
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
                _ => {
                    let rest = &self.text[self.at..];
                    let is_special = |c: char| matches!(c, '"' | '$') || c == self.escape;
                    let length = rest.find(is_special).unwrap_or(rest.len());
                    self.at += length;
                    result.push_str(&rest[..length]);
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
