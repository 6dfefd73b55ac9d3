//! An image's config while its stage is taken in: what the base says, and what instructions changed.
//!
//! Nothing of the base is copied before the config is wanted, and a stage on another one shares what that one has:
//! most stages of a file never become an image.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use rbuild_image::{Healthcheck, HistoryEntry, ImageConfig, Platform, RuntimeConfig};

use crate::environment::{self, Environment};
use crate::lineage::Lineage;
use crate::{ResolvedImage, config, graph};

/// What a stage began with.
#[derive(Debug, Clone)]
enum Base {
    Image(Arc<ResolvedImage>),
    Empty(Platform),
}

/// A line of history that is written when it is wanted.
#[derive(Debug)]
pub(crate) enum Line {
    /// As it stands.
    Plain(String, Layer),
    /// A RUN: arguments, the ARGs that were declared and the variables, both as they were.
    Run {
        command: Vec<Arc<str>>,
        declared: Environment,
        env: Environment,
    },
}

/// Whether an instruction makes a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Made,
    None,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Draft {
    base: Base,
    /// Known once the first instruction is looked at; until then it is the base's.
    pub(crate) env: Option<Environment>,
    pub(crate) author: Arc<str>,
    pub(crate) user: Arc<str>,
    pub(crate) working_dir: Arc<str>,
    pub(crate) stop_signal: Arc<str>,
    pub(crate) entrypoint: Option<Arc<[String]>>,
    pub(crate) cmd: Option<Arc<[String]>>,
    pub(crate) args_escaped: bool,
    /// SHELL.
    pub(crate) shell: Option<Arc<[Arc<str>]>>,
    pub(crate) healthcheck: Option<Arc<Healthcheck>>,
    /// Of this stage only.
    pub(crate) on_build: Vec<String>,
    pub(crate) labels: Lineage<(String, String)>,
    pub(crate) exposed_ports: Lineage<String>,
    pub(crate) volumes: Lineage<String>,
    pub(crate) history: Lineage<Line>,
}

impl Draft {
    /// Of an image that begins with `image`.
    pub(crate) fn of_image(image: Arc<ResolvedImage>) -> Self {
        let config = &image.config;
        let runtime = &config.config;
        let shared = |list: &Option<Vec<String>>| list.as_deref().map(Arc::from);
        Self {
            env: None,
            author: config.author.as_str().into(),
            user: runtime.user.as_str().into(),
            working_dir: runtime.working_dir.as_str().into(),
            stop_signal: runtime.stop_signal.as_str().into(),
            entrypoint: shared(&runtime.entrypoint),
            cmd: shared(&runtime.cmd),
            args_escaped: runtime.args_escaped,
            shell: runtime
                .shell
                .as_ref()
                .map(|shell| shell.iter().map(|word| word.as_str().into()).collect()),
            healthcheck: runtime.healthcheck.clone().map(Arc::new),
            on_build: Vec::new(),
            labels: Lineage::default(),
            exposed_ports: Lineage::default(),
            volumes: Lineage::default(),
            history: Lineage::default(),
            base: Base::Image(image),
        }
    }

    /// Of an image that begins with nothing.
    pub(crate) fn empty(platform: &Platform) -> Self {
        Self {
            base: Base::Empty(platform.clone()),
            env: None,
            author: Arc::default(),
            user: Arc::default(),
            working_dir: "/".into(),
            stop_signal: Arc::default(),
            entrypoint: None,
            cmd: None,
            args_escaped: false,
            shell: None,
            healthcheck: None,
            on_build: Vec::new(),
            labels: Lineage::default(),
            exposed_ports: Lineage::default(),
            volumes: Lineage::default(),
            history: Lineage::default(),
        }
    }

    /// That of a stage on top of this one: it has none of the ONBUILDs.
    pub(crate) fn child(&mut self) -> Self {
        Self {
            base: self.base.clone(),
            env: self.env.clone(),
            author: Arc::clone(&self.author),
            user: Arc::clone(&self.user),
            working_dir: Arc::clone(&self.working_dir),
            stop_signal: Arc::clone(&self.stop_signal),
            entrypoint: self.entrypoint.clone(),
            cmd: self.cmd.clone(),
            args_escaped: self.args_escaped,
            shell: self.shell.clone(),
            healthcheck: self.healthcheck.clone(),
            on_build: Vec::new(),
            labels: self.labels.fork(),
            exposed_ports: self.exposed_ports.fork(),
            volumes: self.volumes.fork(),
            history: self.history.fork(),
        }
    }

