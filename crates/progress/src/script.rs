//! Builds told with fixed times, for tests of renderers.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::model::Model;
use crate::renderer::Draw;
use crate::{Event, EventKind, EventVertex, Outcome, StatusState, Stream};

/// A writer whose bytes can be looked at.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().expect("no test panics while writing");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut all = self.0.lock().expect("no test panics while writing");
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells a model, and perhaps a renderer, what happens at which millisecond.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) model: Model,
    pub(crate) draw: Option<Box<dyn Draw>>,
}

impl Script {
    pub(crate) fn drawn_by(draw: impl Draw + 'static) -> Self {
        Self {
            draw: Some(Box::new(draw)),
            ..Self::default()
        }
    }

    pub(crate) fn event(&mut self, at: u64, kind: EventKind) -> &mut Self {
        let at = Duration::from_millis(at);
        let event = Event { at, kind };
        self.model.apply(&event);
        if let Some(draw) = &mut self.draw {
            draw.event(&event, &self.model);
        }
        self
    }

    pub(crate) fn plan(&mut self, vertex: u32, name: &str) -> &mut Self {
        let name = name.to_owned();
        let vertex = EventVertex(vertex);
        let inputs = Vec::new();
        self.event(
            0,
            EventKind::Planned {
                vertex,
                name,
                inputs,
            },
        )
    }

    pub(crate) fn start(&mut self, at: u64, vertex: u32) -> &mut Self {
        let vertex = EventVertex(vertex);
        self.event(at, EventKind::Started { vertex })
    }

    pub(crate) fn missed(&mut self, at: u64, vertex: u32, reason: &str) -> &mut Self {
        let (vertex, reason) = (EventVertex(vertex), reason.to_owned());
        self.event(at, EventKind::Missed { vertex, reason })
    }

    pub(crate) fn output(&mut self, at: u64, vertex: u32, data: &str) -> &mut Self {
        let (vertex, data) = (EventVertex(vertex), data.as_bytes().to_vec());
        let stream = Stream::Stdout;
        self.event(
            at,
            EventKind::Output {
                vertex,
                stream,
                data,
            },
        )
    }

    pub(crate) fn status(
        &mut self,
        at: u64,
        vertex: u32,
        id: &str,
        done: u64,
        of: u64,
    ) -> &mut Self {
        let (vertex, id) = (EventVertex(vertex), id.to_owned());
        let (current, total) = (done, (of > 0).then_some(of));
        let state = if done == of {
            StatusState::Finished
        } else {
            StatusState::Running
        };
        self.event(
            at,
            EventKind::Status {
                vertex,
                id,
                current,
                total,
                state,
            },
        )
    }

    pub(crate) fn done(&mut self, at: u64, vertex: u32, outcome: Outcome) -> &mut Self {
        let vertex = EventVertex(vertex);
        self.event(at, EventKind::Done { vertex, outcome })
    }

    pub(crate) fn completed(&mut self, at: u64, vertex: u32) -> &mut Self {
        self.done(at, vertex, Outcome::Completed)
    }

    pub(crate) fn failed(&mut self, at: u64, vertex: u32, message: &str) -> &mut Self {
        let message = message.to_owned();
        self.done(at, vertex, Outcome::Failed { message })
    }

    pub(crate) fn tick(&mut self, at: u64) -> &mut Self {
        self.model.pass(Duration::from_millis(at));
        if let Some(draw) = &mut self.draw {
            draw.tick(&self.model);
        }
        self
    }

    pub(crate) fn end(&mut self, at: u64) {
        self.model.pass(Duration::from_millis(at));
        if let Some(draw) = &mut self.draw {
            draw.end(&self.model);
        }
    }
}
