//! One instruction → what it does to its stage: a vertex, a change of the config, a line of history.

mod arg;
mod command;
mod env;
mod expose;
mod healthcheck;
mod metadata;
mod naming;
mod owner;
mod run;
mod stopsignal;
mod transfer;
mod workdir;

use std::sync::Arc;

use naming::{platform_label, upper_keyword};
use owner::owner;
use rbuild_dockerfile::{Diagnostic, InstructionKind, Span, Word};
use rbuild_image::Platform;

use crate::bases::{add_internal, internal, step_prefix};
use crate::build::{Build, Prefix};
use crate::draft::{Layer, Line};
use crate::go::quote;
use crate::lint::rules;
use crate::reach::{Command, Node, Role, StageGraph, StageIndex, Trigger};
use crate::report::Report;
use crate::stage::{StageState, Tree};
use crate::{
    CacheUse, ContextSource, CopyAction, FileAction, FileOperation, Input, MainContext, Mode,
    Operation, Owner, Parents, Plan, PlanOptions, Unpack, Vertex, VertexId, Wildcard, near,
    platform_args, words,
};

/// The code of what a source policy refuses.
pub(crate) const POLICY_CODE: &str = "source-policy";

/// A mistake of the user, at its place.
pub(crate) type Outcome<T> = Result<T, Diagnostic>;

/// Where the instructions of one stage take effect.
pub(crate) struct Stage<'s, 'a> {
    pub(crate) plan: &'s mut Plan,
    pub(crate) report: &'s mut Report,
    pub(crate) build: &'s Build<'a>,
    pub(crate) graph: &'s StageGraph<'a>,
    pub(crate) index: StageIndex,
    /// The states of the stages that are done.
    pub(crate) done: &'s [Option<StageState>],
    pub(crate) state: StageState,
}

/// After so many mistakes planning ends: nobody reads more.
const MAX_ERRORS: usize = 200;

/// After so many warnings, undefined variables are told without what was probably meant: to look for it takes time.
const MAX_SUGGESTIONS: usize = 100;

/// What variables may add to a file in all: `ENV A=$A$A` on each of its lines must not fill the memory.
const MAX_GROWTH_BYTES: usize = 64 << 20;

impl<'s, 'a> Stage<'s, 'a> {
    /// Takes in all instructions; a mistaken one is reported and left out.
    pub(crate) fn run(mut self) -> StageState {
        let graph = self.graph;
        for command in &graph.nodes[self.index].commands {
            if let Err(mistake) = self.dispatch(command) {
                let place = self.span_of(command);
                self.report.push(mistake.within(place));
            }
            if is_enough(self.build, self.report) {
                break;
            }
        }
        self.state.leave();
        self.state
    }

    fn dispatch(&mut self, command: &Command<'a>) -> Outcome<()> {
        let instruction = &*command.instruction;
        let mut step = Step {
            origin: self.span_of(command),
            command,
            stage: self,
        };
        match &instruction.kind {
            InstructionKind::Add(add) => step.add(add)?,
            InstructionKind::Arg(items) => step.arg(items)?,
            InstructionKind::Cmd(cmd) => step.cmd(cmd),
            InstructionKind::Copy(copy) => step.copy(copy)?,
            InstructionKind::Entrypoint(entrypoint) => step.entrypoint(entrypoint),
            InstructionKind::Env(pairs) => step.env(pairs)?,
            InstructionKind::Expose(ports) => step.expose(ports)?,
            InstructionKind::Healthcheck(check) => step.healthcheck(check),
            InstructionKind::Label(pairs) => step.label(pairs)?,
            InstructionKind::Maintainer(name) => step.maintainer(name),
            InstructionKind::Onbuild(onbuild) => step.onbuild(onbuild),
            InstructionKind::Run(run) => step.run(run)?,
            InstructionKind::Shell(shell) => step.shell(shell),
            InstructionKind::Stopsignal(signal) => step.stopsignal(signal)?,
            InstructionKind::User(user) => step.user(user)?,
            InstructionKind::Volume(volumes) => step.volume(volumes)?,
            InstructionKind::Workdir(path) => step.workdir(path)?,
        }
        Ok(())
    }

    fn span_of(&self, command: &Command<'_>) -> Span {
        match command.trigger {
            Trigger::Written => command.instruction.span,
            Trigger::OnBuild => self.node().span,
        }
    }

    fn node(&self) -> &'s Node<'a> {
        &self.graph.nodes[self.index]
    }
}

