//! Where in the source something stands.

use std::ops::Range;

const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// A range of bytes in the source text, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From `start` up to, not including, `end`.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// As a range into the source text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value`, which stands at `span`.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A word of the source: continuation lines joined, quotes and `$` as written.
pub type Word = Spanned<String>;

/// A Dockerfile's text and the name that messages call it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `Dockerfile`, `docker/prod.Dockerfile`, `-`: as the user named it.
    pub name: String,
    /// The text. A byte order mark has been taken off.
    pub text: String,
}

/// A place for people: line and column from 1, column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Source {
    /// `text` under `name`; a byte order mark is taken off.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        let name = name.into();
        Self { name, text }
    }

    /// Bytes as they were read; what is not UTF-8 becomes U+FFFD, as it would in the image config.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Self::new(name, text)
    }

    /// The position of byte `offset`. Reads the text up to there: for many lookups see [`Self::line_index`].
    pub fn position(&self, offset: u32) -> Position {
        let before = &self.text.as_bytes()[..(offset as usize).min(self.text.len())];
        let line_start = before
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let line = before.split(|&b| b == b'\n').count() as u32;
        let column = 1 + characters(&before[line_start..]);
        Position { line, column }
    }

    /// First and last line, from 1, that `span` touches.
    pub fn lines(&self, span: Span) -> (u32, u32) {
        let last = span.end.saturating_sub(1).max(span.start);
        (self.position(span.start).line, self.position(last).line)
    }

    /// An index for many position lookups: built in one pass, each lookup reads one line.
    pub fn line_index(&self) -> LineIndex<'_> {
        let starts = std::iter::once(0)
            .chain(
                self.text
                    .bytes()
                    .enumerate()
                    .filter(|&(_, byte)| byte == b'\n')
                    .map(|(at, _)| at as u32 + 1),
            )
            .collect();
        LineIndex {
            text: self.text.as_bytes(),
            starts,
        }
    }
}

/// Where the lines of a source begin.
#[derive(Debug, Clone)]
pub struct LineIndex<'a> {
    text: &'a [u8],
    starts: Vec<u32>,
}

impl LineIndex<'_> {
    /// The position of byte `offset`.
    pub fn position(&self, offset: u32) -> Position {
        let offset = offset.min(self.text.len() as u32);
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        let column = 1 + characters(&self.text[start as usize..offset as usize]);
        Position {
            line: line as u32,
            column,
        }
    }

    /// First and last line, from 1, that `span` touches.
    pub fn lines(&self, span: Span) -> (u32, u32) {
        let last = span.end.saturating_sub(1).max(span.start);
        (self.position(span.start).line, self.position(last).line)
    }
}

/// The characters that begin in `bytes`, a piece of UTF-8.
fn characters(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u32
}
