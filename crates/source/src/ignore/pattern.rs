//! One pattern: Go's `filepath.Match`, and the dialect of `.dockerignore` files, which adds `**`.
//!
//! ```text
//! text      a/*/[b-d]?          **/x             a/**
//! tokens    a / Star / Class ?  Dirs x           (shape Prefix "a/")
//! match     all tokens at once, one pass over the path: time is path × pattern at worst
//! ```
//!
//! Paths are bytes. What is UTF-8 in them is matched by character, a byte that is not counts as one
//! character, as Go's decoder has it.

mod automaton;

use crate::SourceError;
use automaton::run;

/// A compiled pattern. [`Pattern::glob`] is Go's `filepath.Match`, which is what wildcard sources of
/// COPY and ADD mean; [`Pattern::ignore`] is what a line of `.dockerignore` or `--exclude` means.
///
/// ```
/// use rbuild_source::Pattern;
///
/// let sources = Pattern::glob("src/*.[ch]")?;
/// assert!(sources.matches(b"src/main.c"));
/// assert!(!sources.matches(b"src/lib/util.c"));
/// assert!(Pattern::ignore("**/*.o")?.matches(b"a/b/c.o"));
/// # Ok::<(), rbuild_source::SourceError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Vec<u8>,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    /// The path is the text.
    Exact,
    /// The path starts with this.
    Prefix(Vec<u8>),
    /// The path ends with this, or is this without its leading `/`.
    Suffix(Vec<u8>),
    /// All else.
    Tokens {
        tokens: Vec<Token>,
        /// Bytes that every matching path starts with, and ends with.
        head: Vec<u8>,
        tail: Vec<u8>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This character.
    Unit(u32),
    /// Any character but `/`.
    Any,
    /// `[…]`
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
    /// Any number of characters but `/`.
    Star,
    /// Anything at all.
    Rest,
    /// Nothing, or anything that ends in `/`; always followed by its `DirsLoop`.
    Dirs,
    /// Inside of the above.
    DirsLoop,
}

const SLASH: u32 = b'/' as u32;
/// What a byte that is not UTF-8 counts as in a class, as in Go.
const REPLACEMENT: u32 = 0xFFFD;
/// Such a byte as a literal: above all characters, so that it equals only itself.
const RAW_BYTE: u32 = 0x11_0000;

impl Pattern {
    /// Go's `filepath.Match`: `*`, `?`, `[a-z]`, `[^a]`, `\` escapes; none but a class matches `/`.
    pub fn glob(text: impl AsRef<[u8]>) -> Result<Self, SourceError> {
        let text = text.as_ref();
        let tokens = Parser::new(text, Dialect::Glob).tokens()?;
        Ok(Self {
            text: text.to_vec(),
            shape: shape_of(text, Kind::Exact, tokens),
        })
    }

    /// A line of an ignore file after its cleaning, without `!`: as [`Pattern::glob`], and `**` for any number
    /// of directories.
    pub fn ignore(text: impl AsRef<[u8]>) -> Result<Self, SourceError> {
        let text = text.as_ref();
        // Validity is judged by the rules of `filepath.Match`, the meaning is that of the dialect.
        Parser::new(text, Dialect::Glob).tokens()?;
        let mut parser = Parser::new(text, Dialect::Ignore);
        let tokens = parser.tokens()?;
        Ok(Self {
            text: text.to_vec(),
            shape: shape_of(text, parser.kind, tokens),
        })
    }

    /// Whether `text` has a character that [`Pattern::glob`] gives a meaning: `*`, `?`, `[`, or an escape.
    pub fn has_wildcard(text: &[u8]) -> bool {
        text.iter()
            .any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
    }

    /// The pattern as it was given.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the whole of `path` matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.shape {
            Shape::Exact => path == self.text,
            Shape::Prefix(prefix) => path.starts_with(prefix),
            Shape::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix(b"/").is_some_and(|rest| rest == path)
            }
            Shape::Tokens { tokens, head, tail } => {
                path.starts_with(head)
                    && path.ends_with(tail)
                    && run(tokens, path, |states| states.has(tokens.len()))
            }
        }
    }

    /// Whether some path below `directory` could match.
    pub fn can_match_below(&self, directory: &[u8]) -> bool {
        let mut prefix = directory.to_vec();
        prefix.push(b'/');
        match &self.shape {
            Shape::Exact => self.text.starts_with(&prefix),
            Shape::Prefix(wanted) => wanted.starts_with(&prefix) || prefix.starts_with(wanted),
            Shape::Suffix(_) => true,
            Shape::Tokens { tokens, .. } => run(tokens, &prefix, |states| !states.is_empty()),
        }
    }
}

