//! What one vertex has to say, until it may.

use std::collections::BTreeMap;
use std::time::Duration;

use super::STATUS_INTERVAL;
use crate::lines::LineSplitter;
use crate::model::Status;
use crate::{Outcome, StatusState, Stream, units};

/// What one vertex has to say.
#[derive(Default)]
pub(super) struct Feed {
    pub(super) number: Option<u32>,
    pub(super) name: String,
    pub(super) since: Duration,
    pub(super) pieces: Vec<Piece>,
    pub(super) bytes: usize,
    pub(super) stdout: LineSplitter,
    pub(super) stderr: LineSplitter,
    pub(super) shown_statuses: BTreeMap<String, Duration>,
    pub(super) stage: Stage,
}

/// How far a vertex is on the output.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not running, or running and shown.
    #[default]
    Known,
    /// Running, but nothing of it has been shown.
    Unseen,
    /// Its last word is among the pieces.
    Ended,
}

/// Text without the number before it.
pub(super) enum Piece {
    Line(Vec<u8>),
    /// A line of the vertex's output.
    Output(Stream, Vec<u8>),
    /// Output whose line end has not come.
    Partial(Stream, Vec<u8>),
}

impl Feed {
    pub(super) fn line(&mut self, text: String) {
        self.bytes += text.len();
        self.pieces.push(Piece::Line(text.into_bytes()));
    }

    pub(super) fn output(&mut self, stream: Stream, data: &[u8], now: Duration) {
        let splitter = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let (pieces, bytes, since) = (&mut self.pieces, &mut self.bytes, self.since);
        splitter.push(data, now, |at, line| {
            let text = stamped(at.saturating_sub(since), line);
            *bytes += text.len();
            pieces.push(Piece::Output(stream, text));
        });
    }

    /// Moves unfinished lines that are old enough among the pieces; tells whether there were any.
    pub(super) fn pend_partials(&mut self, due: impl Fn(Duration) -> bool) -> bool {
        let mut any = false;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let splitter = match stream {
                Stream::Stdout => &mut self.stdout,
                Stream::Stderr => &mut self.stderr,
            };
            if splitter.pending().is_some_and(|(at, _)| due(at))
                && let Some((at, text)) = splitter.take_pending()
            {
                let text = stamped(at.saturating_sub(self.since), &text);
                self.pieces.push(Piece::Partial(stream, text));
                any = true;
            }
        }
        any
    }

    pub(super) fn status(&mut self, status: &Status) {
        let shown = self.shown_statuses.get(&status.id).copied();
        let due = shown.is_none_or(|last| status.at.saturating_sub(last) >= STATUS_INTERVAL);
        if due || status.state == StatusState::Finished {
            self.shown_statuses.insert(status.id.clone(), status.at);
            self.line(status_line(status));
        }
    }

    pub(super) fn end(&mut self, outcome: &Outcome, now: Duration) {
        if self.pend_partials(|_| true) {
            // Their ends will not come any more.
            for piece in &mut self.pieces {
                if let Piece::Partial(stream, text) = piece {
                    *piece = Piece::Output(*stream, std::mem::take(text));
                }
            }
        }
        self.line(match outcome {
            Outcome::Completed => {
                format!("DONE {}", units::tenths(now.saturating_sub(self.since)))
            }
            Outcome::Cached => "CACHED".to_owned(),
            Outcome::Failed { message } => format!("ERROR: {message}"),
            Outcome::Cancelled => "CANCELED".to_owned(),
        });
        self.stage = Stage::Ended;
    }
}

/// `sha256:3f4ca61… 3.15MB / 29.12MB 0.5s done`
fn status_line(status: &Status) -> String {
    let amount = match (status.current, status.total) {
        (current, Some(total)) => {
            format!(" {} / {}", units::bytes(current), units::bytes(total))
        }
        (0, None) => String::new(),
        (current, None) => format!(" {}", units::bytes(current)),
    };
    let took = match status.at.saturating_sub(status.since) {
        took if took > Duration::from_millis(10) => format!(" {}", units::tenths(took)),
        _ => String::new(),
    };
    let done = match status.state {
        StatusState::Finished => " done",
        StatusState::Running => "",
    };
    format!("{}{amount}{took}{done}", status.id)
}

fn stamped(at: Duration, line: &[u8]) -> Vec<u8> {
    let mut text = units::stamp(at).into_bytes();
    text.push(b' ');
    text.extend_from_slice(line);
    text
}
