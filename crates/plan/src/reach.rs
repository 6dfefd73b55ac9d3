//! Stages and what they need of each other, before anything is resolved.
//!
//! ```text
//! FROM a AS x ──base──▶ image a        nodes 0..n are the file's stages, in order;
//! FROM x      ──base──▶ node x         behind them, one for each image that
//! COPY --from=y ──dep──▶ node y        a `--from` or a mount names
//! ```

mod cycles;
mod from;
mod node;
mod replaced;
mod target;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rbuild_dockerfile::{Diagnostic, Instruction, InstructionKind, Span, Stage, Word};
use rbuild_image::{Platform, Reference};

use from::{from_platform, invalid_reference, report_undeclared, undeclared_help};
use replaced::replaced;

pub(crate) use node::{Base, Command, Node, Role, StageIndex, Trigger, Triggers};

use crate::build::Build;
use crate::contexts;
use crate::environment::Environment;
use crate::go::quote;
use crate::lint::rules;
use crate::report::Report;
use crate::{NamedContext, mounts, words};

/// All nodes of one platform's build.
#[derive(Debug, Default)]
pub(crate) struct StageGraph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    by_name: HashMap<String, StageIndex>,
    foreign: HashMap<String, StageIndex>,
    stages: usize,
}

impl<'a> StageGraph<'a> {
    /// The nodes of the file, with everything that a name in them can be found to mean.
    pub(crate) fn new(build: &Build<'a>, report: &mut Report) -> Self {
        let mut graph = Self::default();
        for stage in &build.dockerfile.stages {
            let added = report.within(stage.span, |report| {
                graph.lint_name(stage, report);
                let added = graph.add_stage(stage, build, report);
                added.map_err(|mistake| report.push(mistake))
            });
            if added.is_err() {
                return graph;
            }
        }
        graph.stages = graph.nodes.len();
        for index in 0..graph.stages {
            let stage = &build.dockerfile.stages[index];
            if graph.nodes[index].role == Role::Stage {
                graph.add_commands(index, &stage.instructions, build, report);
            }
        }
        graph.report_cycles(report);
        if let [only] = graph.nodes.as_mut_slice() {
            only.label = Arc::default();
        }
        graph
    }

    /// The stage called `name`, whatever the case; of equal names, the last.
    pub(crate) fn by_name(&self, name: &str) -> Option<StageIndex> {
        self.by_name.get(&name.to_lowercase()).copied()
    }