/// Whether planning ends here: there is too much, or too much wrong.
pub(crate) fn is_enough(build: &Build<'_>, report: &Report) -> bool {
    build.growth.get() > MAX_GROWTH_BYTES || report.errors.len() >= MAX_ERRORS
}

/// One instruction at work on its stage.
pub(crate) struct Step<'t, 's, 'a> {
    pub(crate) stage: &'t mut Stage<'s, 'a>,
    pub(crate) command: &'t Command<'a>,
    /// Its place; the FROM's for an ONBUILD.
    pub(crate) origin: Span,
}

impl Step<'_, '_, '_> {
    fn state(&mut self) -> &mut StageState {
        &mut self.stage.state
    }

    /// Where a word of this instruction stands: an ONBUILD's words stand at the FROM.
    fn place(&self, span: Span) -> Span {
        match self.command.trigger {
            Trigger::Written => span,
            Trigger::OnBuild => self.origin,
        }
    }

    pub(crate) fn mistake(
        &self,
        code: &'static str,
        message: impl Into<String>,
        span: Span,
    ) -> Diagnostic {
        Diagnostic::error(code, message, self.place(span))
    }

    fn warn(&mut self, warning: Diagnostic) {
        let span = self.place(warning.span);
        let warning = Diagnostic { span, ..warning };
        self.stage.report.push(warning.within(self.origin));
    }

    /// `word` with variables put in and quotes taken off.
    fn expand(&mut self, word: &Word) -> Outcome<String> {
        self.expand_text(&word.value, word.span)
    }

    fn expand_text(&mut self, text: &str, span: Span) -> Outcome<String> {
        let expanded = words::expand(text, self.stage.build.escape, &self.stage.state.env)
            .map_err(|reason| words::mistake(&reason, text, self.place(span)))?;
        self.warn_undefined(&expanded.undefined, span);
        self.spend(expanded.text.len().saturating_sub(text.len()), span)?;
        Ok(expanded.text)
    }

    /// Counts what variables have added to the file.
    pub(crate) fn spend(&self, bytes: usize, span: Span) -> Outcome<()> {
        let spent = self.stage.build.growth.get().saturating_add(bytes);
        self.stage.build.growth.set(spent);
        if spent <= MAX_GROWTH_BYTES {
            return Ok(());
        }
        let message = format!(
            "variables make the file grow by more than {} MiB",
            MAX_GROWTH_BYTES >> 20
        );
        Err(self.mistake("expansion", message, span))
    }

    pub(crate) fn warn_undefined(&mut self, names: &[String], span: Span) {
        for name in names {
            let state = &self.stage.state;
            if state.args.defines(name) || platform_args::NEVER_ENV.contains(&name.as_str()) {
                continue;
            }
            let suggestion = if self.stage.report.warnings.len() < MAX_SUGGESTIONS {
                near::nearest(name, state.env.names()).map(str::to_owned)
            } else {
                None
            };
            let warning = rules::undefined_var(name, suggestion.as_deref(), span);
            self.warn(warning);
        }
    }

    /// A line of history.
    fn commit(&mut self, created_by: String, layer: Layer) {
        let line = Line::Plain(created_by, layer);
        self.state().config.history.push(line);
    }

    /// The next step's name: `[build 2/5] ` and `text`.
    fn step_name(&mut self, text: &str) -> String {
        let node = self.stage.node();
        let state = &mut self.stage.state;
        state.counter += 1;
        let platform = match self.stage.build.prefix {
            Prefix::Platform => platform_label(state),
            Prefix::Plain => String::new(),
        };
        let prefix = step_prefix(node, state.counter, self.stage.build.prefix, &platform);
        let mut name = prefix;
        if self.command.trigger == Trigger::OnBuild && !name.is_empty() {
            name.push_str("ONBUILD ");
        }
        name.push_str(text);
        name
    }

    /// The instruction as people see it in progress: variables put in, the keyword in upper case.
    fn title(&self) -> String {
        let original = self.command.instruction.original.trim();
        let text = words::expand(original, self.stage.build.escape, &self.stage.state.env)
            .map_or_else(|_| original.to_owned(), |expanded| expanded.text);
        upper_keyword(text)
    }

    fn cache_use(&self) -> CacheUse {
        if self
            .stage
            .build
            .refuses_cache(self.stage.node().name.as_deref())
        {
            CacheUse::Refused
        } else {
            CacheUse::Allowed
        }
    }

    fn vertex(&self, operation: Operation, name: String, cache_use: CacheUse) -> Vertex {
        Vertex {
            operation,
            platform: Arc::clone(&self.stage.state.platform),
            name,
            origin: Some(self.origin),
            stage: Arc::clone(&self.stage.node().label),
            cache_use,
        }
    }

    /// What comes from elsewhere and is named at `span`: the same whatever platform asks, if the source policies allow it.
    fn fetched(&mut self, operation: Operation, name: String, span: Span) -> Outcome<VertexId> {
        let operation = self.allowed(operation, span)?;
        let vertex = Vertex {
            origin: Some(span),
            ..internal(self.stage.build, operation, name)
        };
        Ok(self.stage.plan.add(vertex, &[]))
    }

    fn allowed(&mut self, operation: Operation, span: Span) -> Outcome<Operation> {
        let policies = &self.stage.build.options.policies;
        policies
            .operation(operation)
            .map_err(|refusal| self.mistake(POLICY_CODE, refusal.to_string(), span))
    }

    /// The stage's layers so far. A context's directory becomes a layer first.
    fn layers(&mut self) -> Option<VertexId> {
        match self.stage.state.tree {
            Tree::Empty => None,
            Tree::Layers(id) => Some(id),
            Tree::Directory(id) => {
                let platform = Arc::clone(&self.stage.state.platform);
                let id = layer_of_directory(self.stage.plan, id, &platform);
                self.state().tree = Tree::Layers(id);
                Some(id)
            }
        }
    }

    /// The tree that a `from` names.
    pub(crate) fn source_tree(
        &mut self,
        from: StageIndex,
        text: &str,
        span: Span,
    ) -> Outcome<VertexId> {
        let Some(state) = &self.stage.done[from] else {
            let label = &self.stage.node().label;
            let message = format!(
                "cannot copy from stage {}, it needs to be defined before current stage {}",
                quote(text),
                quote(label)
            );
            return Err(self.mistake("later-stage", message, span));
        };
        let tree = state.tree;
        Ok(match tree {
            Tree::Layers(id) | Tree::Directory(id) => id,
            Tree::Empty => self.empty_tree(),
        })
    }

    pub(crate) fn empty_tree(&mut self) -> VertexId {
        let name = "[internal] empty file system".to_owned();
        add_internal(self.stage.plan, self.stage.build, Operation::Merge, name)
    }

    /// The build context, if there is one.
    pub(crate) fn context(&mut self, span: Span) -> Outcome<Option<VertexId>> {
        let Some((operation, name)) = main_context(self.stage.build.options) else {
            return Ok(None);
        };
        let operation = self.allowed(operation, span)?;
        let context = add_internal(self.stage.plan, self.stage.build, operation, name);
        Ok(Some(context))
    }
}

