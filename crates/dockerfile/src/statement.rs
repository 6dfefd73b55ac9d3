//! One instruction's line, cut into keyword, flags and arguments: what every instruction's own grammar starts from.

use std::ops::Range;

use crate::flags::RawFlag;
use crate::logical::Logical;
use crate::sink::Sink;
use crate::{Diagnostic, Escape, Heredoc, Span, Word, words};

/// A logical line, or the part of one that ONBUILD carries.
#[derive(Debug)]
pub(crate) struct Statement<'l, 't> {
    /// The line that all ranges point into.
    pub(crate) line: &'l Logical<'t>,
    /// The line's escape character.
    pub(crate) escape: Escape,
    /// All of it, white space at both ends left out.
    pub(crate) range: Range<usize>,
    /// The first word.
    pub(crate) keyword: Range<usize>,
    /// `--…` words.
    pub(crate) flags: Vec<RawFlag>,
    /// The rest, white space at both ends left out.
    pub(crate) args: Range<usize>,
    /// The bodies that follow the line.
    pub(crate) heredocs: Vec<Heredoc>,
}

impl<'l, 't> Statement<'l, 't> {
    /// Cuts `range` of `line`.
    pub(crate) fn cut(line: &'l Logical<'t>, range: Range<usize>, escape: Escape) -> Self {
        let range = words::trim(line.text(), range);
        let text = &line.text()[..range.end];
        let keyword_end = text[range.start..]
            .find(words::is_blank)
            .map_or(range.end, |at| range.start + at);
        let keyword = range.start..keyword_end;
        let (flags, args) = RawFlag::take(text, keyword_end);
        let args = words::trim(text, args..range.end);
        Self {
            line,
            escape,
            range,
            keyword,
            flags,
            args,
            heredocs: Vec::new(),
        }
    }

    /// The line's text, which ranges index.
    pub(crate) fn text(&self) -> &'l str {
        self.line.text()
    }

    /// The keyword's text.
    pub(crate) fn keyword_text(&self) -> &'l str {
        &self.text()[self.keyword.clone()]
    }

    /// The arguments' text.
    pub(crate) fn args_text(&self) -> &'l str {
        &self.text()[self.args.clone()]
    }

    /// A range as a word.
    pub(crate) fn word(&self, range: Range<usize>) -> Word {
        self.line.word(range)
    }

    /// The arguments cut at white space, quotes or not.
    pub(crate) fn blank_separated(&self) -> Vec<Word> {
        words::blank_separated(self.text(), self.args.clone())
            .map(|range| self.word(range))
            .collect()
    }

    /// The place of the arguments; of the keyword where there are none.
    pub(crate) fn args_span(&self) -> Span {
        if self.args.is_empty() {
            self.line.span(self.keyword.clone())
        } else {
            self.line.span(self.args.clone())
        }
    }

    /// Reports an error at the arguments.
    pub(crate) fn error(&self, sink: &mut Sink, code: &'static str, message: impl Into<String>) {
        sink.push(Diagnostic::error(code, message, self.args_span()));
    }
}
