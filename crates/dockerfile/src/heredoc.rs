//! Heredocs: which words of a line are some, and their bodies.

use crate::expand::{Escapes, Lexer, Mode, Quotes, SplitWord, Unset};
use crate::lines::Lines;
use crate::sink::Sink;
use crate::statement::Statement;
use crate::{Diagnostic, Escape, Expansion, Heredoc, Span, Tabs, Word};

/// `3<<-'NAME'`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeredocWord {
    pub(crate) name: String,
    pub(crate) expansion: Expansion,
    pub(crate) tabs: Tabs,
    pub(crate) descriptor: u32,
}

impl HeredocWord {
    /// Takes a word apart. None if it is no heredoc.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let (digits, rest) = word.split_once("<<")?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || rest.contains('<') {
            return None;
        }
        let descriptor = if digits.is_empty() {
            0
        } else {
            digits.parse().unwrap_or(u32::MAX)
        };
        let (tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (Tabs::Stripped, rest),
            None => (Tabs::Kept, rest),
        };
        let rest = rest.trim_start_matches([' ', '\t', '\n', '\u{0C}', '\r']);
        let name = only_word(rest, Quotes::Removed)?;
        let quoted = only_word(rest, Quotes::Kept)?;
        let count = |text: &str| text.matches(['\'', '"']).count();
        // Fewer quotes than were written: some were taken off, so the name was quoted.
        let expansion = if count(&name) == count(&quoted) {
            Expansion::Expanded
        } else {
            Expansion::Literal
        };
        Some(Self {
            name,
            expansion,
            tabs,
            descriptor,
        })
    }
}

fn only_word(text: &str, quotes: Quotes) -> Option<String> {
    let mode = Mode {
        quotes,
        unset: Unset::Kept,
        ..Mode::WORD
    };
    let (_, words) = Lexer::new(text, Escape::Backslash, &(), mode)
        .run_split()
        .ok()?;
    let [SplitWord { text, .. }] = <[_; 1]>::try_from(words).ok()?;
    Some(text)
}

/// Reads the bodies of the heredocs on a statement's line; they follow it in `lines`. Widens `span` over them. The whole
/// logical line is looked at, as the heredocs of an ONBUILD's payload are the ONBUILD's.
pub(crate) fn read_bodies(
    statement: &Statement<'_, '_>,
    lines: &mut Lines<'_>,
    span: &mut Span,
    sink: &mut Sink,
) -> Vec<Heredoc> {
    let text = statement.text();
    if !text.contains("<<") {
        return Vec::new();
    }
    let mode = Mode {
        quotes: Quotes::Kept,
        escapes: Escapes::Kept,
        unset: Unset::Kept,
    };
    // A line that cannot be read so, an apostrophe in it for one, has no heredocs.
    let Ok((_, words)) = Lexer::new(text, Escape::Backslash, &(), mode).run_split() else {
        return Vec::new();
    };

    let mut heredocs = Vec::new();
    for split in words {
        let Some(word) = HeredocWord::parse(&split.text) else {
            continue;
        };
        let name = Word::new(word.name.clone(), statement.line.span(split.range));
        let Some(written) = read_body(&word, lines, span, sink) else {
            let message = "unterminated heredoc";
            let help = format!("no line after this one is `{}` and nothing else", word.name);
            let mistake = Diagnostic::error("unterminated-heredoc", message, name.span);
            sink.push(mistake.with_help(help).in_lines());
            break;
        };
        heredocs.push(word.with_body(name, written));
    }
    heredocs
}

/// The lines up to the terminator, and their place.
fn read_body(
    word: &HeredocWord,
    lines: &mut Lines<'_>,
    span: &mut Span,
    sink: &mut Sink,
) -> Option<Word> {
    let mut body = String::new();
    let mut place: Option<Span> = None;
    while let Some(line) = lines.next(sink) {
        span.end = line.span().end;
        let text = match word.tabs {
            Tabs::Stripped => line.text().trim_start_matches('\t'),
            Tabs::Kept => line.text(),
        };
        if text == word.name {
            let at_terminator = Span::new(line.start, line.start);
            return Some(Word::new(body, place.unwrap_or(at_terminator)));
        }
        body.push_str(line.raw);
        let here = Span::new(line.start, line.start + line.raw.len() as u32);
        place = Some(place.map_or(here, |place| place.to(here)));
    }
    None
}

impl HeredocWord {
    /// The heredoc, its body as written.
    pub(crate) fn with_body(self, name: Word, written: Word) -> Heredoc {
        let Self {
            expansion,
            tabs,
            descriptor,
            ..
        } = self;
        let text = match tabs {
            Tabs::Stripped => strip_tabs(&written.value),
            Tabs::Kept => written.value.clone(),
        };
        Heredoc {
            name,
            body: Word::new(text, written.span),
            written: written.value,
            expansion,
            tabs,
            descriptor,
        }
    }
}

/// Takes the tabs off the start of every line.
fn strip_tabs(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| line.trim_start_matches('\t'))
        .collect()
}

/// A line and its heredocs as a shell reads them.
pub(crate) fn reassemble(line: &str, heredocs: &[Heredoc]) -> String {
    let mut text = line.to_owned();
    for heredoc in heredocs {
        text.push('\n');
        text.push_str(&heredoc.written);
        text.push_str(&heredoc.name.value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::HeredocWord;
    use crate::{Expansion, Tabs};
    use rstest::rstest;

    #[rstest]
    #[case("<<EOF", "EOF", Expansion::Expanded, Tabs::Kept, 0)]
    #[case("<<-EOF", "EOF", Expansion::Expanded, Tabs::Stripped, 0)]
    #[case("<<'EOF'", "EOF", Expansion::Literal, Tabs::Kept, 0)]
    #[case("<<-\"EOF\"", "EOF", Expansion::Literal, Tabs::Stripped, 0)]
    #[case("<<E'O'F", "EOF", Expansion::Literal, Tabs::Kept, 0)]
    #[case("<<'a b'", "a b", Expansion::Literal, Tabs::Kept, 0)]
    #[case("<<E\\'OF", "E'OF", Expansion::Expanded, Tabs::Kept, 0)]
    #[case("<<$EOF", "$EOF", Expansion::Expanded, Tabs::Kept, 0)]
    #[case("<<  EOF", "EOF", Expansion::Expanded, Tabs::Kept, 0)]
    #[case("3<<EOF", "EOF", Expansion::Expanded, Tabs::Kept, 3)]
    fn takes_words_apart(
        #[case] word: &str,
        #[case] name: &str,
        #[case] expansion: Expansion,
        #[case] tabs: Tabs,
        #[case] descriptor: u32,
    ) {
        let expected = HeredocWord {
            name: name.to_owned(),
            expansion,
            tabs,
            descriptor,
        };
        assert_eq!(HeredocWord::parse(word), Some(expected));
    }

    #[rstest]
    #[case("<<")]
    #[case("<<-")]
    #[case("<<<EOF")]
    #[case("x<<EOF")]
    #[case("<EOF")]
    #[case("<<a b")]
    #[case("<<'a")]
    #[case("EOF")]
    fn other_words_are_none(#[case] word: &str) {
        assert_eq!(HeredocWord::parse(word), None);
    }
}
