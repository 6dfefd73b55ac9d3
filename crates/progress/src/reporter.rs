//! The end of the channel that workers hold.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

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

    /// One whose events nobody sees.
    pub fn silent() -> Self {
        Self {
            sender: None,
            start: Instant::now(),
        }
    }

    /// Tells that something happened now.
    pub fn send(&self, kind: EventKind) {
        if let Some(sender) = &self.sender {
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
