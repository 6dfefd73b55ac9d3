//! Physical lines, and how they join to logical ones.
//!
//! A line continues when its last character that is not a blank is the escape character and the one before it is not.
//! Comment lines within a continued instruction vanish; so do empty ones, for now, with a warning.

use crate::logical::Logical;
use crate::sink::Sink;
use crate::{Diagnostic, Escape, Span};

/// Longest line, its line end not counted: what the buffer of BuildKit's scanner holds.
const MAX_LINE_BYTES: usize = 65_535;

/// One line of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Where it begins in the file.
    pub(crate) start: u32,
    /// The text with its line end.
    pub(crate) raw: &'a str,
}

impl<'a> Line<'a> {
    /// Without its line end.
    pub(crate) fn text(self) -> &'a str {
        self.raw.trim_end_matches(['\r', '\n'])
    }

    /// The line end left out.
    pub(crate) fn span(self) -> Span {
        Span::new(self.start, self.start + self.text().len() as u32)
    }

    /// Whether its first character that is not white space is `#`.
    pub(crate) fn is_comment(self) -> bool {
        self.raw.trim_start().starts_with('#')
    }
}

/// The lines not yet read.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self::starting_at(text, 0)
    }

    /// The lines from byte `at` on, where one begins.
    pub(crate) fn starting_at(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// The next line. A line that is too long is reported and returned all the same.
    pub(crate) fn next(&mut self, sink: &mut Sink) -> Option<Line<'a>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let line = Line {
            start: self.at as u32,
            raw: &rest[..length],
        };
        self.at += length;
        if line.raw.strip_suffix('\n').unwrap_or(line.raw).len() > MAX_LINE_BYTES {
            let message =
                format!("dockerfile line greater than max allowed size of {MAX_LINE_BYTES}");
            let mistake = Diagnostic::error("line-too-long", message, line.span());
            sink.push(mistake.within(line.span()).in_lines());
        }
        Some(line)
    }

    /// Joins to `first`, whose text without its leading white space is given, the lines that continue it. Returns the
    /// logical line and the span from the first to the last physical one.
    pub(crate) fn join(
        &mut self,
        first: Line<'a>,
        escape: Escape,
        sink: &mut Sink,
    ) -> (Logical<'a>, Span) {
        let text = first.text();
        let body = text.trim_start();
        let start = first.start + (text.len() - body.len()) as u32;
        let mut span = Span::new(start, first.span().end);
        let Some(body) = continued(body, escape) else {
            return (Logical::new(body, start), span);
        };

        let mut logical = Logical::new(body, start);
        let mut empty = None;
        while let Some(line) = self.next(sink) {
            span.end = line.span().end;
            if line.is_comment() {
                continue;
            }
            let text = line.text();
            if text.trim_start().is_empty() {
                empty.get_or_insert(line);
                continue;
            }
            let Some(body) = continued(text, escape) else {
                logical.push(text, line.start);
                break;
            };
            logical.push(body, line.start);
        }
        if let Some(empty) = empty {
            sink.push(empty_continuation(self.text, empty, span));
        }
        (logical, span)
    }
}

/// `line` without its continuation character, if it has one.
fn continued(line: &str, escape: Escape) -> Option<&str> {
    let body = line
        .trim_end_matches([' ', '\t'])
        .strip_suffix(escape.char())?;
    (!body.ends_with(escape.char())).then_some(body)
}

/// The warning stands on the instruction's last line, where BuildKit puts it; the help names the empty one.
fn empty_continuation(text: &str, empty: Line<'_>, instruction: Span) -> Diagnostic {
    let last_line = text[..instruction.end as usize]
        .rfind('\n')
        .map_or(0, |newline| newline + 1) as u32;
    let span = Span::new(last_line.max(instruction.start), instruction.end);
    let lines_back = text[empty.start as usize..last_line as usize]
        .matches('\n')
        .count();
    let help = match lines_back {
        0 => "this line is empty; remove it, or make it a comment with `#`".to_owned(),
        1 => "the line above is empty; remove it, or make it a comment with `#`".to_owned(),
        lines => format!(
            "the line {lines} lines above is empty; remove it, or make it a comment with `#`"
        ),
    };
    Diagnostic::warning("NoEmptyContinuation", "Empty continuation line", span)
        .with_help(help)
        .within(span)
        .in_lines()
}

#[cfg(test)]
mod tests {
    use super::continued;
    use crate::Escape;
    use rstest::rstest;

    #[rstest]
    #[case("RUN a \\", Some("RUN a "))]
    #[case("RUN a \\ \t ", Some("RUN a "))]
    #[case("RUN a \\\\", None)]
    #[case("RUN a \\x", None)]
    #[case("\\", Some(""))]
    #[case("", None)]
    fn a_line_continues_at_a_single_escape_before_its_end(
        #[case] line: &str,
        #[case] body: Option<&str>,
    ) {
        assert_eq!(continued(line, Escape::Backslash), body);
        assert_eq!(continued(&line.replace('\\', "`"), Escape::Backtick), body);
    }
}
