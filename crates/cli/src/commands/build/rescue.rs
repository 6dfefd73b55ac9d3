//! `--output …,on=always`: what a build that failed still hands out, the files as they were before the step that failed.

use rbuild_plan::Planned;
use rbuild_progress::Reporter;
use rbuild_solve::{Build, Cancel, SolveError, solve};

use super::export;
use super::internal::InternalSteps;
use super::outputs::{Ahead, Wanted};
use super::request::Request;
use crate::app::App;
use crate::failure::chain;
use crate::render;

/// Writes these outputs, if there are any and there is anything to write, and tidies up after the failed build.
pub(super) fn write(
    app: &App,
    request: &Request,
    planned: &Planned,
    build: Build,
    error: &SolveError,
    steps: &InternalSteps,
) -> anyhow::Result<()> {
    let written = hand_out(app, request, planned, build, error, steps);
    // What the failed steps wrote is in the trash.
    app.maintain_store();
    written
}

fn hand_out(
    app: &App,
    request: &Request,
    planned: &Planned,
    build: Build,
    error: &SolveError,
    steps: &InternalSteps,
) -> anyhow::Result<()> {
    let (Some(outputs), SolveError::Step { vertex, .. }) = (request.outputs.after_failure(), error)
    else {
        return Ok(());
    };
    let Some(plan) = planned.plan.before(*vertex) else {
        render::note("WARNING: on=always: nothing was there before the step that failed\n")?;
        return Ok(());
    };
    let planned = Planned {
        plan,
        ..planned.clone()
    };
    // The failure stopped this build. Its steps were told, and all that is needed of them is in the cache.
    let build = Build {
        reporter: Reporter::silent(),
        cancel: Cancel::new(),
        on_layer: None,
        packer: None,
        ..build
    };
    let wanted = Wanted {
        outputs: &outputs,
        ahead: &Ahead::default(),
    };
    let written = match solve(&planned.plan, &build) {
        Ok(solution) => export(
            app,
            request,
            &planned,
            (&solution, &[Vec::new()]),
            &build,
            &wanted,
            steps,
        ),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = written {
        // The build's own failure is the one to end with.
        let reason = chain(error.as_ref());
        render::note(&format!(
            "WARNING: on=always: nothing was written: {reason}\n"
        ))?;
    }
    Ok(())
}
