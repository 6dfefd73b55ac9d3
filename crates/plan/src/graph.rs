//! The plan: one graph for all stages, targets and platforms of a build.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rbuild_dockerfile::Span;
use rbuild_image::{HistoryEntry, ImageConfig, Platform};

use crate::fold::Seed;
use crate::{FileAction, ImageScan, Input, MountKind, Operation};

/// A vertex of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexId(pub NodeIndex);

/// An operation and what people call it.
#[derive(Debug, Clone)]
pub struct Vertex {
    /// What it does.
    pub operation: Operation,
    /// What it is for: its platform decides how an Exec runs.
    pub platform: Arc<Platform>,
    /// `[build 2/5] RUN make`: people know the form from `docker build`.
    pub name: String,
    /// Where in the Dockerfile it stands; none for the context and the like.
    pub origin: Option<Span>,
    /// The stage it belongs to; empty if none.
    pub stage: Arc<str>,
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
    /// Vertices by fingerprint; of equal ones, one has the next number.
    known: HashMap<u64, VertexId>,
    seed: Seed,
    /// One for each platform of the build.
    pub outputs: Vec<ImageOutput>,
    /// What is looked through for bills of materials, for each output; empty if nothing is.
    pub scans: Vec<ImageScan>,
}

impl Plan {
    /// Adds a vertex, or finds the equal one that is there already.
    pub fn add(&mut self, vertex: Vertex, inputs: &[VertexId]) -> VertexId {
        let mut fingerprint = self.fingerprint(&vertex, inputs);
        while let Some(&known) = self.known.get(&fingerprint) {
            if self.is_same(known, &vertex, inputs) {
                return known;
            }
            fingerprint = fingerprint.wrapping_add(1);
        }
        let id = VertexId(self.graph.add_node(vertex));
        self.known.insert(fingerprint, id);
        for (slot, input) in inputs.iter().enumerate() {
            self.graph.add_edge(input.0, id.0, Input(slot as u32));
        }
        id
    }

    fn is_same(&self, id: VertexId, vertex: &Vertex, inputs: &[VertexId]) -> bool {
        let known = self.vertex(id);
        known.operation == vertex.operation
            && known.platform == vertex.platform
            && known.cache_use == vertex.cache_use
            && self.inputs(id) == inputs
    }

    fn fingerprint(&self, vertex: &Vertex, inputs: &[VertexId]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        vertex.operation.hash(&mut hasher);
        inputs.hash(&mut hasher);
        vertex.platform.hash(&mut hasher);
        vertex.cache_use.hash(&mut hasher);
        hasher.finish()
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

    /// Which paths of `context` the plan reads: those that copies and bind mounts name, patterns included.
    pub fn context_paths(&self, context: VertexId) -> Needed {
        let mut paths = BTreeSet::new();
        for edge in self.graph.edges_directed(context.0, Direction::Outgoing) {
            let user = &self.graph[edge.target()];
            if !needed_paths(&user.operation, *edge.weight(), &mut paths) {
                return Needed::All;
            }
        }
        Needed::Paths(paths)
    }

    /// The graph itself, for algorithms and drawing.
    pub fn graph(&self) -> &DiGraph<Vertex, Input> {
        &self.graph
    }
}

/// The part of a context that a build reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// All of it.
    All,
    /// Only what these name: relative paths or patterns, without `./`; directories with all below.
    Paths(BTreeSet<String>),
}

/// Notes what `operation` reads of the input in `slot`; `false` if that is everything.
fn needed_paths(operation: &Operation, slot: Input, paths: &mut BTreeSet<String>) -> bool {
    let mut note = |source: &str| {
        let relative = source.replace("/./", "/");
        let relative = relative.trim_matches('/');
        paths.insert(relative.to_owned());
        !relative.is_empty() && relative != "."
    };
    match operation {
        Operation::File(file) => file.actions.iter().all(|action| match action {
            FileAction::Copy(copy) if copy.from == slot => note(&copy.source),
            _ => file.base != Some(slot),
        }),
        Operation::Exec(exec) => exec.mounts.iter().all(|mount| match &mount.kind {
            MountKind::Bind { from, source, .. } if *from == slot => note(source),
            MountKind::Cache {
                from: Some(from),
                source,
                ..
            } if *from == slot => note(source),
            _ => slot != Input(0),
        }),
        _ => false,
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
