use insta::assert_snapshot;

use super::{Style, fit, last, moving, printable};
use crate::script::Script;
use crate::{Colors, Outcome, TerminalSize};

const STYLE: Style = Style {
    colors: Colors::None,
    log_lines: 6,
};

fn size(columns: u16, rows: u16) -> TerminalSize {
    TerminalSize { columns, rows }
}

fn build() -> Script {
    let mut b = Script::default();
    b.plan(1, "[base 1/1] FROM debian:bookworm")
        .plan(2, "[build 2/3] RUN make && make install && make check")
        .plan(3, "[image] FROM python:3")
        .plan(4, "[final] COPY . .")
        .done(100, 1, Outcome::Cached);
    b.start(1_100, 2)
        .output(1_200, 2, "\x1b[31mcc\x1b[0m -o hello\thello.c\n10%\r20%");
    b.start(2_700, 3)
        .status(2_700, 3, "sha256:3f4ca61", 7_280_000, 29_120_000);
    b.tick(3_200);
    b
}

#[test]
fn a_running_build_shows_what_moves() {
    let lines = moving(&build().model, size(61, 24), STYLE);
    assert_snapshot!(lines.join("\n"), @r"
    [+] Building 3.2s (1/4)
     => CACHED [base 1/1] FROM debian:bookworm              0.0s
     => [build 2/3] RUN make && make install && make check  2.1s
     => => # cc -o hello     hello.c
     => => # 10%
     => => # 20%
     => [image] FROM python:3                               0.5s
     => => sha256:3f4ca61 ████░░░░░░░░░░░░ 7.28MB / 29.12MB 0.5s
    ");
}

#[test]
fn an_ended_build_shows_every_step_and_what_it_came_to() {
    let mut b = build();
    b.failed(4_000, 2, "exit code: 2")
        .done(4_000, 3, Outcome::Cancelled);
    assert_snapshot!(last(&b.model, size(61, 3), STYLE).join("\n"), @r"
    [+] Building 4.0s (3/4) FINISHED
     => CACHED [base 1/1] FROM debian:bookworm              0.0s
     => ERROR [build 2/3] RUN make && make install && make… 2.9s
     => CANCELED [image] FROM python:3                      1.3s
     3 steps, 1 cached, 1 failed, 1 cancelled, 4.0s
    ");
}

#[test]
fn a_picture_fits_any_terminal() {
    let mut b = build();
    for n in 10..60 {
        b.plan(n, &format!("[stage-{n} 1/1] RUN 漢字漢字漢字 {n}"))
            .start(3_000, n);
        b.output(3_100, n, &"x".repeat(300))
            .output(3_100, n, "\ny\nz\n");
    }
    for (columns, rows) in [(1, 1), (20, 2), (40, 5), (80, 24), (200, 300)] {
        let lines = moving(&b.model, size(columns, rows), STYLE);
        assert!(
            lines.len() < usize::from(rows).max(3),
            "{columns}x{rows}: {}",
            lines.len()
        );
        for line in lines {
            use unicode_width::UnicodeWidthStr as _;
            assert!(
                line.width() < usize::from(columns).max(12),
                "{columns}: {line:?}"
            );
        }
    }
}

#[test]
fn colours_are_only_there_when_asked_for() {
    let style = Style {
        colors: Colors::Ansi,
        ..STYLE
    };
    let model = build().model;
    assert!(
        moving(&model, size(80, 24), style)
            .concat()
            .contains("\x1b[36m")
    );
    assert!(
        !moving(&model, size(80, 24), STYLE)
            .concat()
            .contains('\x1b')
    );
}

#[test]
fn output_cannot_move_the_cursor() {
    let hostile = "a\x1b[2J\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1b(B\x08\x1bMd\te\x1b[";
    assert_eq!(printable(hostile), "abcd    e");
}

#[test]
fn wide_characters_are_cut_by_cells() {
    assert_eq!(fit("漢字漢字", 8), "漢字漢字");
    assert_eq!(fit("漢字漢字", 7), "漢字漢…");
    assert_eq!(fit("漢字漢字", 6), "漢字…");
}
