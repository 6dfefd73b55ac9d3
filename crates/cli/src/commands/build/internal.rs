//! Steps that no Dockerfile names: reading it, resolving images, exporting.

use std::sync::atomic::{AtomicU32, Ordering};

use rbuild_progress::{EventKind, EventVertex, Outcome, Reporter, StatusState};
use rbuild_solve::FIRST_FREE_EVENT_VERTEX;

/// Numbers the steps and reports them.
pub(super) struct InternalSteps {
    reporter: Reporter,
    next: AtomicU32,
}

/// A running step.
pub(super) struct InternalStep<'a> {
    reporter: &'a Reporter,
    vertex: EventVertex,
}

impl InternalSteps {
    pub(super) fn new(reporter: &Reporter) -> Self {
        Self {
            reporter: reporter.clone(),
            next: AtomicU32::new(FIRST_FREE_EVENT_VERTEX),
        }
    }

    /// Begins a step called `name`, which goes on beside others until it is dropped.
    pub(super) fn begin(&self, name: &str) -> BesideStep {
        let vertex = self.announce(name);
        BesideStep {
            reporter: self.reporter.clone(),
            vertex,
        }
    }

    /// Does `work` as a step called `name`.
    pub(super) fn run<T, E: std::fmt::Display>(
        &self,
        name: &str,
        work: impl FnOnce(&InternalStep<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let vertex = self.announce(name);
        let result = work(&InternalStep {
            reporter: &self.reporter,
            vertex,
        });
        let outcome = match &result {
            Ok(_) => Outcome::Completed,
            Err(error) => Outcome::Failed {
                message: error.to_string(),
            },
        };
        self.reporter.send(EventKind::Done { vertex, outcome });
        result
    }

    fn announce(&self, name: &str) -> EventVertex {
        let vertex = EventVertex(self.next.fetch_add(1, Ordering::Relaxed));
        let name = name.to_owned();
        self.reporter.send(EventKind::Planned {
            vertex,
            name,
            inputs: Vec::new(),
        });
        self.reporter.send(EventKind::Started { vertex });
        vertex
    }
}

/// A step that others go on beside.
pub(super) struct BesideStep {
    reporter: Reporter,
    vertex: EventVertex,
}

impl BesideStep {
    /// To tell how it goes.
    pub(super) fn step(&self) -> InternalStep<'_> {
        InternalStep {
            reporter: &self.reporter,
            vertex: self.vertex,
        }
    }
}

impl Drop for BesideStep {
    fn drop(&mut self) {
        self.reporter.send(EventKind::Done {
            vertex: self.vertex,
            outcome: Outcome::Completed,
        });
    }
}

impl InternalStep<'_> {
    /// So much of something is done, in bytes.
    pub(super) fn progress(&self, id: &str, current: u64, total: u64) {
        let state = if current == total {
            StatusState::Finished
        } else {
            StatusState::Running
        };
        self.send(id, current, Some(total), state);
    }

    /// Something is done.
    pub(super) fn done(&self, id: &str) {
        self.send(id, 0, None, StatusState::Finished);
    }

    fn send(&self, id: &str, current: u64, total: Option<u64>, state: StatusState) {
        let (vertex, id) = (self.vertex, id.to_owned());
        self.reporter.send(EventKind::Status {
            vertex,
            id,
            current,
            total,
            state,
        });
    }
}
