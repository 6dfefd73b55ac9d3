//! The steps of a build: what `mode=max` tells beside the sources.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rbuild_dockerfile::Source;
use rbuild_plan::{MountKind, NetworkMode, Operation, Plan, Presence, VertexId, operation_to_json};
use serde_json::{Map, Value, json};

/// Secrets and agents that steps use: whether a build goes on without them, by id.
pub(crate) type Needs = BTreeMap<String, Presence>;

/// What steps ask for, and whether they may use a network.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) secrets: Needs,
    pub(crate) ssh: Needs,
    pub(crate) network: bool,
}

impl Asked {
    /// What `vertices` ask for.
    pub(crate) fn of(plan: &Plan, vertices: &BTreeSet<VertexId>) -> Self {
        let mut asked = Self::default();
        for &id in vertices {
            let Operation::Exec(exec) = &plan.vertex(id).operation else {
                continue;
            };
            asked.network |= exec.network != NetworkMode::None;
            for mount in &exec.mounts {
                match &mount.kind {
                    MountKind::Secret { id, presence, .. } => {
                        note(&mut asked.secrets, id, *presence);
                    }
                    MountKind::Ssh { id, presence, .. } => note(&mut asked.ssh, id, *presence),
                    _ => {}
                }
            }
        }
        asked
    }
}

/// What one step cannot do without, the build cannot.
fn note(needs: &mut Needs, id: &str, presence: Presence) {
    let known = needs.entry(id.to_owned()).or_insert(presence);
    if presence == Presence::Required {
        *known = presence;
    }
}

/// `[{"id": "npm", "optional": true}]`
pub(crate) fn needs_json(needs: &Needs) -> Vec<Value> {
    let needs = needs.iter();
    needs
        .map(|(id, presence)| match presence {
            Presence::Required => json!({ "id": id }),
            Presence::Optional => json!({ "id": id, "optional": true }),
        })
        .collect()
}

/// The steps, inputs before what uses them, and where they stand in the Dockerfile.
pub(crate) struct Steps<'a> {
    plan: &'a Plan,
    numbers: BTreeMap<VertexId, usize>,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(plan: &'a Plan, vertices: &BTreeSet<VertexId>) -> Self {
        let numbers = vertices.iter().enumerate();
        Self {
            plan,
            numbers: numbers.map(|(number, id)| (*id, number)).collect(),
        }
    }

    fn name(&self, id: VertexId) -> String {
        format!("step{}", self.numbers.get(&id).copied().unwrap_or_default())
    }

    /// What each does.
    pub(crate) fn definition(&self) -> Vec<Value> {
        let steps = self.numbers.keys().map(|&id| {
            let vertex = self.plan.vertex(id);
            let inputs = self.plan.inputs(id).into_iter();
            let inputs: Vec<String> = inputs.map(|input| self.name(input)).collect();
            json!({
                "id": self.name(id),
                "name": vertex.name,
                "platform": vertex.platform.to_string(),
                "inputs": inputs,
                "operation": operation_to_json(&vertex.operation),
            })
        });
        steps.collect()
    }

    /// The Dockerfile, and the lines of each step.
    pub(crate) fn source(&self, dockerfile: &Source) -> Value {
        let lines = dockerfile.line_index();
        let mut locations = Map::new();
        for &id in self.numbers.keys() {
            if let Some(span) = self.plan.vertex(id).origin {
                let (first, last) = lines.lines(span);
                let range = json!({ "start": { "line": first }, "end": { "line": last } });
                let place = json!({ "locations": [{ "ranges": [range] }] });
                locations.insert(self.name(id), place);
            }
        }
        json!({
            "locations": locations,
            "infos": [{
                "filename": dockerfile.name,
                "language": "Dockerfile",
                "data": BASE64.encode(&dockerfile.text),
            }],
        })
    }
}