/// What the build context is, and what loading it is called; none if there is none.
pub(crate) fn main_context(options: &PlanOptions) -> Option<(Operation, String)> {
    Some(match &options.main_context {
        MainContext::Absent => return None,
        MainContext::Directory | MainContext::Archive => (
            Operation::Context(ContextSource::Main),
            "[internal] load build context".to_owned(),
        ),
        MainContext::Git(source) => (
            Operation::Git(source.clone()),
            format!("[internal] load git source {}", source.url),
        ),
        MainContext::Http(source) => (
            Operation::Http(source.clone()),
            format!("[internal] load remote build context {}", source.url),
        ),
    })
}

/// A layer with all that a context's directory holds.
pub(crate) fn layer_of_directory(
    plan: &mut Plan,
    directory: VertexId,
    platform: &Arc<Platform>,
) -> VertexId {
    let copy = CopyAction {
        from: Input(0),
        source: "/".to_owned(),
        destination: "/".to_owned(),
        owner: Owner::Source,
        mode: Mode::Source,
        parents: Parents::Dropped,
        excludes: Vec::new(),
        unpack: Unpack::Never,
        wildcard: Wildcard::Literal,
    };
    let vertex = Vertex {
        operation: Operation::File(FileOperation {
            base: None,
            actions: vec![FileAction::Copy(copy)],
        }),
        platform: Arc::clone(platform),
        name: format!("{} as a layer", plan.vertex(directory).name),
        origin: None,
        stage: Arc::default(),
        cache_use: CacheUse::Allowed,
    };
    plan.add(vertex, &[directory])
}

/// Whether a node's instructions are taken in.
pub(crate) fn has_instructions(node: &Node<'_>) -> bool {
    node.role == Role::Stage
}
