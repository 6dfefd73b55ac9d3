//! A stage while its instructions are taken in: the tree so far, the config so far, the variables in sight.

use std::sync::Arc;

use rbuild_dockerfile::Span;
use rbuild_image::{ImageConfig, Platform};

use crate::env::Env;
use crate::outline::Captured;
use crate::{VertexId, config, paths};

/// The files of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// None.
    Empty,
    /// A stack of layers.
    Layers(VertexId),
    /// A context's directory: it becomes a layer when something is built on it.
    Directory(VertexId),
}

/// An ARG that was declared.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredArg {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// Whether the file itself has set the working directory of a stage or of those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workdir {
    /// Only the base image may have.
    Inherited,
    /// A WORKDIR did.
    Written,
}

/// Instructions of which the last one counts, and where each stood last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latest {
    pub(crate) cmd: Option<Span>,
    pub(crate) entrypoint: Option<Span>,
    pub(crate) healthcheck: Option<Span>,
}

/// A stage.
#[derive(Debug, Clone)]
pub(crate) struct StageState {
    pub(crate) tree: Tree,
    pub(crate) config: ImageConfig,
    pub(crate) platform: Platform,
    /// ENV and ARG, as a RUN sees them.
    pub(crate) env: Env,
    pub(crate) args: Vec<DeclaredArg>,
    /// The variables of [`Self::env`] whose values come from an ARG.
    pub(crate) arguments: Arc<Vec<String>>,
    /// Absolute.
    pub(crate) cwd: String,
    pub(crate) workdir: Workdir,
    /// How many history entries came with the base image.
    pub(crate) base_history: usize,
    pub(crate) latest: Latest,
    /// What it asks of whoever builds, and the stages below it.
    pub(crate) captured: Captured,
    /// How many steps have been named.
    pub(crate) counter: usize,
}

impl StageState {
    /// A stage on `tree` with a base image's config, which [`config::inherited`] has cleaned.
    pub(crate) fn new(tree: Tree, config: ImageConfig, platform: Platform) -> Self {
        Self {
            tree,
            base_history: config.history.len(),
            config,
            platform,
            env: Env::default(),
            args: Vec::new(),
            arguments: Arc::default(),
            cwd: "/".to_owned(),
            workdir: Workdir::Inherited,
            latest: Latest::default(),
            captured: Captured::default(),
            counter: 0,
        }
    }

    /// A stage on top of this one: it sees the same ARGs, and none of its ONBUILDs.
    pub(crate) fn child(&self) -> Self {
        let mut child = Self {
            latest: Latest::default(),
            counter: 0,
            ..self.clone()
        };
        child.config.config.on_build = None;
        child
    }

    /// Takes PATH, ENV, WORKDIR and USER from the config: what holds before the first instruction.
    pub(crate) fn enter(&mut self) {
        config::ensure_path(&mut self.config, &self.platform);
        let runtime = &mut self.config.config;
        self.env.extend(runtime.env.as_deref().unwrap_or_default());
        if !runtime.working_dir.is_empty() {
            runtime.working_dir = paths::resolve("/", &runtime.working_dir);
            self.cwd.clone_from(&runtime.working_dir);
        }
    }

    /// Sets a variable to what an ARG says.
    pub(crate) fn set_argument(&mut self, name: &str, value: &str) {
        let is_known = self.env.get(name).is_some() && self.is_argument(name);
        self.env.set(name, value);
        if !is_known {
            Arc::make_mut(&mut self.arguments).push(name.to_owned());
        }
    }

    /// Sets a variable to what an ENV says.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        if self.env.get(name).is_some() && self.is_argument(name) {
            Arc::make_mut(&mut self.arguments).retain(|known| known != name);
        }
        self.env.set(name, value);
    }

    fn is_argument(&self, name: &str) -> bool {
        self.arguments.iter().any(|known| known == name)
    }

    /// Whether an ARG called `name` was declared, with a value or without.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.args.iter().any(|arg| arg.name == name)
    }
}
