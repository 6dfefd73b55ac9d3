//! `--progress=rawjson`: one JSON object per line, in the shape that buildx writes (`BuildKit`'s
//! `SolveStatus`), so that programs made for it can read ours.
//!
//! ```json
//! {"vertexes":[{"digest":"sha256:…","inputs":["sha256:…"],"name":"[2/2] RUN make","started":"2026-…Z"}]}
//! {"logs":[{"vertex":"sha256:…","stream":1,"data":"aGVsbG8K","timestamp":"2026-…Z"}]}
//! {"statuses":[{"id":"sha256:…","vertex":"sha256:…","total":2150000,"current":1024,"timestamp":"2026-…Z","started":"2026-…Z"}]}
//! {"vertexes":[{"digest":"sha256:…","name":"…","started":"2026-…Z","completed":"2026-…Z","error":"…"}]}
//! {"warnings":[{"level":1,"short":"…","detail":["…"],"url":"…","sourceInfo":{…},"range":[…]}]}
//! ```
//!
//! A vertex's `digest` is a name for it in this stream, made of its number and its name, not the digest
//! of anything that it holds. `data`, `short` and `detail` are base64; `stream` is 1 for standard output, 2 for
//! standard error. A vertex is told again, whole, whenever it changes.

use std::io::Write;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::model::{Model, Phase, Status, Vertex};
use crate::renderer::Draw;
use crate::{Event, EventKind, EventVertex, Outcome, StatusState, Stream, WarningAbout};

/// Is hashed into a vertex's pseudo-digest; another value gives other names for the same vertices, which
/// matters only to who compares two streams.
const VERTEX_NAME_VERSION: &str = "rbuild-progress-vertex-v1";

/// Writes JSON.
pub(crate) struct RawJson<W> {
    writer: W,
    out: Vec<u8>,
    started_at: SystemTime,
}

#[derive(Serialize, Default)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    vertexes: Option<[VertexLine<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statuses: Option<[StatusLine<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<[LogLine; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<[WarningLine; 1]>,
}

#[derive(Serialize)]
struct VertexLine<'a> {
    digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
}

#[derive(Serialize)]
struct StatusLine<'a> {
    id: &'a str,
    vertex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    current: u64,
    timestamp: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
}

#[derive(Serialize)]
struct LogLine {
    vertex: String,
    stream: u8,
    data: String,
    timestamp: String,
}

#[derive(Serialize)]
struct WarningLine {
    level: u8,
    short: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<[String; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(rename = "sourceInfo", skip_serializing_if = "Option::is_none")]
    source_info: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<serde_json::Value>,
}

impl WarningLine {
    fn new(message: &str, about: Option<&WarningAbout>) -> Self {
        let range = |about: &WarningAbout| {
            let (first, last) = about.lines;
            serde_json::json!([{ "start": { "line": first }, "end": { "line": last } }])
        };
        let source = |about: &WarningAbout| serde_json::json!({ "filename": about.file, "language": "Dockerfile" });
        Self {
            level: 1,
            short: BASE64.encode(message),
            detail: about.map(|about| [BASE64.encode(&about.detail)]),
            url: about
                .map(|about| about.url.clone())
                .filter(|url| !url.is_empty()),
            source_info: about.map(source),
            range: about.map(range),
        }
    }
}

impl<W: Write + Send> RawJson<W> {
    pub(crate) fn new(writer: W, started_at: SystemTime) -> Self {
        Self {
            writer,
            out: Vec::new(),
            started_at,
        }
    }

    fn time(&self, at: Duration) -> String {
        let time = self.started_at + at;
        jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| time.to_string())
    }

    fn vertex_line<'a>(&self, id: EventVertex, vertex: &'a Vertex, model: &Model) -> Line<'a> {
        let (completed, cached, error) = match &vertex.phase {
            Phase::Planned | Phase::Running { .. } => (None, false, ""),
            Phase::Ended {
                since,
                took,
                outcome,
            } => {
                let (cached, error) = match outcome {
                    Outcome::Completed => (false, ""),
                    Outcome::Cached => (true, ""),
                    Outcome::Failed { message } => (false, message.as_str()),
                    Outcome::Cancelled => (false, "context canceled"),
                };
                (Some(*since + *took), cached, error)
            }
        };
        let inputs = vertex.inputs.iter();
        Line {
            vertexes: Some([VertexLine {
                digest: pseudo_digest(id, &vertex.name),
                inputs: inputs
                    .map(|input| pseudo_digest(*input, model.name(*input)))
                    .collect(),
                name: &vertex.name,
                started: vertex.since().map(|at| self.time(at)),
                completed: completed.map(|at| self.time(at)),
                cached,
                error,
            }]),
            ..Line::default()
        }
    }

    fn status_line<'a>(&self, id: EventVertex, vertex: &Vertex, status: &'a Status) -> Line<'a> {
        let timestamp = self.time(status.at);
        Line {
            statuses: Some([StatusLine {
                id: &status.id,
                vertex: pseudo_digest(id, &vertex.name),
                total: status.total,
                current: status.current,
                started: self.time(status.since),
                completed: (status.state == StatusState::Finished).then(|| timestamp.clone()),
                timestamp,
            }]),
            ..Line::default()
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

impl<W: Write + Send> Draw for RawJson<W> {
    fn event(&mut self, event: &Event, model: &Model) {
        let line = match &event.kind {
            EventKind::Planned { vertex, .. }
            | EventKind::Started { vertex }
            | EventKind::Done { vertex, .. } => {
                self.vertex_line(*vertex, model.vertex(*vertex), model)
            }
            // BuildKit's stream has no word for it.
            EventKind::Missed { .. } => return,
            EventKind::Status { vertex, id, .. } => {
                let known = model.vertex(*vertex);
                let Some(status) = known.statuses.iter().find(|status| status.id == *id) else {
                    return;
                };
                self.status_line(*vertex, known, status)
            }
            EventKind::Output {
                vertex,
                stream,
                data,
            } => Line {
                logs: Some([LogLine {
                    vertex: pseudo_digest(*vertex, model.name(*vertex)),
                    stream: match stream {
                        Stream::Stdout => 1,
                        Stream::Stderr => 2,
                    },
                    data: BASE64.encode(data),
                    timestamp: self.time(event.at),
                }]),
                ..Line::default()
            },
            EventKind::Warning { message, about } => Line {
                warnings: Some([WarningLine::new(message, about.as_deref())]),
                ..Line::default()
            },
        };
        serde_json::to_writer(&mut self.out, &line).expect("strings and numbers are JSON");
        self.out.push(b'\n');
    }

    fn tick(&mut self, _: &Model) {
        self.flush();
    }

    fn end(&mut self, _: &Model) {
        self.flush();
    }

    fn abandon(&mut self, _: &Model) {
        self.flush();
    }
}

/// A name for a vertex, in the form of a digest.
fn pseudo_digest(id: EventVertex, name: &str) -> String {
    let mut hash = Sha256::new();
    for part in [VERTEX_NAME_VERSION, &id.0.to_string(), name] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!("sha256:{}", hex::encode(hash.finalize()))
}

#[cfg(test)]
#[path = "rawjson_tests.rs"]
mod tests;