fn shape_of(text: &[u8], kind: Kind, tokens: Vec<Token>) -> Shape {
    match kind {
        Kind::Exact
            if tokens.iter().all(|t| matches!(t, Token::Unit(_))) && !text.contains(&b'\\') =>
        {
            Shape::Exact
        }
        Kind::Prefix => Shape::Prefix(text[..text.len() - 2].to_vec()),
        Kind::Suffix => Shape::Suffix(text[2..].to_vec()),
        Kind::Exact | Kind::Tokens => Shape::Tokens {
            head: literal(tokens.iter()),
            tail: literal_end(&tokens),
            tokens,
        },
    }
}

fn literal<'a>(tokens: impl Iterator<Item = &'a Token>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for token in tokens {
        let Token::Unit(unit) = token else { break };
        push_unit(&mut bytes, *unit);
    }
    bytes
}

fn literal_end(tokens: &[Token]) -> Vec<u8> {
    let start = tokens
        .iter()
        .rposition(|token| !matches!(token, Token::Unit(_)))
        .map_or(0, |last| last + 1);
    literal(tokens[start..].iter())
}

fn push_unit(bytes: &mut Vec<u8>, unit: u32) {
    match char::from_u32(unit) {
        Some(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => bytes.push((unit - RAW_BYTE) as u8),
    }
}

/// The first character of `bytes` (not empty) and its width.
fn decode(bytes: &[u8]) -> (u32, usize) {
    let first = bytes[0];
    let width = match first {
        0..=0x7F => return (u32::from(first), 1),
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 0,
    };
    let character = bytes
        .get(..width)
        .and_then(|sequence| std::str::from_utf8(sequence).ok())
        .and_then(|text| text.chars().next());
    match character {
        Some(character) => (u32::from(character), width),
        None => (RAW_BYTE + u32::from(first), 1),
    }
}

// Parsing

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Glob,
    Ignore,
}

/// The fast paths that the dialect of ignore files has; they are part of its meaning: `**x` matches `ax`
/// because it is a suffix, while `**x?` has to start a component.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Tokens,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
    kind: Kind,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            kind: Kind::Exact,
        }
    }

    fn tokens(&mut self) -> Result<Vec<Token>, SourceError> {
        let mut tokens = Vec::with_capacity(self.text.len());
        while let Some(unit) = self.next() {
            match u8::try_from(unit) {
                Ok(b'*') if self.dialect == Dialect::Ignore && self.peek() == Some(b'*') => {
                    self.double_star(&mut tokens);
                }
                Ok(b'*') => {
                    self.kind = Kind::Tokens;
                    if tokens.last() != Some(&Token::Star) {
                        tokens.push(Token::Star);
                    }
                }
                Ok(b'?') => {
                    self.kind = Kind::Tokens;
                    tokens.push(Token::Any);
                }
                Ok(b'[') => {
                    self.kind = Kind::Tokens;
                    tokens.push(self.class()?);
                }
                Ok(b'\\') => {
                    self.kind = Kind::Tokens;
                    let escaped = self
                        .next()
                        .ok_or_else(|| self.bad("it ends in an escape"))?;
                    tokens.push(Token::Unit(escaped));
                }
                _ => tokens.push(Token::Unit(unit)),
            }
        }
        Ok(tokens)
    }

    /// At the second `*` of `**`.
    fn double_star(&mut self, tokens: &mut Vec<Token>) {
        let at_start = self.at == 1;
        self.at += 1;
        if self.peek() == Some(b'/') {
            self.at += 1;
        }
        if self.at < self.text.len() {
            tokens.extend([Token::Dirs, Token::DirsLoop]);
            self.kind = Kind::Tokens;
        } else if self.kind == Kind::Exact {
            self.kind = Kind::Prefix;
        } else {
            tokens.push(Token::Rest);
            self.kind = Kind::Tokens;
        }
        if at_start {
            self.kind = Kind::Suffix;
        }
    }

    /// After the `[`.
    fn class(&mut self) -> Result<Token, SourceError> {
        let negated = self.peek() == Some(b'^');
        if negated {
            self.at += 1;
        }
        let mut ranges = Vec::new();
        loop {
            if self.peek() == Some(b']') && !ranges.is_empty() {
                self.at += 1;
                return Ok(Token::Class { negated, ranges });
            }
            let low = self.class_member()?;
            let high = if self.peek() == Some(b'-') {
                self.at += 1;
                self.class_member()?
            } else {
                low
            };
            ranges.push((low, high));
        }
    }

    fn class_member(&mut self) -> Result<u32, SourceError> {
        if matches!(self.peek(), None | Some(b'-' | b']')) {
            return Err(self.bad("a character class is not complete"));
        }
        if self.peek() == Some(b'\\') {
            self.at += 1;
        }
        match self.next() {
            Some(unit) if unit < RAW_BYTE && self.at < self.text.len() => Ok(unit),
            _ => Err(self.bad("a character class is not closed")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u32> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let (unit, width) = decode(rest);
        self.at += width;
        Some(unit)
    }

    fn bad(&self, reason: &'static str) -> SourceError {
        SourceError::Pattern {
            pattern: String::from_utf8_lossy(self.text).into_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests;
