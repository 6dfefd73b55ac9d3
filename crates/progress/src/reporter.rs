//! The end of the channel that workers hold.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::redact::redact;
use crate::{Event, EventKind};

/// What travels to the drawing thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something happened.
    Event(Event),
    /// Nothing more will be drawn: the build ended after this long.
    Finish(Duration),
    /// Nobody waits for the end any more.
    Abandon,
}

/// Events that may wait for a [`Listener`] before workers have to wait.
const LISTENER_EVENTS: usize = 4096;

/// Receives the events themselves, for callers that draw in their own way.
#[derive(Debug)]
pub struct Listener(Receiver<Message>);

/// What a [`Listener`] heard.
#[derive(Debug)]
pub enum Heard {
    /// Something happened.
    Event(Event),
    /// Nothing did in the given time.
    Nothing,
    /// All reporters are gone.
    End,
}

impl Listener {
    /// The next event, waited for at most `patience`.
    pub fn next(&self, patience: Duration) -> Heard {
        match self.0.recv_timeout(patience) {
            Ok(Message::Event(event)) => Heard::Event(event),
            Ok(Message::Finish(_) | Message::Abandon) | Err(RecvTimeoutError::Disconnected) => {
                Heard::End
            }
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
        }
    }
}

/// Sends events to the [`crate::Renderer`]; cheap to clone, shared by all workers.
///
/// The channel is bounded: a step that writes faster than the output can be drawn waits, as it would at
/// a pipe. After the renderer has finished, events vanish.
#[derive(Debug, Clone)]
pub struct Reporter {
    sender: Option<Sender<Message>>,
    start: Instant,
}

impl Reporter {
    pub(crate) fn new(sender: Sender<Message>, start: Instant) -> Self {
        Self {
            sender: Some(sender),
            start,
        }
    }

    /// One whose events are heard by the caller instead of being drawn by a renderer.
    pub fn heard() -> (Self, Listener) {
        let (sender, receiver) = bounded(LISTENER_EVENTS);
        (Self::new(sender, Instant::now()), Listener(receiver))
    }

    /// One whose events nobody sees.
    pub fn silent() -> Self {
        Self {
            sender: None,
            start: Instant::now(),
        }
    }

    /// Tells that something happened now. Passwords in web addresses are masked.
    pub fn send(&self, mut kind: EventKind) {
        if let Some(sender) = &self.sender {
            for text in kind.texts() {
                redact(text);
            }
            let at = self.elapsed();
            // A renderer that is gone has drawn its end: nothing is left to tell.
            let _ = sender.send(Message::Event(Event { at, kind }));
        }
    }

    /// Time since the build began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventVertex;

    #[test]
    fn a_listener_hears_events_until_the_last_reporter_is_gone() {
        let (reporter, listener) = Reporter::heard();
        let kind = EventKind::Started {
            vertex: EventVertex(7),
        };
        reporter.send(kind.clone());
        let heard = listener.next(Duration::from_secs(5));
        assert!(matches!(heard, Heard::Event(event) if event.kind == kind));
        assert!(matches!(listener.next(Duration::ZERO), Heard::Nothing));
        drop(reporter);
        let end = listener.next(Duration::from_secs(5));
        assert!(matches!(end, Heard::End));
    }
}
