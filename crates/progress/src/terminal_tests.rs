use std::sync::atomic::{AtomicU16, Ordering};

use super::Terminal;
use crate::renderer::Draw as _;
use crate::script::{Script, Sink};
use crate::{Colors, TerminalSize};

static COLUMNS: AtomicU16 = AtomicU16::new(40);

fn terminal(sink: &Sink) -> Terminal {
    let size = || TerminalSize {
        columns: COLUMNS.load(Ordering::Relaxed),
        rows: 24,
    };
    Terminal::new(Box::new(sink.clone()), Box::new(size), Colors::None, 6)
}

/// What a terminal of `columns` would show of `bytes`: enough of ECMA-48 for what we write.
fn screen(bytes: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = bytes.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => (row, column) = (row + 1, 0),
            '\x1b' => {
                assert_eq!(
                    chars.next(),
                    Some('['),
                    "only control sequences are written"
                );
                let mut count = String::new();
                let code = loop {
                    match chars.next() {
                        Some(digit) if digit.is_ascii_digit() => count.push(digit),
                        Some(code) => break code,
                        None => panic!("an escape sequence is cut off"),
                    }
                };
                let count: usize = count.parse().unwrap_or(1);
                match code {
                    'A' => row = row.saturating_sub(count),
                    'B' => row += count,
                    'J' => {
                        rows.truncate(row + 1);
                        rows[row].truncate(column);
                    }
                    'K' => rows[row].clear(),
                    other => panic!("unexpected sequence {other}"),
                }
            }
            c => {
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
                rows.resize_with(rows.len().max(row + 1), String::new);
                let mut cells: Vec<char> = rows[row].chars().collect();
                cells.resize(cells.len().max(column + 1), ' ');
                cells[column] = c;
                rows[row] = cells.into_iter().collect();
                column += 1;
            }
        }
        rows.resize_with(rows.len().max(row + 1), String::new);
    }
    let trimmed = rows.into_iter().map(|row| row.trim_end().to_owned());
    let mut trimmed: Vec<_> = trimmed.collect();
    while trimmed.last().is_some_and(String::is_empty) {
        trimmed.pop();
    }
    trimmed
}

fn tell(b: &mut Script) {
    b.plan(1, "[a 1/1] RUN make").plan(2, "[b 1/1] RUN true");
    b.start(0, 1)
        .tick(100)
        .output(150, 1, "one\ntwo\n")
        .tick(200);
    b.start(250, 2).tick(300);
}

#[test]
fn a_running_build_is_drawn_in_place() {
    let sink = Sink::default();
    let mut script = Script::drawn_by(terminal(&sink));
    tell(&mut script);
    assert_eq!(
        screen(&sink.text(), 40),
        [
            "[+] Building 0.3s (0/2)",
            " => [a 1/1] RUN make               0.3s",
            " => => # one",
            " => => # two",
            " => [b 1/1] RUN true               0.1s",
        ]
    );
}

#[test]
fn the_end_leaves_the_list_and_a_new_line() {
    let sink = Sink::default();
    let mut script = Script::drawn_by(terminal(&sink));
    tell(&mut script);
    script.completed(400, 1).completed(500, 2).end(500);
    assert!(sink.text().ends_with('\n'));
    assert_eq!(
        screen(&sink.text(), 40),
        [
            "[+] Building 0.5s (2/2) FINISHED",
            " => [a 1/1] RUN make               0.4s",
            " => [b 1/1] RUN true               0.2s",
            " 2 steps, 0 cached, 0.5s",
        ]
    );
}

#[test]
fn an_abandoned_build_leaves_nothing() {
    let sink = Sink::default();
    let mut drawing = terminal(&sink);
    let mut script = Script::default();
    tell(&mut script);
    drawing.tick(&script.model);
    assert!(!screen(&sink.text(), 40).is_empty());
    drawing.abandon(&script.model);
    assert!(screen(&sink.text(), 40).is_empty(), "{:?}", sink.text());
}
