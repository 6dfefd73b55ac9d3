//! A stage while its instructions are taken in: the tree so far, the config so far, the variables in sight.

use std::sync::Arc;

use rbuild_dockerfile::Span;
use rbuild_image::Platform;

use crate::draft::Draft;
use crate::environment::{Environment, Origin};
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
#[derive(Debug)]
pub(crate) struct StageState {
    pub(crate) tree: Tree,
    pub(crate) config: Draft,
    pub(crate) platform: Arc<Platform>,
    /// ENV and ARG, as a RUN sees them.
    pub(crate) env: Environment,
    /// ARGs that were declared, with their values or without.
    pub(crate) args: Environment,
    /// Names of ENVs over which an ARG has put another value for the rest of this stage.
    pub(crate) hidden: Vec<String>,
    /// Absolute.
    pub(crate) cwd: Arc<str>,
    pub(crate) workdir: Workdir,
    pub(crate) latest: Latest,
    /// What it asks of whoever builds, and the stages below it.
    pub(crate) captured: Captured,
    /// How many steps have been named.
    pub(crate) counter: usize,
}

impl StageState {
    /// A stage on `tree`, of which nothing has been taken in.
    pub(crate) fn new(tree: Tree, config: Draft, platform: Arc<Platform>) -> Self {
        Self {
            tree,
            config,
            platform,
            env: Environment::default(),
            args: Environment::default(),
            hidden: Vec::new(),
            cwd: "/".into(),
            workdir: Workdir::Inherited,
            latest: Latest::default(),
            captured: Captured::default(),
            counter: 0,
        }
    }

    /// A stage on top of this one: it sees the same ARGs, and none of its ONBUILDs.
    pub(crate) fn child(&mut self) -> Self {
        Self {
            tree: self.tree,
            config: self.config.child(),
            platform: Arc::clone(&self.platform),
            env: self.env.clone(),
            args: self.args.clone(),
            hidden: Vec::new(),
            cwd: Arc::clone(&self.cwd),
            workdir: self.workdir,
            latest: Latest::default(),
            captured: self.captured.fork(),
            counter: 0,
        }
    }

    /// Takes PATH, ENV and WORKDIR from the config: what holds before the first instruction.
    pub(crate) fn enter(&mut self) {
        if self.config.env.is_some() {
            // A stage of this file is below, which has left all as it is to be.
            return;
        }
        let mut own: Environment = self.config.base_env().iter().collect();
        // Windows finds its own.
        if !own.defines("PATH") && self.platform.os != "windows" {
            own.set("PATH", config::DEFAULT_PATH);
        }
        self.env = own.clone();
        self.config.env = Some(own);
        if !self.config.working_dir.is_empty() {
            self.config.working_dir = paths::resolve("/", &self.config.working_dir).into();
            self.cwd = Arc::clone(&self.config.working_dir);
        }
    }

    /// After the last instruction: where an ARG hid an ENV, the stages on top of this one see the ENV again.
    pub(crate) fn leave(&mut self) {
        for name in self.hidden.drain(..) {
            if let Some(value) = self.config.env.as_ref().and_then(|own| own.get(&name)) {
                self.env.set(&name, value);
            }
        }
    }

    /// Sets a variable, `NAME=value`, for the rest of this stage and those on top of it, not for the image.
    pub(crate) fn set_arg(&mut self, text: Arc<str>, name_length: usize) {
        let name = &text[..name_length];
        let is_own = |own: &Environment| own.defines(name);
        if self.config.env.as_ref().is_some_and(is_own) {
            self.hidden.push(name.to_owned());
        }
        self.env.put(text, name_length, Origin::Arg);
    }

    /// Sets a variable for the image and the rest of this stage.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        let text: Arc<str> = [name, "=", value].concat().into();
        self.env.put(Arc::clone(&text), name.len(), Origin::Env);
        self.config
            .env
            .get_or_insert_default()
            .put(text, name.len(), Origin::Env);
    }
}
