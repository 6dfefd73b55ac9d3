//! The plan: one graph for all stages, targets and platforms of a build.

use std::collections::HashMap;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rbuild_dockerfile::Span;
use rbuild_image::{HistoryEntry, ImageConfig, Platform};

use crate::{Input, Operation};

/// A vertex of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexId(pub NodeIndex);

/// An operation and what people call it.
#[derive(Debug, Clone)]
pub struct Vertex {
    /// What it does.
    pub operation: Operation,
    /// What it is for: its platform decides how an Exec runs.
    pub platform: Platform,
    /// `[build 2/5] RUN make`, as BuildKit's progress has it.
    pub name: String,
    /// Where in the Dockerfile it stands; none for the context and the like.
    pub origin: Option<Span>,
    /// The stage it belongs to; empty if none.
    pub stage: String,
    /// Whether earlier results may be used.
    pub cache_use: CacheUse,
}

/// Whether a step may be a cache hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheUse {
    /// As usual.
    Allowed,
    /// `--no-cache`: run it, keep the result.
    Refused,
}

/// What to build for one platform.
#[derive(Debug, Clone)]
pub struct ImageOutput {
    /// The platform.
    pub platform: Platform,
    /// The tree; `None` for an empty image.
    pub root: Option<VertexId>,
    /// The config, complete but for `rootfs`, `created` and the times of new history entries.
    pub config: ImageConfig,
    /// How many entries of `config.history` came with the base image.
    pub base_history: usize,
}

/// The graph; edges lead from an input to what uses it and carry the slot.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    graph: DiGraph<Vertex, Input>,
    known: HashMap<(Operation, Vec<VertexId>, Platform, CacheUse), VertexId>,
    /// One for each platform of the build.
    pub outputs: Vec<ImageOutput>,
}

impl Plan {
    /// Adds a vertex, or finds the equal one that is there already.
    pub fn add(&mut self, vertex: Vertex, inputs: &[VertexId]) -> VertexId {
        let identity = (
            vertex.operation.clone(),
            inputs.to_vec(),
            vertex.platform.clone(),
            vertex.cache_use,
        );
        if let Some(&known) = self.known.get(&identity) {
            return known;
        }
        let id = VertexId(self.graph.add_node(vertex));
        for (slot, input) in inputs.iter().enumerate() {
            self.graph.add_edge(input.0, id.0, Input(slot as u32));
        }
        self.known.insert(identity, id);
        id
    }

    /// The vertex `id`.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.graph[id.0]
    }

    /// All vertices, inputs before what uses them.
    pub fn vertices(&self) -> impl Iterator<Item = VertexId> + '_ {
        self.graph.node_indices().map(VertexId)
    }

    /// The inputs of `id` in the order of their slots.
    pub fn inputs(&self, id: VertexId) -> Vec<VertexId> {
        let mut edges: Vec<_> = self
            .graph
            .edges_directed(id.0, Direction::Incoming)
            .map(|edge| (*edge.weight(), VertexId(edge.source())))
            .collect();
        edges.sort_unstable();
        edges.into_iter().map(|(_, source)| source).collect()
    }

    /// The vertices that use `id`, each once.
    pub fn users(&self, id: VertexId) -> Vec<VertexId> {
        let mut users: Vec<_> = self
            .graph
            .neighbors_directed(id.0, Direction::Outgoing)
            .map(VertexId)
            .collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// The graph itself, for algorithms and drawing.
    pub fn graph(&self) -> &DiGraph<Vertex, Input> {
        &self.graph
    }
}

/// History entries that a plan adds carry this comment.
pub const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// A new history entry.
pub(crate) fn history(created_by: String, empty_layer: bool) -> HistoryEntry {
    HistoryEntry {
        created_by,
        empty_layer,
        comment: HISTORY_COMMENT.to_owned(),
        ..HistoryEntry::default()
    }
}
