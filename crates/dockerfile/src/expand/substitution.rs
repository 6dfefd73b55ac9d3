//! What follows a `$`: a name, or `{…}` with one of its forms.

use std::borrow::Cow;

use super::glob::{Glob, Greed};
use super::lexer::{Escapes, Found, Lexer, Unset};
use super::{ExpandError, MAX_DEPTH};

impl<'t> Lexer<'t> {
    /// `$name` or `${…}`, and what it comes to.
    pub(super) fn dollar(&mut self, result: &mut String) -> Result<(), ExpandError> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                result.push('$');
                return Ok(());
            }
            match self.variable(name, Found::Missing) {
                Some(value) => {
                    self.spend(value)?;
                    result.push_str(value);
                }
                None if self.mode.unset == Unset::Kept => result.extend(["$", name]),
                None => {}
            }
            return Ok(());
        }
        self.next();
        if self.depth == MAX_DEPTH {
            return Err(ExpandError::TooDeep);
        }
        self.depth += 1;
        let value = self.braces();
        self.depth -= 1;
        let value = value?;
        self.spend(&value)?;
        result.push_str(&value);
        Ok(())
    }

    /// What follows `${`, with its `}`.
    fn braces(&mut self) -> Result<Cow<'t, str>, ExpandError> {
        match self.peek() {
            None => return Err(ExpandError::MissingBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next().ok_or(ExpandError::MissingBrace)? {
            '}' => match self.variable(name, Found::Missing) {
                Some(value) => Ok(Cow::Borrowed(value)),
                None if self.mode.unset == Unset::Kept => Ok(format!("${{{name}}}").into()),
                None => Ok(Cow::Borrowed("")),
            },
            ':' => match self.next().ok_or(ExpandError::MissingBrace)? {
                modifier @ ('-' | '+' | '?') => self
                    .fallback(name, modifier, Empty::CountsAsUnset)
                    .map(Cow::Owned),
                other => Err(ExpandError::UnsupportedModifier(format!(":{other}"))),
            },
            modifier @ ('-' | '+' | '?') => self
                .fallback(name, modifier, Empty::IsAValue)
                .map(Cow::Owned),
            modifier @ ('#' | '%') => self.strip(name, modifier).map(Cow::Owned),
            '/' => self.replace(name).map(Cow::Owned),
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
        let mut word = String::new();
        let read = self.until(Some(stop), &mut word, None);
        self.mode.escapes = outer;
        read.map(|()| word)
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
        self.names.note(name, found);
        value
    }

    /// Counts what an expansion adds.
    fn spend(&mut self, value: &str) -> Result<(), ExpandError> {
        self.budget = self
            .budget
            .checked_sub(value.len())
            .ok_or(ExpandError::TooLong)?;
        Ok(())
    }
}

/// What a colon makes of an empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsAValue,
    CountsAsUnset,
}
