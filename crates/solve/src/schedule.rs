//! The owner of the state: who is ready, who runs, what came out.
//!
//! ```text
//! Waiting ─ last input done ─→ Ready ─→ Running ─→ Done(tree) | Failed
//! ```
//!
//! The first failure cancels everything else; the loop ends when the last worker has come back.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rbuild_image::LayerId;
use rbuild_plan::{Operation, Plan, Vertex, VertexId};
use rbuild_remote::{Come, Finished, InOutput};

use crate::build::{Build, CacheTtl};
use crate::diff_ids::DiffIds;
use crate::error::{SolveError, StepError};
use crate::exec::ExecStep;
use crate::fetch::Fetcher;
use crate::file::FileStep;
use crate::report::now_done;
use crate::solve::{Solution, step_failed};
use crate::step::Step;
use crate::story::Story;
use crate::tree::{Stack, Tree};
use crate::work::{Yield, work};

/// How far a vertex is.
enum State {
    /// So many inputs are missing.
    Waiting(usize),
    /// In the queue or with a worker.
    Under,
    /// It has a result.
    Done(Tree),
}

/// What a worker comes back with.
struct Report {
    vertex: VertexId,
    /// A panic comes back too: whoever waits for the report must not wait forever.
    result: std::thread::Result<Result<Yield, StepError>>,
}

pub(crate) struct Schedule<'a> {
    plan: &'a Plan,
    build: &'a Build,
    fetcher: &'a Fetcher<'a>,
    diff_ids: &'a DiffIds<'a>,
    story: &'a mut Story,
    states: BTreeMap<VertexId, State>,
    ready: VecDeque<VertexId>,
    waiting_for_worker: VecDeque<VertexId>,
    running: usize,
    /// A layer of a remote cache could not be had: what runs is let finish, and all begins again.
    lost: Option<SolveError>,
    reports: (Sender<Report>, Receiver<Report>),
}

