//! What the stages start from, and the ONBUILDs that come with it.

use std::collections::BTreeSet;

use rbuild_dockerfile::InstructionKind;

use super::needed;
use crate::bases::{self, Resolver};
use crate::build::Build;
use crate::reach::{Base, Role, StageGraph, StageIndex, Triggers};
use crate::report::Report;
use crate::stage::StageState;
use crate::{Plan, PlanError, ResolvedImage};

/// Resolves the bases of all that `root` needs, and puts in the ONBUILDs that come with them, which may need more.
pub(super) fn resolve<'a>(
    graph: &mut StageGraph<'a>,
    root: StageIndex,
    build: &Build<'a>,
    plan: &mut Plan,
    resolver: &mut Resolver<'_>,
    report: &mut Report,
) -> Result<(BTreeSet<StageIndex>, Vec<Option<StageState>>), PlanError> {
    let mut starts: Vec<Option<StageState>> = Vec::new();
    loop {
        let needed = needed(graph, root, build.options.scope);
        let mut has_new = false;
        for &index in &needed {
            // ONBUILDs go in first: they count in the names of the steps, FROM's among them.
            if graph.nodes[index].triggers == Triggers::Pending {
                let image = bases::image(&graph.nodes[index], build, graph, resolver)?;
                has_new |= fire_triggers(graph, index, image.as_deref(), build, report);
            }
            starts.resize_with(graph.nodes.len(), || None);
            let node = &graph.nodes[index];
            if starts[index].is_none() && !matches!(node.base, Base::Stage(_)) {
                let state = bases::start(node, build, graph, resolver, plan, report)?;
                starts[index] = Some(state);
            }
        }
        starts.resize_with(graph.nodes.len(), || None);
        if !has_new {
            return Ok((needed, starts));
        }
        graph.report_cycles(report);
        if !report.errors.is_empty() {
            return Ok((needed, starts));
        }
    }
}

/// Puts the ONBUILDs of the base of `index` in front of its instructions; says whether there were any.
fn fire_triggers<'a>(
    graph: &mut StageGraph<'a>,
    index: StageIndex,
    image: Option<&ResolvedImage>,
    build: &Build<'a>,
    report: &mut Report,
) -> bool {
    graph.nodes[index].triggers = Triggers::Inserted;
    let expressions = match (&graph.nodes[index].base, image) {
        (&Base::Stage(base), _) => onbuilds(graph, base),
        (_, Some(image)) => image.config.config.on_build.clone().unwrap_or_default(),
        _ => Vec::new(),
    };
    if expressions.is_empty() || graph.nodes[index].role != Role::Stage {
        return false;
    }
    graph.insert_triggers(index, &expressions, build, report);
    true
}

/// The ONBUILDs that a stage of the file writes.
fn onbuilds(graph: &StageGraph<'_>, index: StageIndex) -> Vec<String> {
    let commands = graph.nodes[index].commands.iter();
    commands
        .filter_map(|command| match &command.instruction.kind {
            InstructionKind::Onbuild(onbuild) => Some(onbuild.expression.clone()),
            _ => None,
        })
        .collect()
}
