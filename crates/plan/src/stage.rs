//! A stage while its instructions are taken in: the tree so far, the config so far, the variables in sight.

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

    /// Whether an ARG called `name` was declared, with a value or without.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.args.iter().any(|arg| arg.name == name)
    }
}
