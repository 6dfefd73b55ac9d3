//! The place in the Dockerfile, as BuildKit draws it, with the guilty words underlined.
//!
//! ```text
//! Dockerfile:2
//! --------------------
//!    1 |     FROM busybox
//!    2 | >>> RUNN make
//!      |     ^^^^ did you mean RUN?
//!    3 |     CMD ["app"]
//! --------------------
//! ```

use std::fmt::Write as _;

use rbuild_dockerfile::{Diagnostic, Source, Span};

/// Lines shown above and below the guilty ones.
const CONTEXT_LINES: u32 = 2;
/// Guilty lines shown before the rest is left out.
const MAX_GUILTY_LINES: u32 = 12;
const RULE: &str = "--------------------";

/// `Dockerfile:2:1`
pub(crate) fn position(source: &Source, span: Span) -> String {
    let position = source.position(span.start);
    format!("{}:{}:{}", source.name, position.line, position.column)
}

/// The lines around `span`.
pub(crate) fn excerpt(source: &Source, span: Span) -> String {
    draw(source, span, None)
}

/// The lines around `lines`, of which a diagnostic is about some words: those are underlined.
pub(crate) fn excerpt_of(source: &Source, lines: Span, diagnostic: &Diagnostic) -> String {
    let help = diagnostic.help.as_deref().unwrap_or("");
    draw(source, lines, Some((diagnostic.span, help)))
}

/// The lines around a diagnostic, its words underlined, its help beside them.
pub(crate) fn diagnostic_excerpt(source: &Source, diagnostic: &Diagnostic) -> String {
    excerpt_of(source, diagnostic.span, diagnostic)
}

fn draw(source: &Source, span: Span, underline: Option<(Span, &str)>) -> String {
    let (first, last) = source.lines(span);
    let shown_last = last.min(first + MAX_GUILTY_LINES - 1);
    let lines: Vec<&str> = source.text.lines().collect();
    let mut text = format!("{}:{first}\n{RULE}\n", source.name);
    let from = first.saturating_sub(CONTEXT_LINES).max(1);
    let to = (shown_last + CONTEXT_LINES).min(lines.len() as u32);
    for number in from..=to {
        let line = lines
            .get(number as usize - 1)
            .copied()
            .unwrap_or("")
            .trim_end_matches('\r');
        let guilty = (first..=last).contains(&number);
        let marker = if guilty { ">>>" } else { "   " };
        push_line(&mut text, number, marker, line);
        if let Some((words, help)) = underline
            && number == source.position(words.start).line
        {
            push_underline(&mut text, source, words, line, help);
        }
    }
    text.push_str(RULE);
    text.push('\n');
    text
}

fn push_line(text: &mut String, number: u32, marker: &str, line: &str) {
    let written = write!(text, "{number:>4} | {marker} {}", printable(line));
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    text.truncate(text.trim_end().len());
    text.push('\n');
}

fn push_underline(text: &mut String, source: &Source, span: Span, line: &str, help: &str) {
    let column = source.position(span.start).column as usize - 1;
    let guilty = source.text.get(span.range()).unwrap_or("");
    let width = guilty.lines().next().unwrap_or("").chars().count();
    let width = width.clamp(1, line.chars().count().saturating_sub(column).max(1));
    let indent = " ".repeat(column);
    let written = write!(text, "     |     {indent}{} {help}", "^".repeat(width));
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// Control characters (a hostile file could move the cursor) as visible ones; a tab as one blank, to keep columns.
fn printable(line: &str) -> String {
    line.chars()
        .map(|character| match character {
            '\t' => ' ',
            character if character.is_control() => '\u{fffd}',
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            name: "Dockerfile".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_failed_step_is_shown_between_its_neighbours() {
        let source = source("FROM busybox\nRUN false\nCMD sh\n");
        assert_eq!(
            excerpt(&source, Span::new(13, 22)),
            "Dockerfile:2\n\
             --------------------\n   1 |     FROM busybox\n   2 | >>> RUN false\n   3 |     CMD sh\n\
             --------------------\n"
        );
    }

    #[test]
    fn guilty_words_are_underlined_with_the_help_beside_them() {
        let source = source("FROM busybox\nRUNN make\n");
        let diagnostic = Diagnostic::error(
            "unknown-instruction",
            "unknown instruction: RUNN",
            Span::new(13, 17),
        )
        .with_help("did you mean RUN?");
        let drawn = diagnostic_excerpt(&source, &diagnostic);
        assert!(
            drawn.contains("   2 | >>> RUNN make\n     |     ^^^^ did you mean RUN?\n"),
            "{drawn}"
        );
    }

    #[test]
    fn control_characters_of_a_hostile_file_do_not_reach_the_terminal() {
        let source = source("FROM \u{1b}[2Jx\n");
        assert!(!excerpt(&source, Span::new(0, 9)).contains('\u{1b}'));
    }
}
