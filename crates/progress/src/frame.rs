//! One picture of a build as lines of text: pure, so that it can be tested without a terminal.
//!
//! ```text
//! [+] Building 3.2s (2/4)
//!  => CACHED [base 1/1] FROM debian:bookworm                     0.0s
//!  => [build 2/3] RUN make                                       2.1s
//!  => => # cc -o hello hello.c
//!  => [image] FROM python:3                                      0.5s
//!  => => sha256:3f4ca61 ██████░░░░░░░░░░ 3.15MB / 29.12MB        0.5s
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::{Model, Phase, Status, Vertex};
use crate::renderer::{Colors, TerminalSize};
use crate::{Outcome, StatusState, units};

/// Cells of a bar.
const BAR_CELLS: u64 = 16;

/// Statuses of one vertex that are shown at once; a vertex with more shows those that move.
const STATUS_LINES: usize = 8;

/// A digest needs no more than its algorithm and twelve digits.
const STATUS_ID_CELLS: usize = 40;

/// How pictures are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) colors: Colors,
    /// Moving lines of output below a running step.
    pub(crate) log_lines: usize,
}

#[derive(Clone, Copy)]
enum Ink {
    Running,
    Ended,
    Cached,
    Failed,
    Faint,
}

/// A vertex and what moves below it.
struct Block {
    ended: bool,
    lines: Vec<String>,
}

/// The build while it goes on, in at most `size.rows - 1` lines of at most `size.columns - 1` cells.
pub(crate) fn moving(model: &Model, size: TerminalSize, style: Style) -> Vec<String> {
    let pen = Pen::new(size, style);
    let mut blocks = pen.blocks(model, style.log_lines);
    let room = usize::from(size.rows).saturating_sub(2).max(1);
    shrink(&mut blocks, room);
    let mut lines = vec![pen.header(model, "")];
    lines.extend(blocks.into_iter().flat_map(|block| block.lines));
    lines.truncate(room + 1);
    lines
}

/// The build after its end: every vertex, and what it came to.
pub(crate) fn last(model: &Model, size: TerminalSize, style: Style) -> Vec<String> {
    let pen = Pen::new(size, style);
    let mut lines = vec![pen.header(model, " FINISHED")];
    let blocks = pen.blocks(model, 0);
    lines.extend(
        blocks
            .into_iter()
            .filter_map(|block| block.lines.into_iter().next()),
    );
    lines.push(pen.fit(&format!(" {}", model.summary())));
    lines
}

/// Drops what says least until `blocks` fit into `room` lines: first the oldest that ended, then lines
/// of output.
fn shrink(blocks: &mut Vec<Block>, room: usize) {
    let height = |blocks: &[Block]| blocks.iter().map(|block| block.lines.len()).sum::<usize>();
    while height(blocks) > room {
        let oldest = blocks.iter().position(|block| block.ended);
        let longest = blocks.iter_mut().max_by_key(|block| block.lines.len());
        match (oldest, longest) {
            (Some(oldest), _) => {
                blocks.remove(oldest);
            }
            (None, Some(longest)) if longest.lines.len() > 1 => {
                longest.lines.remove(1);
            }
            _ => break,
        }
    }
}

struct Pen {
    columns: usize,
    colors: Colors,
}

impl Pen {
    fn new(size: TerminalSize, style: Style) -> Self {
        Self {
            // The last column stays empty: some terminals wrap when it is filled.
            columns: usize::from(size.columns).saturating_sub(1).max(10),
            colors: style.colors,
        }
    }

    fn header(&self, model: &Model, state: &str) -> String {
        let ended = model
            .vertices()
            .filter(|vertex| matches!(vertex.phase, Phase::Ended { .. }))
            .count();
        let all = model.vertices().count();
        let time = units::tenths(model.now());
        self.fit(&format!("[+] Building {time} ({ended}/{all}){state}"))
    }

    /// Running and ended vertices in the order in which they began.
    fn blocks(&self, model: &Model, log_lines: usize) -> Vec<Block> {
        let mut shown: Vec<_> = model.vertices().filter(|v| v.since().is_some()).collect();
        shown.sort_by_key(|vertex| vertex.since());
        shown
            .into_iter()
            .map(|vertex| self.block(vertex, model.now(), log_lines))
            .collect()
    }

