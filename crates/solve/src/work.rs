//! What a worker does for one vertex, and what it comes back with.

use rbuild_plan::{Operation, Plan};
use rbuild_remote::{Come, Finished, InOutput};

use crate::error::StepError;
use crate::exec::{ExecStep, KILLED};
use crate::file::FileStep;
use crate::remote;
use crate::report::now_started;
use crate::step::{Found, From, Step};
use crate::tree::Tree;

/// A vertex's result.
pub(crate) struct Yield {
    pub(crate) tree: Tree,
    pub(crate) from: Option<From>,
    /// What is to be known of it elsewhere.
    pub(crate) finished: Option<Finished>,
}

impl Yield {
    /// Of no step.
    pub(crate) fn plain(tree: Tree) -> Self {
        Self {
            tree,
            from: None,
            finished: None,
        }
    }
}

impl std::convert::From<Found> for Yield {
    fn from(found: Found) -> Self {
        let come = match found.hit {
            Some(hit) => Come::Remote(hit),
            None => Come::Here,
        };
        Self {
            tree: Tree::Layers(found.stack),
            from: Some(found.from),
            finished: Some(Finished {
                key: found.key,
                fast: found.fast,
                come,
                in_output: InOutput::No,
            }),
        }
    }
}

/// What a worker does for one vertex.
pub(crate) fn work(plan: &Plan, step: Step<'_>, inputs: &[Tree]) -> Result<Yield, StepError> {
    if step.build.cancel.is_cancelled() {
        return Err(StepError::Cancelled);
    }
    let result = match &step.vertex.operation {
        Operation::Exec(exec) => ExecStep { step, exec, inputs }.run().map(Yield::from),
        Operation::File(operation) => FileStep {
            step,
            operation,
            inputs,
        }
        .run()
        .map(Yield::from),
        Operation::Context(source) => {
            now_started(&step.build.reporter, step.id);
            remote::walk_context(&step, plan, source).map(Yield::plain)
        }
        Operation::Git(source) => remote::git(&step, source).map(Yield::from),
        Operation::Http(source) => remote::http(&step, source).map(Yield::from),
        Operation::Image(_) | Operation::Merge => unreachable!("completed without a worker"),
    };
    // What an interrupted step says is not what went wrong.
    if step.build.cancel.is_cancelled() && result.is_err() {
        return Err(match result {
            Err(error @ StepError::Exit { .. }) if !was_killed(&error) => error,
            _ => StepError::Cancelled,
        });
    }
    result
}

fn was_killed(error: &StepError) -> bool {
    matches!(error, StepError::Exit { code: KILLED, .. })
}
