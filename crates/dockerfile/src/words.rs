//! Cutting text into words. Words are ranges of the text: nothing is decoded, quotes and escapes stay.

use std::ops::Range;

use crate::Escape;

/// What separates a keyword from its arguments and plain words from each other. (Other white space does not.)
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{0B}' | '\u{0C}' | '\r')
}

/// `range` without the white space at its ends.
pub(crate) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = &text[range.clone()];
    let start = range.start + (slice.len() - slice.trim_start().len());
    let end = start + slice.trim().len();
    start..end
}

/// The words of `range` between blanks.
pub(crate) fn blank_separated(
    text: &str,
    range: Range<usize>,
) -> impl Iterator<Item = Range<usize>> {
    let base = range.start;
    let slice = &text[range];
    slice
        .split(is_blank)
        .filter(|word| !word.is_empty())
        .map(move |word| {
            let start = base + (word.as_ptr() as usize - slice.as_ptr() as usize);
            start..start + word.len()
        })
}

/// The words of `range` as ENV, LABEL and ARG have them: white space within quotes or after an escape is part of the
/// word. A single escape at the very end is dropped.
pub(crate) fn quoted(text: &str, range: Range<usize>, escape: Escape) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut word: Option<Range<usize>> = None;
    let mut quote = None;
    let mut chars = text[range.clone()]
        .char_indices()
        .map(|(at, c)| (range.start + at, c));
    while let Some((at, c)) = chars.next() {
        if word.is_none() && c.is_whitespace() {
            continue;
        }
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take().filter(|word| !word.is_empty()));
            continue;
        }
        let current = word.get_or_insert(at..at);
        if c == escape.char() && quote != Some('\'') {
            match chars.next() {
                Some((at, escaped)) => current.end = at + escaped.len_utf8(),
                None => break,
            }
            continue;
        }
        current.end = at + c.len_utf8();
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            _ => {}
        }
    }
    words.extend(word.filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::{blank_separated, quoted, trim};
    use crate::Escape;
    use rstest::rstest;

    #[rstest]
    #[case("a=1 b=2", &["a=1", "b=2"])]
    #[case("a=\"x y\"  b='p q'", &["a=\"x y\"", "b='p q'"])]
    #[case(r"a=x\ y b", &[r"a=x\ y", "b"])]
    #[case(r#"a="x\" y" b"#, &[r#"a="x\" y""#, "b"])]
    #[case(r"a='x\' b", &[r"a='x\'", "b"])]
    #[case(r"a=b\", &["a=b"])]
    #[case(r"\", &[])]
    #[case("a=\"unclosed b", &["a=\"unclosed b"])]
    #[case("  ", &[])]
    fn quotes_and_escapes_keep_words_together(#[case] text: &str, #[case] words: &[&str]) {
        let cut: Vec<_> = quoted(text, 0..text.len(), Escape::Backslash)
            .into_iter()
            .map(|r| &text[r])
            .collect();
        assert_eq!(cut, words);
    }

    #[test]
    fn plain_words_know_no_quotes() {
        let text = "x 'a b'\tc";
        let cut: Vec<_> = blank_separated(text, 1..text.len())
            .map(|r| &text[r])
            .collect();
        assert_eq!(cut, ["'a", "b'", "c"]);
        assert_eq!(trim("  a b ", 0..6), 2..5);
        assert_eq!(trim("   ", 1..3).len(), 0);
    }
}
