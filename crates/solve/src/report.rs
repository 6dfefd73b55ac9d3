//! Events of vertices.

use rbuild_plan::VertexId;
use rbuild_progress::{EventKind, EventVertex, Outcome, Reporter};

/// The number by which events call a vertex of the plan. Others that send events of their own begin at
/// [`FIRST_FREE_EVENT_VERTEX`].
pub(crate) fn event_vertex(vertex: VertexId) -> EventVertex {
    EventVertex(vertex.0.index() as u32)
}

/// The first number that no vertex of a plan has.
pub const FIRST_FREE_EVENT_VERTEX: u32 = 1 << 24;

pub(crate) fn now_started(reporter: &Reporter, vertex: VertexId) {
    reporter.send(EventKind::Started {
        vertex: event_vertex(vertex),
    });
}

pub(crate) fn now_done(reporter: &Reporter, vertex: VertexId, outcome: Outcome) {
    reporter.send(EventKind::Done {
        vertex: event_vertex(vertex),
        outcome,
    });
}
