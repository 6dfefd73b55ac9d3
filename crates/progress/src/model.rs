//! What is known of a build: the sum of its events, which every renderer draws from.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::lines::LineSplitter;
use crate::{Event, EventKind, EventVertex, FailedVertex, Outcome, StatusState, Stream, Summary};

/// Lines of a vertex that are kept for the report of its failure.
const TAIL_LINES: usize = 20;

/// A line in the tail keeps at most this much: it is for a report, the log itself is not clipped.
const TAIL_LINE_BYTES: usize = 16 * 1024;

/// All vertices of a build.
#[derive(Debug, Default)]
pub(crate) struct Model {
    vertices: BTreeMap<EventVertex, Vertex>,
    order: Vec<EventVertex>,
    warnings: Vec<String>,
    first_failed: Option<EventVertex>,
    now: Duration,
}

/// One vertex.
#[derive(Debug)]
pub(crate) struct Vertex {
    pub(crate) name: String,
    pub(crate) inputs: Vec<EventVertex>,
    pub(crate) phase: Phase,
    /// Why it runs although it ran before.
    pub(crate) missed: Option<String>,
    /// In order of first appearance.
    pub(crate) statuses: Vec<Status>,
    pub(crate) tail: Tail,
}

/// Where a vertex stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not begun.
    Planned,
    /// Running since then.
    Running { since: Duration },
    /// Ended after having run for `took`.
    Ended {
        since: Duration,
        took: Duration,
        outcome: Outcome,
    },
}

/// Something countable within a vertex.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) id: String,
    pub(crate) current: u64,
    pub(crate) total: Option<u64>,
    pub(crate) state: StatusState,
    pub(crate) since: Duration,
    pub(crate) at: Duration,
}

impl Model {
    /// Takes an event in.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.now = self.now.max(event.at);
        match &event.kind {
            EventKind::Planned {
                vertex,
                name,
                inputs,
            } => {
                let known = self.vertex_mut(*vertex);
                known.name.clone_from(name);
                known.inputs.clone_from(inputs);
            }
            EventKind::Started { vertex } => self.vertex_mut(*vertex).begin(event.at),
            EventKind::Missed { vertex, reason } => {
                self.vertex_mut(*vertex).missed = Some(reason.clone());
            }
            EventKind::Output {
                vertex,
                stream,
                data,
            } => {
                let vertex = self.vertex_mut(*vertex);
                vertex.begin(event.at);
                vertex.tail.push(*stream, data, event.at);
            }
            EventKind::Status {
                vertex,
                id,
                current,
                total,
                state,
            } => {
                let vertex = self.vertex_mut(*vertex);
                vertex.begin(event.at);
                vertex.status(id, event.at, (*current, *total, *state));
            }
            EventKind::Done { vertex, outcome } => {
                if matches!(outcome, Outcome::Failed { .. }) {
                    self.first_failed.get_or_insert(*vertex);
                }
                self.vertex_mut(*vertex).end(event.at, outcome);
            }
            EventKind::Warning { message, .. } => self.warnings.push(message.clone()),
        }
    }

    /// Time goes on without events.
    pub(crate) fn pass(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// The newest time seen.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// A vertex that an event named.
    pub(crate) fn vertex(&self, vertex: EventVertex) -> &Vertex {
        self.vertices
            .get(&vertex)
            .expect("an event is applied before it is drawn")
    }

    /// A vertex's name; empty if none told it yet.
    pub(crate) fn name(&self, vertex: EventVertex) -> &str {
        self.vertices
            .get(&vertex)
            .map_or("", |vertex| vertex.name.as_str())
    }

    /// All vertices in the order in which they were first named.
    pub(crate) fn vertices(&self) -> impl Iterator<Item = &Vertex> {
        self.order.iter().map(|vertex| self.vertex(*vertex))
    }

    /// What it all came to, if it ended now.
    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary {
            elapsed: self.now,
            warnings: self.warnings.clone(),
            failed: self.first_failed.map(|id| self.vertex(id).failure()),
            ..Summary::default()
        };
        for vertex in self.vertices() {
            let Phase::Ended { outcome, .. } = &vertex.phase else {
                continue;
            };
            summary.steps += 1;
            match outcome {
                Outcome::Completed => summary.completed += 1,
                Outcome::Cached => summary.cached += 1,
                Outcome::Cancelled => summary.cancelled += 1,
                Outcome::Failed { .. } => {}
            }
        }
        summary
    }

    fn vertex_mut(&mut self, id: EventVertex) -> &mut Vertex {
        self.vertices.entry(id).or_insert_with(|| {
            self.order.push(id);
            Vertex {
                name: format!("vertex {}", id.0),
                inputs: Vec::new(),
                phase: Phase::Planned,
                missed: None,
                statuses: Vec::new(),
                tail: Tail::default(),
            }
        })
    }
}

impl Vertex {
    fn begin(&mut self, at: Duration) {
        if self.phase == Phase::Planned {
            self.phase = Phase::Running { since: at };
        }
    }

    fn end(&mut self, at: Duration, outcome: &Outcome) {
        let since = self.since().unwrap_or(at);
        self.phase = Phase::Ended {
            since,
            took: at.saturating_sub(since),
            outcome: outcome.clone(),
        };
    }

    fn status(&mut self, id: &str, at: Duration, progress: (u64, Option<u64>, StatusState)) {
        let (current, total, state) = progress;
        if let Some(known) = self.statuses.iter_mut().find(|known| known.id == id) {
            known.current = current;
            known.total = total.or(known.total);
            known.state = state;
            known.at = at;
        } else {
            self.statuses.push(Status {
                id: id.to_owned(),
                current,
                total,
                state,
                since: at,
                at,
            });
        }
    }

    /// When it began to run.
    pub(crate) fn since(&self) -> Option<Duration> {
        match self.phase {
            Phase::Planned => None,
            Phase::Running { since } | Phase::Ended { since, .. } => Some(since),
        }
    }

    fn failure(&self) -> FailedVertex {
        let message = match &self.phase {
            Phase::Ended {
                outcome: Outcome::Failed { message },
                ..
            } => message.clone(),
            _ => String::new(),
        };
        let since = self.since().unwrap_or_default();
        FailedVertex {
            name: self.name.clone(),
            message,
            last_lines: self
                .tail
                .lines(TAIL_LINES)
                .map(|(at, line)| (at.saturating_sub(since), line))
                .collect(),
        }
    }
}

/// The last lines that a vertex wrote.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<(Duration, Vec<u8>)>,
    stdout: LineSplitter,
    stderr: LineSplitter,
}

impl Tail {
    fn push(&mut self, stream: Stream, data: &[u8], at: Duration) {
        let splitter = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let lines = &mut self.lines;
        splitter.push(data, at, |at, line| {
            if lines.len() == TAIL_LINES {
                lines.pop_front();
            }
            lines.push_back((at, line[..line.len().min(TAIL_LINE_BYTES)].to_vec()));
        });
    }

    /// The last `count` lines as text, an unfinished one included.
    pub(crate) fn lines(&self, count: usize) -> impl Iterator<Item = (Duration, String)> {
        let pending = [self.stdout.pending(), self.stderr.pending()];
        let pending = pending.into_iter().flatten();
        let all: Vec<_> = self
            .lines
            .iter()
            .map(|(at, line)| (*at, line.as_slice()))
            .chain(pending)
            .collect();
        let skipped = all.len().saturating_sub(count);
        all.into_iter()
            .skip(skipped)
            .map(|(at, line)| (at, String::from_utf8_lossy(line).into_owned()))
            .collect::<Vec<_>>()
            .into_iter()
    }
}
