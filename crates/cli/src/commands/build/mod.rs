//! `rbuild build`: from a Dockerfile to an image.
//!
//! ```text
//! arguments → request → Dockerfile and contexts → plan → solve → assemble → outputs
//! ```

mod args;
mod contexts;
mod explain;
mod internal;
mod outputs;
mod planning;
mod request;
mod result_files;
mod unsupported;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use rbuild_export::{BuiltImage, Dating, ExportError, assemble};
use rbuild_plan::Planned;
use rbuild_progress::{Colors, Mode, RenderOptions, Renderer, Reporter, TerminalSize};
use rbuild_solve::{Build, Cancel, NetworkFiles, Solution, solve};

pub(crate) use self::args::Args;
use self::contexts::Inputs;
use self::internal::InternalSteps;
use self::outputs::Outcome;
pub(crate) use self::request::bytes;
use self::request::{Action, Request};
use crate::app::App;
use crate::failure::Interrupted;
use crate::{interrupt, render};

/// Builds, and tells how it went.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let request = Request::new(app, args)?;
    let cancel = Cancel::new();
    interrupt::on_interrupt({
        let (cancel, registry) = (cancel.clone(), app.registry().clone());
        move || {
            cancel.cancel();
            registry.cancel();
        }
    })?;
    let (reporter, renderer) = progress(app, request.progress);
    let built = build(app, &request, &cancel, &reporter);
    let summary = renderer.finish();
    match built {
        Ok(Finished::Built(outcome)) => {
            result_files::write(&request, &outcome)?;
            if request.progress == Mode::Quiet && outcome.exported.is_some() {
                render::out(&format!("{}\n", outcome.id()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok(Finished::Printed(code)) => Ok(code),
        Err(_) if cancel.is_cancelled() && summary.failed.is_none() => Err(Interrupted.into()),
        Err(error) => Err(explain::with_last_words(error, &summary)),
    }
}

/// What a build came to.
enum Finished {
    /// Images, and where they went.
    Built(Box<Outcome>),
    /// Only something to read was asked for.
    Printed(ExitCode),
}

fn build(
    app: &App,
    request: &Request,
    cancel: &Cancel,
    reporter: &Reporter,
) -> anyhow::Result<Finished> {
    let steps = InternalSteps::new(reporter);
    let inputs = Inputs::read(app, request, &steps)?;
    let planned = planning::plan(app, request, &inputs, &steps)?;
    match request.action {
        Action::PrintPlan(format) => {
            render::out(&planning::draw(&planned.plan, format))?;
            return Ok(Finished::Printed(ExitCode::SUCCESS));
        }
        Action::Check => {
            render::out(&explain::warnings_report(&inputs.source, &planned.warnings))?;
            let clean = planned.warnings.is_empty();
            return Ok(Finished::Printed(ExitCode::from(u8::from(!clean))));
        }
        Action::Build => explain::announce_warnings(reporter, &inputs.source, &planned),
    }
    let build = surroundings(app, request, &inputs, &planned, cancel, reporter)?;
    let solution = solve(&planned.plan, &build)
        .map_err(|error| explain::step(error, &planned.plan, &inputs.source))?;
    let outcome = export(app, request, &planned, &solution, &steps)?;
    if solution.executed > 0 {
        app.maintain_store();
    }
    Ok(Finished::Built(Box::new(outcome)))
}

/// What the solver works with.
fn surroundings(
    app: &App,
    request: &Request,
    inputs: &Inputs,
    planned: &Planned,
    cancel: &Cancel,
    reporter: &Reporter,
) -> anyhow::Result<Build> {
    Ok(Build {
        store: app.store()?.clone(),
        scope: inputs.scope.clone(),
        registry: app.registry().clone(),
        git: app.git()?,
        http: app.http()?,
        contexts: inputs.take_contexts(),
        secrets: request.secrets.clone(),
        ssh: request.ssh.clone(),
        devices: Arc::clone(&request.devices),
        network: NetworkFiles {
            resolv_conf: app.environment.resolv_conf(),
        },
        base_layers: request.outputs.base_layers(),
        jobs: request.jobs,
        now: app.environment.now(),
        file_times: request.outputs.file_times(planned.source_date_epoch),
        reporter: reporter.clone(),
        cancel: cancel.clone(),
        pins: Mutex::default(),
    })
}

/// Puts the images together and hands them on.
fn export(
    app: &App,
    request: &Request,
    planned: &Planned,
    solution: &Solution,
    steps: &InternalSteps,
) -> anyhow::Result<Outcome> {
    let store = app.store()?;
    let assembled = |dating: Dating| -> Result<Vec<BuiltImage>, ExportError> {
        planned
            .plan
            .outputs
            .iter()
            .zip(&solution.outputs)
            .map(|(output, layers)| assemble(store, &planned.plan, output, layers, dating))
            .collect()
    };
    outputs::write(app, request, planned.source_date_epoch, &assembled, steps)
}

/// The progress that was asked for, on stderr.
fn progress(app: &App, mode: Mode) -> (Reporter, Renderer) {
    let terminal = app.environment.stderr_is_terminal().then(|| {
        let size = || {
            let (columns, rows) = rbuild_container::terminal_size(std::io::stderr())
                .map_or((80, 24), |size| (size.columns, size.rows));
            TerminalSize { columns, rows }
        };
        Box::new(size) as Box<dyn Fn() -> TerminalSize + Send>
    });
    let options = RenderOptions {
        mode,
        terminal,
        colors: if app.environment.colors_allowed() {
            Colors::Ansi
        } else {
            Colors::None
        },
        started_at: app.environment.now(),
        ..RenderOptions::default()
    };
    Renderer::start(options, Box::new(std::io::stderr()))
}