    /// The operating system that the image is for.
    pub(crate) fn os(&self) -> &str {
        match &self.base {
            Base::Image(image) => &image.config.os,
            Base::Empty(platform) => &platform.os,
        }
    }

    /// The base's ENV.
    pub(crate) fn base_env(&self) -> &[String] {
        match &self.base {
            Base::Image(image) => image.config.config.env.as_deref().unwrap_or_default(),
            Base::Empty(_) => &[],
        }
    }

    /// How many lines of history came with the base.
    pub(crate) fn base_history(&self) -> usize {
        match &self.base {
            Base::Image(image) => image.config.history.len(),
            Base::Empty(_) => 0,
        }
    }

    /// The config.
    pub(crate) fn finish(self) -> ImageConfig {
        let list = |list: Arc<[String]>| list.to_vec();
        let names = |names: &Lineage<String>| -> Vec<_> {
            let names = names.iter().cloned();
            names.map(|name| (name, BTreeMap::new())).collect()
        };
        let mut config = match self.base {
            Base::Image(image) => config::inherited(&image.config),
            Base::Empty(platform) => config::empty(&platform),
        };
        let runtime = &mut config.config;
        if let Some(env) = &self.env {
            runtime.env = Some(env_list(runtime.env.take().unwrap_or_default(), env));
        }
        runtime.labels.extend(self.labels.iter().cloned());
        runtime.exposed_ports.extend(names(&self.exposed_ports));
        runtime.volumes.extend(names(&self.volumes));
        *runtime = RuntimeConfig {
            user: self.user.as_ref().to_owned(),
            working_dir: self.working_dir.as_ref().to_owned(),
            stop_signal: self.stop_signal.as_ref().to_owned(),
            entrypoint: self.entrypoint.map(list),
            cmd: self.cmd.map(list),
            args_escaped: self.args_escaped,
            shell: self
                .shell
                .map(|shell| shell.iter().map(|word| word.as_ref().to_owned()).collect()),
            healthcheck: self.healthcheck.map(Arc::unwrap_or_clone),
            on_build: (!self.on_build.is_empty()).then_some(self.on_build),
            ..std::mem::take(runtime)
        };
        config.author = (*self.author).into();
        config.history.extend(self.history.iter().map(Line::entry));
        config
    }
}

/// The base's list with the values that `env` has: what stands in it twice, or without a `=`, stays so.
fn env_list(mut list: Vec<String>, env: &Environment) -> Vec<String> {
    let mut places = HashMap::new();
    let mut base = Environment::default();
    for (place, entry) in list.iter().enumerate() {
        let (name, value) = environment::split(entry);
        places.entry(name.to_owned()).or_insert(place);
        base.set(name, value);
    }
    for (name, value) in env.pairs().filter(|&(name, value)| base.get(name) != value) {
        let entry = [name, "=", value.unwrap_or_default()].concat();
        match places.get(name) {
            Some(&place) => list[place] = entry,
            None => list.push(entry),
        }
    }
    list
}

impl Line {
    fn entry(&self) -> HistoryEntry {
        match self {
            Self::Plain(text, layer) => graph::history(text.clone(), *layer == Layer::None),
            Self::Run {
                command,
                declared,
                env,
            } => graph::history(run(command, declared, env), false),
        }
    }
}

/// `RUN |2 A=1 B=2 /bin/sh -c make # buildkit`: the ARGs that the step sees, and its arguments.
fn run(command: &[Arc<str>], declared: &Environment, env: &Environment) -> String {
    let mut text = String::from("RUN ");
    if !declared.is_empty() {
        let _ = write!(text, "|{} ", declared.len());
        for (name, value) in declared.pairs() {
            let value = env.get(name).or(value).unwrap_or_default();
            for part in [name, "=", value, " "] {
                text.push_str(part);
            }
        }
    }
    for argument in command {
        text.push_str(argument);
        text.push(' ');
    }
    text + "# buildkit"
}
