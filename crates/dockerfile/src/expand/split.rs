//! Splitting what is being expanded into words: by the white space of the text and of values, not by that of quotes.

use std::ops::Range;

/// A word and the place of the text that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitWord {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
}

/// Takes what is expanded piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    words: Vec<SplitWord>,
    word: String,
    start: Option<usize>,
}

impl Splitter {
    /// Text that stands at `start`: white space in it ends words.
    pub(crate) fn add_text(&mut self, text: &str, start: usize) {
        for (at, c) in text.char_indices() {
            self.add(c, start + at);
        }
    }

    /// The value of the variable at `start`: white space in it ends words.
    pub(crate) fn add_value(&mut self, value: &str, start: usize) {
        for c in value.chars() {
            self.add(c, start);
        }
    }

    /// What the quotes or the escape at `start` come to: all of it belongs to the word.
    pub(crate) fn add_whole(&mut self, piece: &str, start: usize) {
        self.start.get_or_insert(start);
        self.word.push_str(piece);
    }

    fn add(&mut self, c: char, at: usize) {
        if c.is_whitespace() {
            self.end(at);
        } else {
            self.start.get_or_insert(at);
            self.word.push(c);
        }
    }

    /// The words; the text ended at `end`.
    pub(crate) fn finish(mut self, end: usize) -> Vec<SplitWord> {
        self.end(end);
        self.words
    }

    fn end(&mut self, end: usize) {
        if self.word.is_empty() {
            return;
        }
        let start = self.start.take().unwrap_or(end);
        self.words.push(SplitWord {
            text: std::mem::take(&mut self.word),
            range: start..end.max(start),
        });
    }
}
