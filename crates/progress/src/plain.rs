//! `--progress=plain`: lines that people search, in the shape that `BuildKit` gave them.
//!
//! ```text
//! #4 [base 1/1] FROM docker.io/library/debian:bookworm
//! #4 sha256:3f4ca61… 3.15MB / 29.12MB 0.5s
//! #4 DONE 1.2s
//!
//! #5 [build 2/3] RUN make
//! #5 not cached: CFLAGS: -O1 → -O2
//! #5 0.123 cc -o hello hello.c
//! #5 ...
//! ```
//!
//! One vertex has the floor; what others say waits until it ends, falls silent or has spoken for too
//! long while others wait. Numbers are given in the order in which vertices are first shown.

mod feed;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use crate::folds::Folds;
use crate::model::Model;
use crate::plain::feed::{Feed, Piece, Stage};
use crate::renderer::Draw;
use crate::{Event, EventKind, EventVertex, Stream};

/// A vertex that is silent for this long gives the floor to one that waits.
const FLOOR_QUIET: Duration = Duration::from_secs(1);

/// Text waits at most this long for a vertex that goes on speaking.
const FLOOR_MAX: Duration = Duration::from_secs(5);

/// Text that waits is held in memory up to this size.
const HELD_BYTES: usize = 4 << 20;

/// A line without an end is shown after this long: a prompt, a program that hangs.
const PARTIAL_HOLD: Duration = Duration::from_secs(1);

/// A status that goes on is shown again after this long.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Draws lines.
pub(crate) struct Plain<W> {
    writer: W,
    folds: Folds,
    out: Vec<u8>,
    feeds: BTreeMap<EventVertex, Feed>,
    /// Vertices whose text waits, first come first.
    waiting: Vec<EventVertex>,
    waiting_since: Duration,
    floor: Option<Floor>,
    next_number: u32,
    /// The last line on the output has no end yet and belongs to this stream.
    open_line: Option<(EventVertex, Stream)>,
}

/// Who speaks.
struct Floor {
    vertex: EventVertex,
    last_word: Duration,
}

impl<W: Write + Send> Plain<W> {
    pub(crate) fn new(writer: W, folds: Folds) -> Self {
        Self {
            writer,
            folds,
            out: Vec::new(),
            feeds: BTreeMap::new(),
            waiting: Vec::new(),
            waiting_since: Duration::ZERO,
            floor: None,
            next_number: 1,
            open_line: None,
        }
    }

    /// Lets `vertex` say what it has to say: at once if it has the floor or nobody has, else later.
    fn speak(&mut self, vertex: EventVertex, now: Duration) {
        match &mut self.floor {
            Some(floor) if floor.vertex == vertex => {
                floor.last_word = now;
                self.write_feed(vertex);
                self.settle(now);
            }
            Some(_) => self.wait(vertex, now),
            None => {
                self.take_floor(vertex, now);
                self.settle(now);
            }
        }
    }

    fn wait(&mut self, vertex: EventVertex, now: Duration) {
        if self
            .feeds
            .get(&vertex)
            .is_none_or(|feed| feed.pieces.is_empty())
        {
            return;
        }
        if self.waiting.is_empty() {
            self.waiting_since = now;
        }
        if !self.waiting.contains(&vertex) {
            self.waiting.push(vertex);
        }
        let held: usize = self.waiting.iter().map(|id| self.feeds[id].bytes).sum();
        if held > HELD_BYTES {
            self.hear_the_waiting(now);
        }
    }

    /// A vertex that said its last word leaves the floor, and whoever waits is heard.
    fn settle(&mut self, now: Duration) {
        let ended = |plain: &Self, id| plain.feeds[&id].stage == Stage::Ended;
        if self
            .floor
            .as_ref()
            .is_some_and(|floor| ended(self, floor.vertex))
        {
            self.leave_floor(now);
            self.hear_the_waiting(now);
        }
        if self.floor.is_none() {
            let unseen = self
                .feeds
                .iter()
                .filter(|(_, feed)| feed.stage == Stage::Unseen);
            let oldest = unseen.min_by_key(|(id, feed)| (feed.since, **id));
            if let Some(vertex) = oldest.map(|(id, _)| *id) {
                self.take_floor(vertex, now);
            }
        }
    }

    fn hear_the_waiting(&mut self, now: Duration) {
        for vertex in std::mem::take(&mut self.waiting) {
            self.leave_floor(now);
            self.take_floor(vertex, now);
        }
        if self
            .floor
            .as_ref()
            .is_some_and(|floor| self.feeds[&floor.vertex].stage == Stage::Ended)
        {
            self.leave_floor(now);
        }
    }

    fn take_floor(&mut self, vertex: EventVertex, now: Duration) {
        self.floor = Some(Floor {
            vertex,
            last_word: now,
        });
        let feed = self.feeds.entry(vertex).or_default();
        let number = *feed.number.get_or_insert_with(|| {
            let number = self.next_number;
            self.next_number += 1;
            number
        });
        if feed.stage == Stage::Unseen {
            feed.stage = Stage::Known;
        }
        let title = format!("#{number} {}", feed.name);
        if feed.stage == Stage::Ended && feed.pieces.len() == 1 {
            // Its last word is all there is: nothing to fold.
            self.out.extend_from_slice(title.as_bytes());
            self.out.push(b'\n');
        } else {
            self.folds.open(&mut self.out, &title, now);
        }
        self.write_feed(vertex);
    }