impl<'a> Schedule<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        build: &'a Build,
        fetcher: &'a Fetcher<'a>,
        diff_ids: &'a DiffIds<'a>,
        story: &'a mut Story,
    ) -> Self {
        let states: BTreeMap<_, _> = plan
            .vertices()
            .map(|id| (id, State::Waiting(distinct_inputs(plan, id))))
            .collect();
        let walked = story.contexts();
        let ready = plan
            .vertices()
            .filter(|id| plan.inputs(*id).is_empty() && !walked.contains_key(id))
            .collect();
        let mut schedule = Self {
            plan,
            build,
            fetcher,
            diff_ids,
            story,
            states,
            ready,
            waiting_for_worker: VecDeque::new(),
            running: 0,
            lost: None,
            reports: unbounded(),
        };
        for (id, tree) in walked {
            schedule.settle(id, tree);
        }
        schedule
    }

    /// Until nothing is left to do.
    pub(crate) fn run<'scope>(
        &mut self,
        scope: &'scope std::thread::Scope<'scope, 'a>,
    ) -> Result<(), SolveError> {
        let mut failure = None;
        loop {
            if failure.is_none()
                && self.lost.is_none()
                && !self.build.cancel.is_cancelled()
                && let Err(error) = self.advance(scope)
            {
                self.fail(&mut failure, error);
            }
            if self.running == 0 {
                break;
            }
            let Ok(report) = self.reports.1.recv() else {
                break;
            };
            self.running -= 1;
            match report.result {
                Ok(Ok(result)) => self.complete(report.vertex, result),
                Ok(Err(error @ StepError::RemoteLayers { .. })) => {
                    self.lost = Some(step_failed(report.vertex, error));
                }
                Ok(Err(error)) => {
                    self.note_failure(report.vertex, &error);
                    self.fail(&mut failure, step_failed(report.vertex, error));
                }
                Err(panic) => {
                    // Nobody may be left waiting for a thread that the unwinding waits for.
                    self.build.cancel.cancel();
                    self.diff_ids.close();
                    resume_unwind(panic);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None if self.build.cancel.is_cancelled() => Err(SolveError::Cancelled),
            None => self.lost.take().map_or(Ok(()), Err),
        }
    }

    /// The first failure is the build's; what comes after it is its consequence.
    fn fail(&self, failure: &mut Option<SolveError>, error: SolveError) {
        match failure {
            None => *failure = Some(error),
            Some(SolveError::Cancelled) if !matches!(error, SolveError::Cancelled) => {
                *failure = Some(error);
            }
            Some(_) => {}
        }
        self.build.cancel.cancel();
    }

    /// Completes what needs no work, and hands the rest to workers as long as there are any.
    fn advance<'scope>(
        &mut self,
        scope: &'scope std::thread::Scope<'scope, 'a>,
    ) -> Result<(), SolveError> {
        while let Some(id) = self.ready.pop_front() {
            match self.complete_at_once(id) {
                Ok(Some(result)) => self.complete(id, result),
                Ok(None) => self.waiting_for_worker.push_back(id),
                Err(error) => {
                    self.note_failure(id, &error);
                    return Err(step_failed(id, error));
                }
            }
        }
        while self.running < self.build.jobs.get() {
            let Some(id) = self.waiting_for_worker.pop_front() else {
                break;
            };
            self.start(id, scope);
        }
        Ok(())
    }

    /// The result of a vertex that costs nothing: an image (its layers come when needed), a merge, a quick hit.
    fn complete_at_once(&self, id: VertexId) -> Result<Option<Yield>, StepError> {
        let vertex = self.plan.vertex(id);
        let inputs = self.inputs(id);
        let step = self.step(id, vertex);
        match &vertex.operation {
            Operation::Image(image) => {
                let layers = image
                    .diff_ids()
                    .iter()
                    .map(|diff_id| LayerId::Pulled(*diff_id));
                let tree = Tree::Layers(Stack::new(layers.collect()));
                Ok(Some(Yield::plain(tree)))
            }
            Operation::Merge => Ok(Some(Yield::plain(Tree::Layers(merge(&inputs))))),
            Operation::File(operation) => Ok(FileStep {
                step,
                operation,
                inputs: &inputs,
            }
            .find_quickly()?
            .map(Into::into)),
            Operation::Exec(exec) => Ok(ExecStep {
                step,
                exec,
                inputs: &inputs,
            }
            .find_quickly()?
            .map(Into::into)),
            Operation::Context(_) | Operation::Git(_) | Operation::Http(_) => Ok(None),
        }
    }

    fn start<'scope>(&mut self, id: VertexId, scope: &'scope std::thread::Scope<'scope, 'a>) {
        self.running += 1;
        let (plan, build, fetcher) = (self.plan, self.build, self.fetcher);
        let inputs = self.inputs(id);
        let reports = self.reports.0.clone();
        scope.spawn(move || {
            let vertex = plan.vertex(id);
            let step = Step {
                build,
                fetcher,
                id,
                vertex,
                plan,
                ttl: ttl(build, vertex),
            };
            let result = catch_unwind(AssertUnwindSafe(|| work(plan, step, &inputs)));
            // The owner is gone only when a panic unwinds through it; then nobody waits for this.
            let _ = reports.send(Report { vertex: id, result });
        });
    }

    fn complete(&mut self, id: VertexId, result: Yield) {
        let operation = &self.plan.vertex(id).operation;
        if matches!(operation, Operation::Image(_)) {
            self.fetcher.note_if_present(id, &result.tree);
        } else if let Some(outcome) = self.story.add(id, operation, &result.tree, result.from) {
            now_done(&self.build.reporter, id, outcome);
        }
        if let Tree::Layers(stack) = &result.tree {
            self.diff_ids.add(id, stack);
        }
        if let (Some(publisher), Some(finished)) = (&self.build.publisher, result.finished) {
            publisher.add(self.completed(id, finished));
        }
        self.settle(id, result.tree);
    }

    /// Whoever waits for `id` waits no longer.
    fn settle(&mut self, id: VertexId, tree: Tree) {
        self.states.insert(id, State::Done(tree));
        for user in self.plan.users(id) {
            if let Some(State::Waiting(missing)) = self.states.get_mut(&user) {
                *missing -= 1;
                if *missing == 0 {
                    self.states.insert(user, State::Under);
                    self.ready.push_back(user);
                }
            }
        }
    }

    /// What caches are told of a step.
    fn completed(&self, id: VertexId, finished: Finished) -> Finished {
        let come = match finished.come {
            Come::Here if self.build.imports.is_refused(&finished.key) => Come::Again,
            come => come,
        };
        let in_output = if self.diff_ids.is_in_output(id) {
            InOutput::Yes
        } else {
            InOutput::No
        };
        Finished {
            come,
            in_output,
            ..finished
        }
    }

    /// The layers that no step needed, as far as the build wants them here.
    pub(crate) fn fetch_outputs(&self) -> Result<(), SolveError> {
        for root in self.plan.outputs.iter().filter_map(|output| output.root) {
            if let Some(State::Done(Tree::Layers(stack))) = self.states.get(&root) {
                let wanted = stack.layers().iter();
                let wanted = wanted.filter(|id| self.fetcher.is_wanted(id));
                self.fetcher
                    .fetch(&Stack::new(wanted.copied().collect()))
                    .map_err(|error| step_failed(root, error))?;
            }
        }
        for (root, layers) in self.scanned() {
            self.fetcher
                .fetch(&Stack::new(layers))
                .map_err(|error| step_failed(root, error))?;
        }
        Ok(())
    }

    /// The layers of what is looked through: of a generator's step its own.
    fn scanned(&self) -> BTreeMap<VertexId, Vec<LayerId>> {
        let layers = |root: VertexId| match self.states.get(&root) {
            Some(State::Done(Tree::Layers(stack))) => stack.layers().to_vec(),
            _ => Vec::new(),
        };
        let scans = self.plan.scans.iter();
        let trees = scans.clone().flat_map(|scan| &scan.trees);
        let trees = trees.map(|tree| (tree.root, layers(tree.root)));
        let steps = scans.filter_map(|scan| scan.generated);
        let steps = steps.map(|root| (root, layers(root).pop().into_iter().collect()));
        trees.chain(steps).collect()
    }

    fn note_failure(&self, id: VertexId, error: &StepError) {
        now_done(&self.build.reporter, id, error.outcome());
    }

    fn step(&self, id: VertexId, vertex: &'a Vertex) -> Step<'a> {
        Step {
            build: self.build,
            fetcher: self.fetcher,
            id,
            vertex,
            plan: self.plan,
            ttl: ttl(self.build, vertex),
        }
    }

    fn inputs(&self, id: VertexId) -> Vec<Tree> {
        self.plan
            .inputs(id)
            .iter()
            .map(|input| match self.states.get(input) {
                Some(State::Done(tree)) => tree.clone(),
                _ => unreachable!("a vertex is ready only when all its inputs are done"),
            })
            .collect()
    }

    pub(crate) fn solution(&self) -> Solution {
        let layers = |root: Option<VertexId>| match root.and_then(|root| self.states.get(&root)) {
            Some(State::Done(Tree::Layers(stack))) => stack.layers().to_vec(),
            _ => Vec::new(),
        };
        let outputs = self
            .plan
            .outputs
            .iter()
            .map(|output| layers(output.root))
            .collect();
        Solution {
            outputs,
            scanned: self.scanned(),
            cached: self.story.cached(),
            executed: self.story.executed(),
            misses: self.story.misses(),
        }
    }
}

/// How old results of a vertex may be: only of a RUN can nobody tell whether it would give the same again.
fn ttl<'a>(build: &'a Build, vertex: &Vertex) -> Option<&'a CacheTtl> {
    match vertex.operation {
        Operation::Exec(_) => build.reuse.ttl.as_ref(),
        _ => None,
    }
}

/// How many vertices must be done before `id`.
fn distinct_inputs(plan: &Plan, id: VertexId) -> usize {
    plan.inputs(id)
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

/// The first input's layers and, on top, those of the others.
fn merge(inputs: &[Tree]) -> Stack {
    let layers = inputs
        .iter()
        .filter_map(Tree::stack)
        .flat_map(|stack| stack.layers().to_vec());
    Stack::new(layers.collect())
}