    /// The names that steps of stages are called by.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        let labels = self.nodes.iter().map(|node| &*node.label);
        labels.filter(|label| !label.is_empty())
    }

    /// `root` and all that it needs.
    pub(crate) fn reachable(&self, root: StageIndex) -> BTreeSet<StageIndex> {
        let mut reached = BTreeSet::new();
        let mut open = vec![root];
        while let Some(index) = open.pop() {
            if !reached.insert(index) {
                continue;
            }
            let node = &self.nodes[index];
            if let Base::Stage(base) = node.base {
                open.push(base);
            }
            open.extend(node.needs.iter().map(|&(need, _)| need));
        }
        reached
    }

    fn lint_name(&self, stage: &Stage, report: &mut Report) {
        let Some(name) = &stage.from.name else {
            return;
        };
        let lower = name.value.to_lowercase();
        if contexts::is_reserved(&lower) {
            report.push(rules::reserved_stage_name(&lower, name.span));
        }
        if self.by_name.contains_key(&lower) {
            report.push(rules::duplicate_stage_name(&lower, name.span));
        }
    }

    fn add_stage(
        &mut self,
        stage: &'a Stage,
        build: &Build<'a>,
        report: &mut Report,
    ) -> Result<(), Diagnostic> {
        let base = &stage.from.base;
        let expanded = words::expand(&base.value, build.escape, &build.globals.env)
            .map_err(|reason| words::mistake(&reason, &base.value, base.span))?;
        report_undeclared(build, &expanded.undefined, base.span, report);
        if expanded.text.is_empty() {
            let message = format!("base name ({}) should not be blank", base.value);
            return Err(undeclared_help(
                Diagnostic::error("blank-base", message, base.span),
                build,
                &expanded.undefined,
            ));
        }
        let mut used = expanded.used;
        let platform = match &stage.from.platform {
            Some(written) => {
                let (platform, names) = from_platform(written, stage, build, report)?;
                used.extend(names);
                Some(platform)
            }
            None => None,
        };
        let name = stage
            .from
            .name
            .as_ref()
            .map(|name| name.value.to_lowercase());
        let wanted = platform.as_ref().unwrap_or(&build.target);
        let replaced = name
            .as_deref()
            .and_then(|name| contexts::named(build.options, name, wanted));
        let role = if replaced.is_some() {
            Role::Replaced
        } else {
            Role::Stage
        };
        let base_of = match replaced {
            Some((context, kind)) => self.context_base(context, kind, build, stage.span)?,
            None => self.base_called(&expanded.text, wanted, build, base.span)?,
        };
        let index = self.nodes.len();
        let steps = usize::from(!matches!(base_of, Base::Scratch | Base::Stage(_)));
        self.nodes.push(Node {
            label: match &name {
                Some(name) => name.as_str().into(),
                None => format!("stage-{index}").into(),
            },
            name: name.clone(),
            base: base_of,
            used,
            base_text: expanded.text,
            platform,
            span: stage.span,
            role,
            commands: Vec::new(),
            needs: Vec::new(),
            total: if role == Role::Replaced { 0 } else { steps },
            triggers: Triggers::Pending,
        });
        if let Some(name) = name {
            self.by_name.insert(name, index);
        }
        Ok(())
    }

    /// What `text` means as a base: a stage that is already known, scratch, a named context, an image.
    fn base_called(
        &self,
        text: &str,
        platform: &Platform,
        build: &Build<'_>,
        span: Span,
    ) -> Result<Base, Diagnostic> {
        if let Some(&stage) = self.by_name.get(text) {
            return Ok(Base::Stage(stage));
        }
        if text == contexts::SCRATCH {
            return Ok(Base::Scratch);
        }
        if let Some((context, kind)) = contexts::named(build.options, text, platform) {
            return self.context_base(context, kind, build, span);
        }
        match text.parse::<Reference>() {
            Ok(reference) => {
                Ok(replaced(&reference, build).unwrap_or_else(|| Base::Image(text.to_owned())))
            }
            Err(reason) => {
                let mistake = invalid_reference(text, &reason, span);
                let lower = text.to_lowercase();
                Err(if self.by_name.contains_key(&lower) {
                    mistake
                        .with_help(format!("stage names are lower case: did you mean {lower}?"))
                        .with_patch(lower)
                } else {
                    mistake
                })
            }
        }
    }

    fn context_base(
        &self,
        name: String,
        kind: NamedContext,
        build: &Build<'_>,
        span: Span,
    ) -> Result<Base, Diagnostic> {
        match kind {
            NamedContext::Target(target) => {
                self.by_name(&target).map(Base::Stage).ok_or_else(|| {
                    let message = format!(
                        "build context {} names the stage {}, which is not defined before this",
                        quote(&name),
                        quote(&target)
                    );
                    Diagnostic::error("unknown-stage", message, span)
                })
            }
            NamedContext::Image(reference) if reference == contexts::SCRATCH => Ok(Base::Scratch),
            NamedContext::Image(reference) => {
                let parsed = reference.parse().ok();
                let replaced = parsed.and_then(|parsed| replaced(&parsed, build));
                Ok(replaced.unwrap_or(Base::Context(name, NamedContext::Image(reference))))
            }
            kind => Ok(Base::Context(name, kind)),
        }
    }

    fn add_commands(
        &mut self,
        index: StageIndex,
        instructions: &'a [Instruction],
        build: &Build<'a>,
        report: &mut Report,
    ) {
        for instruction in instructions {
            if is_step(&instruction.kind) {
                self.nodes[index].total += 1;
            }
            match self.command(index, Cow::Borrowed(instruction), Trigger::Written, build) {
                Ok(command) => self.nodes[index].commands.push(command),
                Err(mistake) => report.push(mistake.within(instruction.span)),
            }
        }
    }

    /// Puts ONBUILD instructions in front of a stage's own. Their sources may be new nodes.
    pub(crate) fn insert_triggers(
        &mut self,
        index: StageIndex,
        expressions: &[String],
        build: &Build<'a>,
        report: &mut Report,
    ) {
        let span = self.nodes[index].span;
        let mut commands = Vec::with_capacity(expressions.len());
        for expression in expressions {
            let command = words::trigger(expression, span).and_then(|instruction| {
                self.command(index, Cow::Owned(instruction), Trigger::OnBuild, build)
            });
            match command {
                Ok(command) => commands.push(command),
                Err(mistake) => report.push(Diagnostic { span, ..mistake }.within(span)),
            }
        }
        let node = &mut self.nodes[index];
        node.total += commands.len();
        node.commands.splice(0..0, commands);
    }

    /// `instruction` with its sources looked up, which become needs of the node.
    fn command(
        &mut self,
        index: StageIndex,
        instruction: Cow<'a, Instruction>,
        trigger: Trigger,
        build: &Build<'a>,
    ) -> Result<Command<'a>, Diagnostic> {
        let mut sources = Vec::new();
        match &instruction.kind {
            InstructionKind::Copy(copy) => {
                if let Some(from) = &copy.from {
                    sources.push(Some(self.copy_source(from, build)?));
                }
            }
            InstructionKind::Run(run) => {
                for mount in &run.mounts {
                    sources.push(match mounts::source_of(mount)? {
                        Some(from) => Some(self.source_called(&from, build)?),
                        None => None,
                    });
                }
            }
            _ => {}
        }
        let span = match trigger {
            Trigger::Written => instruction.span,
            Trigger::OnBuild => self.nodes[index].span,
        };
        let needs = sources.iter().flatten().map(|&source| (source, span));
        self.nodes[index].needs.extend(needs);
        Ok(Command {
            instruction,
            sources,
            trigger,
        })
    }

    /// `COPY --from=`: a stage's number or name, else an image.
    fn copy_source(&mut self, from: &Word, build: &Build<'a>) -> Result<StageIndex, Diagnostic> {
        let plain = words::expand(&from.value, build.escape, &Environment::default())
            .is_ok_and(|expanded| expanded.text == from.value);
        if !plain {
            let message = "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround";
            return Err(
                Diagnostic::error("expanded-from", message, from.span).with_help(
                    "define a stage with FROM, which can use a global ARG, and name that stage",
                ),
            );
        }
        match from.value.parse::<i64>() {
            Ok(number) => usize::try_from(number)
                .ok()
                .filter(|&number| number < self.stages)
                .ok_or_else(|| {
                    let message = format!("invalid stage index {number}");
                    Diagnostic::error("invalid-stage-index", message, from.span).with_help(format!(
                        "the file has {} stages, counted from 0",
                        self.stages
                    ))
                }),
            Err(_) => self.source_called(from, build),
        }
    }

    /// The node that a `from` names: a stage, else an image or a named context.
    fn source_called(&mut self, from: &Word, build: &Build<'a>) -> Result<StageIndex, Diagnostic> {
        let text = &from.value;
        if let Some(stage) = self.by_name(text) {
            return Ok(stage);
        }
        if let Some(&known) = self.foreign.get(text) {
            return Ok(known);
        }
        let base = self.base_called(text, &build.target, build, from.span)?;
        if let Base::Stage(stage) = base {
            return Ok(stage);
        }
        let index = self.nodes.len();
        self.nodes.push(Node {
            label: Arc::default(),
            name: None,
            base,
            used: Vec::new(),
            base_text: text.clone(),
            platform: None,
            span: from.span,
            role: Role::Foreign,
            commands: Vec::new(),
            needs: Vec::new(),
            total: 0,
            triggers: Triggers::Inserted,
        });
        self.foreign.insert(text.clone(), index);
        Ok(index)
    }
}

/// Whether an instruction counts in `[stage 2/5]`.
fn is_step(kind: &InstructionKind) -> bool {
    matches!(
        kind,
        InstructionKind::Add(_)
            | InstructionKind::Copy(_)
            | InstructionKind::Run(_)
            | InstructionKind::Workdir(_)
    )
}