    fn block(&self, vertex: &Vertex, now: Duration, log_lines: usize) -> Block {
        let (mark, ink, took) = match &vertex.phase {
            Phase::Planned => ("", Ink::Faint, Duration::ZERO),
            Phase::Running { since } => ("", Ink::Running, now.saturating_sub(*since)),
            Phase::Ended { took, outcome, .. } => match outcome {
                Outcome::Completed => ("", Ink::Ended, *took),
                Outcome::Cached => ("CACHED ", Ink::Cached, *took),
                Outcome::Failed { .. } => ("ERROR ", Ink::Failed, *took),
                Outcome::Cancelled => ("CANCELED ", Ink::Faint, *took),
            },
        };
        let ended = matches!(vertex.phase, Phase::Ended { .. });
        let name = printable(&vertex.name);
        let reason = vertex
            .missed
            .as_ref()
            .map_or_else(String::new, |reason| format!("  ({})", printable(reason)));
        let mut lines = vec![self.timed(&format!(" => {mark}{name}{reason}"), took, ink)];
        if !ended {
            lines.extend(self.statuses(vertex, now));
            let tail = vertex.tail.lines(log_lines);
            lines.extend(tail.map(|(_, line)| {
                self.paint(
                    &self.fit(&format!(" => => # {}", printable(&line))),
                    Ink::Faint,
                )
            }));
        }
        Block { ended, lines }
    }

    fn statuses(&self, vertex: &Vertex, now: Duration) -> Vec<String> {
        let mut shown: Vec<_> = vertex.statuses.iter().collect();
        if shown.len() > STATUS_LINES {
            shown.retain(|status| status.state == StatusState::Running);
            shown.truncate(STATUS_LINES);
        }
        shown
            .into_iter()
            .map(|status| self.status(status, now))
            .collect()
    }

    fn status(&self, status: &Status, now: Duration) -> String {
        let id = fit(&printable(&status.id), STATUS_ID_CELLS);
        let mut text = format!(" => => {id}");
        match (status.current, status.total) {
            (current, Some(total)) => {
                let (current_text, total_text) = (units::bytes(current), units::bytes(total));
                let _ = write!(
                    text,
                    " {} {current_text} / {total_text}",
                    bar(current, total)
                );
            }
            (0, None) => {}
            (current, None) => {
                let _ = write!(text, " {}", units::bytes(current));
            }
        }
        let (end, ink) = match status.state {
            StatusState::Running => (now, Ink::Running),
            StatusState::Finished => (status.at, Ink::Ended),
        };
        self.timed(&text, end.saturating_sub(status.since), ink)
    }

    /// `text` at the left, the time at the right.
    fn timed(&self, text: &str, time: Duration, ink: Ink) -> String {
        let time = units::tenths(time);
        let room = self.columns.saturating_sub(time.width() + 1);
        let text = fit(text, room);
        let gap = " ".repeat(self.columns.saturating_sub(text.width() + time.width()));
        self.paint(&format!("{text}{gap}{time}"), ink)
    }

    fn fit(&self, text: &str) -> String {
        fit(text, self.columns)
    }

    fn paint(&self, text: &str, ink: Ink) -> String {
        let code = match (self.colors, ink) {
            (Colors::None, _) | (Colors::Ansi, Ink::Running) => return text.to_owned(),
            (Colors::Ansi, Ink::Ended) => "34",
            (Colors::Ansi, Ink::Cached) => "36",
            (Colors::Ansi, Ink::Failed) => "31",
            (Colors::Ansi, Ink::Faint) => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// `████░░░░`
fn bar(current: u64, total: u64) -> String {
    let filled = match total {
        0 => BAR_CELLS,
        _ => (u128::from(current.min(total)) * u128::from(BAR_CELLS) / u128::from(total)) as u64,
    };
    "█".repeat(filled as usize) + &"░".repeat((BAR_CELLS - filled) as usize)
}

/// As much of `text` as fits into `cells`, with `…` where something is missing.
fn fit(text: &str, cells: usize) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let mut taken = 0;
    let kept = text.chars().take_while(|c| {
        taken += c.width().unwrap_or(0);
        taken < cells
    });
    kept.chain(['…']).collect()
}

/// What a terminal would show of `text` in one line: without escape sequences and control characters,
/// tabs as spaces.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\t' => shown.push_str(&" ".repeat(8 - shown.width() % 8)),
            '\n' => shown.push(' '),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}

/// Skips the rest of an escape sequence (ECMA-48): control sequences end in `@`…`~`, strings (titles,
/// links) in BEL or ST, all others are one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            chars.by_ref().find(|c| ('@'..='~').contains(c));
        }
        Some(']' | 'P' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some('(' | ')' | '#' | ' ') => {
            chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
