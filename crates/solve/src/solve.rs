//! The way through a build: everything is announced, scheduled, digested, and told.

use std::collections::BTreeMap;
use std::panic::resume_unwind;

use rbuild_image::LayerId;
use rbuild_plan::{Operation, Plan, VertexId};
use rbuild_progress::{EventKind, Outcome};

use crate::build::Build;
use crate::diff_ids::DiffIds;
use crate::error::{SolveError, StepError};
use crate::fetch::Fetcher;
use crate::report::{event_vertex, now_done};
use crate::schedule::Schedule;
use crate::story::Story;
use crate::why::Miss;

/// What a build came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The layers of each output of the plan, bottom first. Each layer has its diffID in the store, but for those
    /// of base images that were not needed here.
    pub outputs: Vec<Vec<LayerId>>,
    /// The layers of what the plan has looked through ([`Plan::scans`]).
    pub scanned: BTreeMap<VertexId, Vec<LayerId>>,
    /// Steps whose results were there.
    pub cached: usize,
    /// Steps that ran.
    pub executed: usize,
    /// Why they ran, in the order of the plan.
    pub misses: Vec<Miss>,
}

impl Solution {
    /// The layers of a tree that is looked through; empty of any other.
    pub fn looked_at(&self, tree: VertexId) -> &[LayerId] {
        self.scanned.get(&tree).map_or(&[], Vec::as_slice)
    }
}

/// Builds everything that `plan` asks for.
pub fn solve(plan: &Plan, build: &Build) -> Result<Solution, SolveError> {
    announce(plan, build);
    let fetcher = Fetcher::new(build, plan);
    let mut story = Story::default();
    let ran = loop {
        match solve_once(plan, build, &fetcher, &mut story) {
            Err(SolveError::Step { error, .. }) if story.goes_on_without(build, &error) => {}
            ran => break ran,
        }
    };
    let ended = ran.as_ref().map(|_| ()).map_err(|error| match error {
        SolveError::Step { vertex, .. } => Some(*vertex),
        SolveError::Cancelled => None,
    });
    finish_images(plan, build, &fetcher, ended);
    ran
}

/// Everything once. What a remote cache could not keep is a failure like others.
fn solve_once(
    plan: &Plan,
    build: &Build,
    fetcher: &Fetcher<'_>,
    story: &mut Story,
) -> Result<Solution, SolveError> {
    let diff_ids = DiffIds::new(plan, build, fetcher);
    let mut schedule = Schedule::new(plan, build, fetcher, &diff_ids, story);
    std::thread::scope(|scope| {
        let digesting = scope.spawn(|| diff_ids.work());
        let ran = schedule.run(scope);
        diff_ids.close();
        let digested = digesting
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        ran.and_then(|()| digested.map_err(|(vertex, error)| step_failed(vertex, error)))
            .and_then(|()| schedule.fetch_outputs())
    })?;
    fetcher.complete_adoptions().or_else(|error| {
        match plan.outputs.first().and_then(|output| output.root) {
            Some(root) => Err(step_failed(root, error)),
            None => Ok(()),
        }
    })?;
    Ok(schedule.solution())
}

/// Tells the progress what is to come.
pub(crate) fn announce(plan: &Plan, build: &Build) {
    for id in plan.vertices() {
        build.reporter.send(EventKind::Planned {
            vertex: event_vertex(id),
            name: plan.vertex(id).name.clone(),
            inputs: plan.inputs(id).into_iter().map(event_vertex).collect(),
        });
    }
}

/// An image's vertex ends with the build: only then it is known whether anything of it was fetched. `ended` is the
/// vertex that failed, if one did.
pub(crate) fn finish_images(
    plan: &Plan,
    build: &Build,
    fetcher: &Fetcher<'_>,
    ended: Result<(), Option<VertexId>>,
) {
    for id in plan.vertices() {
        if matches!(plan.vertex(id).operation, Operation::Image(_)) {
            match (fetcher.has_fetched(id), ended) {
                _ if fetcher.was_told(id) => {}
                (false, _) => now_done(&build.reporter, id, Outcome::Cached),
                (true, Ok(())) => now_done(&build.reporter, id, Outcome::Completed),
                (true, Err(Some(failed))) if failed == id => {}
                (true, Err(_)) => now_done(&build.reporter, id, Outcome::Cancelled),
            }
        }
    }
}

pub(crate) fn step_failed(vertex: VertexId, error: StepError) -> SolveError {
    match error {
        StepError::Cancelled => SolveError::Cancelled,
        error => SolveError::Step {
            vertex,
            error: Box::new(error),
        },
    }
}