    fn leave_floor(&mut self, now: Duration) {
        let Some(floor) = self.floor.take() else {
            return;
        };
        self.end_open_line();
        let feed = &self.feeds[&floor.vertex];
        if feed.stage != Stage::Ended {
            // Writing to a Vec cannot fail.
            let _ = writeln!(self.out, "#{} ...", feed.number.unwrap_or_default());
        }
        self.folds.close(&mut self.out, now);
        self.out.push(b'\n');
    }

    /// Moves what a vertex has to say to the output.
    fn write_feed(&mut self, vertex: EventVertex) {
        let feed = self.feeds.entry(vertex).or_default();
        feed.bytes = 0;
        let prefix = format!("#{} ", feed.number.unwrap_or_default());
        for piece in std::mem::take(&mut feed.pieces) {
            let (stream, text) = match &piece {
                Piece::Line(text) => (None, text),
                Piece::Output(stream, text) | Piece::Partial(stream, text) => (Some(*stream), text),
            };
            let continues = stream.is_some_and(|s| self.open_line == Some((vertex, s)));
            if continues {
                // The time stamp stands before the line's beginning already.
                let stamp = text
                    .iter()
                    .position(|byte| *byte == b' ')
                    .map_or(0, |at| at + 1);
                self.out.extend_from_slice(&text[stamp..]);
            } else {
                if self.open_line.take().is_some() {
                    self.out.push(b'\n');
                }
                self.out.extend_from_slice(prefix.as_bytes());
                self.out.extend_from_slice(text);
            }
            self.open_line = match piece {
                Piece::Partial(stream, _) => Some((vertex, stream)),
                Piece::Line(_) | Piece::Output(..) => {
                    self.out.push(b'\n');
                    None
                }
            };
        }
    }

    fn end_open_line(&mut self) {
        if self.open_line.take().is_some() {
            self.out.push(b'\n');
        }
    }

    /// Shows the unfinished line of the vertex that has the floor, if it waits for its end for long.
    fn show_partial(&mut self, now: Duration) {
        let Some(floor) = &mut self.floor else { return };
        let vertex = floor.vertex;
        let feed = self.feeds.entry(vertex).or_default();
        if feed.pend_partials(|at| now.saturating_sub(at) >= PARTIAL_HOLD) {
            floor.last_word = now;
            self.write_feed(vertex);
        }
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            // A reader that is gone ends the drawing, not the build.
            let _ = self.writer.write_all(&self.out);
            let _ = self.writer.flush();
            self.out.clear();
        }
    }
}

impl<W: Write + Send> Draw for Plain<W> {
    fn event(&mut self, event: &Event, model: &Model) {
        let (vertex, now) = match &event.kind {
            EventKind::Planned { .. } | EventKind::Warning { .. } => return,
            EventKind::Started { vertex }
            | EventKind::Missed { vertex, .. }
            | EventKind::Output { vertex, .. }
            | EventKind::Status { vertex, .. }
            | EventKind::Done { vertex, .. } => (*vertex, event.at),
        };
        let known = model.vertex(vertex);
        let feed = self.feeds.entry(vertex).or_default();
        if feed.name.is_empty() {
            feed.name = one_line(&known.name);
        }
        if feed.number.is_none() && feed.stage == Stage::Known {
            feed.stage = Stage::Unseen;
            feed.since = known.since().unwrap_or(now);
        }
        match &event.kind {
            EventKind::Missed { reason, .. } => {
                feed.line(format!("not cached: {}", one_line(reason)));
            }
            EventKind::Output { stream, data, .. } => feed.output(*stream, data, now),
            EventKind::Status { id, .. } => {
                if let Some(status) = known.statuses.iter().find(|status| status.id == *id) {
                    feed.status(status);
                }
            }
            EventKind::Done { outcome, .. } => feed.end(outcome, now),
            _ => {}
        }
        self.speak(vertex, now);
    }

    fn tick(&mut self, model: &Model) {
        let now = model.now();
        self.show_partial(now);
        if !self.waiting.is_empty() {
            let quiet = self
                .floor
                .as_ref()
                .is_none_or(|floor| now.saturating_sub(floor.last_word) >= FLOOR_QUIET);
            if quiet || now.saturating_sub(self.waiting_since) >= FLOOR_MAX {
                self.hear_the_waiting(now);
                self.settle(now);
            }
        }
        self.flush();
    }

    fn end(&mut self, model: &Model) {
        let now = model.now();
        self.hear_the_waiting(now);
        let pending: Vec<_> = self.feeds.keys().copied().collect();
        for vertex in pending {
            let feed = self.feeds.entry(vertex).or_default();
            if feed.pend_partials(|_| true) {
                if self
                    .floor
                    .as_ref()
                    .is_none_or(|floor| floor.vertex != vertex)
                {
                    self.leave_floor(now);
                    self.take_floor(vertex, now);
                }
                self.write_feed(vertex);
            }
        }
        self.leave_floor(now);
        write_warnings(&mut self.out, &model.summary().warnings);
        self.flush();
    }

    fn abandon(&mut self, model: &Model) {
        self.end_open_line();
        self.folds.close(&mut self.out, model.now());
        self.flush();
    }
}

/// ` 1 warning found (use --debug to expand):` and a line for each.
pub(crate) fn write_warnings(out: &mut Vec<u8>, warnings: &[String]) {
    if warnings.is_empty() {
        return;
    }
    let plural = if warnings.len() == 1 { "" } else { "s" };
    let is_short = warnings.iter().all(|warning| !warning.contains('\n'));
    let hint = if is_short {
        " (use --debug to expand)"
    } else {
        ""
    };
    let _ = writeln!(out, " {} warning{plural} found{hint}:", warnings.len());
    for warning in warnings {
        let _ = writeln!(out, " - {warning}");
    }
    out.push(b'\n');
}

/// A heredoc's name spans lines; the log needs one.
fn one_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
