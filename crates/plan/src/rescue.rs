//! What is left of a build that failed: the tree that its failed step would have changed.

use std::collections::{HashMap, HashSet};

use rbuild_image::{ImageConfig, RuntimeConfig};

use crate::{CacheUse, Exec, ImageOutput, Operation, Plan, Vertex, VertexId};

impl Plan {
    /// A plan for the tree below the step `failed`, and nothing else: as it was before that step, in an image that starts the
    /// failed command as the step would have. `None` if there was no tree yet.
    ///
    /// Results of this build count, whatever may be used of earlier ones.
    pub fn before(&self, failed: VertexId) -> Option<Self> {
        let root = self.tree_below(failed)?;
        let needed = self.ancestors(root);
        let mut plan = Self::default();
        let mut copies = HashMap::new();
        for id in self.vertices().filter(|id| needed.contains(id)) {
            let inputs: Vec<_> = self.inputs(id).iter().map(|input| copies[input]).collect();
            let vertex = Vertex {
                cache_use: CacheUse::Allowed,
                ..self.vertex(id).clone()
            };
            copies.insert(id, plan.add(vertex, &inputs));
        }
        let vertex = self.vertex(failed);
        let fitting = |output: &&ImageOutput| output.platform == *vertex.platform;
        let output = self.outputs.iter().find(fitting).or(self.outputs.first())?;
        plan.outputs.push(ImageOutput {
            platform: (*vertex.platform).clone(),
            root: Some(copies[&root]),
            config: ImageConfig {
                created: None,
                config: match &vertex.operation {
                    Operation::Exec(exec) => runtime(exec),
                    _ => RuntimeConfig::default(),
                },
                history: Vec::new(),
                architecture: vertex.platform.architecture.clone(),
                os: vertex.platform.os.clone(),
                variant: vertex.platform.variant.clone(),
                ..output.config.clone()
            },
            base_history: 0,
        });
        Some(plan)
    }

    /// The tree that `id`, or else what uses it, is done on.
    fn tree_below(&self, id: VertexId) -> Option<VertexId> {
        let own = self.base(id);
        let users = || {
            self.users(id)
                .into_iter()
                .filter_map(|user| self.base(user))
        };
        own.or_else(|| users().find(|base| *base != id))
    }

    /// What a step's layer goes on top of.
    fn base(&self, id: VertexId) -> Option<VertexId> {
        let inputs = self.inputs(id);
        match &self.vertex(id).operation {
            Operation::Exec(_) | Operation::Merge => inputs.first().copied(),
            Operation::File(file) => file.base.map(|slot| inputs[slot.0 as usize]),
            Operation::Image(_)
            | Operation::Context(_)
            | Operation::Git(_)
            | Operation::Http(_) => None,
        }
    }

    /// `root` and all that it is made of.
    fn ancestors(&self, root: VertexId) -> HashSet<VertexId> {
        let mut found = HashSet::new();
        let mut left = vec![root];
        while let Some(id) = left.pop() {
            if found.insert(id) {
                left.extend(self.inputs(id));
            }
        }
        found
    }
}

/// A container's settings in which the command runs as the step did. Build arguments stay outside.
fn runtime(exec: &Exec) -> RuntimeConfig {
    let arguments: HashSet<&str> = exec.env.arguments().collect();
    let is_argument = |variable: &&str| {
        let name = variable.split('=').next().unwrap_or(variable);
        arguments.contains(name)
    };
    let env = exec.env.iter().filter(|variable| !is_argument(variable));
    RuntimeConfig {
        user: exec.user.to_string(),
        env: Some(env.map(str::to_owned).collect()),
        cmd: Some(exec.args.iter().map(ToString::to_string).collect()),
        working_dir: exec.cwd.to_string(),
        ..RuntimeConfig::default()
    }
}
