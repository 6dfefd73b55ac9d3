//! Parser directives: `# syntax=`, `# escape=`, `# check=` on the first lines of a file.
//!
//! The first line that is no known directive ends them, be it a comment, an empty line or an instruction.

use crate::lines::{Line, Lines};
use crate::sink::Sink;
use crate::{Diagnostic, Directives, Escape, Span, Word, json};

/// `# name = value`, both in the case they are written in.
struct Directive<'a> {
    name: &'a str,
    value: Word,
}

impl<'a> Directive<'a> {
    /// Takes `text`, which begins at byte `start` of the file, apart behind its comment marker.
    fn parse(text: &'a str, marker: &str, start: u32) -> Option<Self> {
        let rest = text.strip_prefix(marker)?.trim_start();
        let (name, value) = rest.split_once('=')?;
        let name = name.trim_end_matches(is_space);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let value = value.trim_matches(is_space);
        if !is_name || value.is_empty() {
            return None;
        }
        let at = start + (value.as_ptr() as usize - text.as_ptr() as usize) as u32;
        let value = Word::new(value.to_owned(), Span::new(at, at + value.len() as u32));
        Some(Self { name, value })
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{0C}' | '\r')
}

/// The value of a comment `check=…`, given without its marker.
pub(crate) fn check_comment(comment: &Word) -> Option<Word> {
    let directive = Directive::parse(&comment.value, "", comment.span.start)?;
    directive
        .name
        .eq_ignore_ascii_case("check")
        .then_some(directive.value)
}

/// Whether the directives are still going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Top,
    Body,
}

/// Takes the directives off the lines of a file.
#[derive(Debug)]
pub(crate) struct Reader {
    directives: Directives,
    has_syntax: bool,
    has_escape: bool,
    phase: Phase,
}

impl Reader {
    /// For the file `text`.
    pub(crate) fn new(text: &str) -> Self {
        let syntax = detect_syntax(text);
        let directives = Directives {
            syntax,
            ..Directives::default()
        };
        Self {
            directives,
            has_syntax: false,
            has_escape: false,
            phase: Phase::Top,
        }
    }

    /// The escape character so far.
    pub(crate) fn escape(&self) -> Escape {
        self.directives.escape
    }

    /// Reads the next line. Returns whether it is a directive, and no other comment.
    pub(crate) fn read(&mut self, line: Line<'_>, sink: &mut Sink) -> bool {
        if self.phase == Phase::Body {
            return false;
        }
        let text = line.text();
        let body = text.trim_start();
        let start = line.start + (text.len() - body.len()) as u32;
        let Some(directive) = Directive::parse(body, "#", start) else {
            self.phase = Phase::Body;
            return false;
        };
        let name = directive.name.to_ascii_lowercase();
        let repeated = match name.as_str() {
            "syntax" => std::mem::replace(&mut self.has_syntax, true),
            "escape" => {
                self.set_escape(&directive.value, sink);
                std::mem::replace(&mut self.has_escape, true)
            }
            "check" => self.directives.check.replace(directive.value).is_some(),
            _ => {
                self.phase = Phase::Body;
                return false;
            }
        };
        if repeated {
            let message = format!("only one {name} parser directive can be used");
            let mistake = Diagnostic::error("repeated-directive", message, line.span());
            sink.push(mistake.within(line.span()).in_lines());
        }
        true
    }

    /// The directives, when the file has been read.
    pub(crate) fn finish(self) -> Directives {
        self.directives
    }

    fn set_escape(&mut self, value: &Word, sink: &mut Sink) {
        match value.value.as_str() {
            "\\" => self.directives.escape = Escape::Backslash,
            "`" => self.directives.escape = Escape::Backtick,
            other => {
                let message = format!("invalid escape token '{other}' does not match ` or \\");
                let mistake = Diagnostic::error("invalid-escape", message, value.span);
                let help = "write `# escape=\\` or ``# escape=` ``";
                sink.push(mistake.with_help(help).within(value.span).in_lines());
            }
        }
    }
}

/// The frontend that a file asks for, be it in a language of comments with `#` or `//`, or in JSON
/// (`{"syntax": "image"}`); a first line `#!…` is passed over. The value is an image reference, then a blank and
/// arguments, if there are any.
pub fn detect_syntax(text: &str) -> Option<Word> {
    let start = if text.starts_with("#!") {
        text.find('\n').map_or(text.len(), |newline| newline + 1)
    } else {
        0
    };
    commented_syntax(text, start, "#")
        .or_else(|| commented_syntax(text, start, "//"))
        .or_else(|| json_syntax(text, start))
}

fn commented_syntax(text: &str, start: usize, marker: &str) -> Option<Word> {
    let mut lines = Lines::starting_at(text, start);
    let mut seen = Vec::new();
    while let Some(line) = lines.next(&mut Sink::default()) {
        let directive = Directive::parse(line.text(), marker, line.start)?;
        let name = directive.name.to_ascii_lowercase();
        match name.as_str() {
            "syntax" => return Some(directive.value),
            "escape" | "check" if !seen.contains(&name) => seen.push(name),
            _ => return None,
        }
    }
    None
}

fn json_syntax(text: &str, start: usize) -> Option<Word> {
    let (value, range) = json::member(&text[start..], "syntax")?;
    Some(Word::new(
        value,
        Span::new((start + range.start) as u32, (start + range.end) as u32),
    ))
}
