//! A logical line: physical lines joined, and the way back from its bytes to the file's.
//!
//! ```text
//! file     RUN echo \⏎   a⏎        logical   "RUN echo    a"
//!          └───0───┘  └12┘                    └───┬───┘└─┬┘    two pieces
//! ```

use std::borrow::Cow;
use std::ops::Range;

use crate::{Span, Word};

/// The joined text and where its pieces stand.
#[derive(Debug)]
pub(crate) struct Logical<'a> {
    text: Cow<'a, str>,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where it begins in the logical text.
    at: usize,
    /// Where it begins in the file.
    source: u32,
}

impl<'a> Logical<'a> {
    /// A line of one piece, which begins at byte `source` of the file.
    pub(crate) fn new(text: &'a str, source: u32) -> Self {
        Self {
            text: Cow::Borrowed(text),
            pieces: vec![Piece { at: 0, source }],
        }
    }

    /// Joins `text`, which begins at byte `source` of the file, to the end.
    pub(crate) fn push(&mut self, text: &str, source: u32) {
        self.pieces.push(Piece {
            at: self.text.len(),
            source,
        });
        self.text.to_mut().push_str(text);
    }

    /// The joined text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where a range of the joined text stands in the file.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let start = self.source(range.start, range.start);
        if range.is_empty() {
            return Span::new(start, start);
        }
        Span::new(start, self.source(range.end, range.end - 1))
    }

    /// A range of the joined text as a word.
    pub(crate) fn word(&self, range: Range<usize>) -> Word {
        Word::new(self.text[range.clone()].to_owned(), self.span(range))
    }

    /// The place of byte `at`, counted in the piece that holds byte `within`.
    fn source(&self, at: usize, within: usize) -> u32 {
        let piece = self.pieces[self.pieces.partition_point(|piece| piece.at <= within) - 1];
        piece.source + (at - piece.at) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Logical;
    use crate::Span;

    #[test]
    fn a_word_after_a_continuation_points_into_its_own_line() {
        let file = "RUN echo \\\n   a\n";
        let mut line = Logical::new(&file[..9], 0);
        line.push(&file[11..15], 11);
        assert_eq!(line.text(), "RUN echo    a");
        assert_eq!(line.span(12..13), Span::new(14, 15));
        assert_eq!(line.span(4..13), Span::new(4, 15));
        assert_eq!(line.span(4..9), Span::new(4, 9));
        assert_eq!(line.span(13..13), Span::new(15, 15));
    }
}
