//! `rbuild build`: from a Dockerfile to an image.
//!
//! ```text
//! arguments → request → Dockerfile and contexts → plan → solve → assemble → outputs
//! ```

mod answers;
mod args;
mod asking;
mod attestations;
mod cache_mounts;
mod caches;
mod call;
mod ci_log;
mod contexts;
mod depfile;
mod dockerfile_file;
mod epoch;
mod explain;
mod grants;
mod internal;
mod local_files;
mod lock;
mod networks;
mod outputs;
mod places;
mod planning;
mod policed;
mod progress;
mod request;
mod rescue;
mod result_files;
mod syntax;
mod unsupported;
mod verification;
mod watch;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use rbuild_export::{AheadBuild, BuiltImages, Dating, ExportError, Layering, assemble, squashed};
use rbuild_plan::{Plan, Planned};
use rbuild_progress::{Mode, Reporter};
use rbuild_solve::{Build, Cancel, Reuse, Solution, solve};

use self::answers::Answer;
pub(crate) use self::args::Args;
use self::asking::{ask, print_findings, tell};
use self::attestations::{Inline, Made, Told};
use self::caches::OpenedCaches;
use self::contexts::Inputs;
pub(crate) use self::contexts::project_scope;
use self::internal::InternalSteps;
use self::local_files::Looked;
use self::lock::Lock;
use self::outputs::{Ahead, Outcome, Wanted};
use self::places::Places;
use self::planning::Unplanned;
use self::progress::progress;
pub(crate) use self::request::bytes;
use self::request::{Action, Diagnostics, Repetition, Request};
pub(crate) use self::verification::local_context;
use self::watch::Seen;
use crate::app::App;
use crate::failure::Interrupted;
use crate::{interrupt, render};

/// Builds, and tells how it went.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let settled = verification::settled(args);
    let args = settled.as_ref().unwrap_or(args);
    let request = Request::new(app, args)?;
    trust(app, &request);
    let cancel = Cancel::new();
    interrupt::on_interrupt({
        let (cancel, registry) = (cancel.clone(), app.registry().clone());
        let reader = (!request.caches.is_empty()).then(|| app.impatient_registry().clone());
        move || {
            cancel.cancel();
            registry.cancel();
            if let Some(reader) = &reader {
                reader.cancel();
            }
        }
    })?;
    match request.repetition {
        Repetition::Once => run_once(app, &request, &cancel, &mut None),
        Repetition::OnChange => watch::run(app, args, request, &cancel),
    }
}

/// Lets registries be who they say, where that was asked for.
fn trust(app: &App, request: &Request) {
    for registry in request.outputs.trusted() {
        app.registry().trust(registry);
    }
    for registry in request.caches.trusted() {
        app.registry().trust(registry);
        app.impatient_registry().trust(registry);
    }
}

/// Builds once. `seen` becomes what the build saw, if it came to planning.
fn run_once(
    app: &App,
    request: &Request,
    cancel: &Cancel,
    seen: &mut Option<Seen>,
) -> anyhow::Result<ExitCode> {
    let (reporter, renderer) = progress(app, request.progress);
    let built = build(app, request, cancel, &reporter, seen);
    let summary = renderer.finish();
    match built {
        Ok(Finished::Built(outcome)) => {
            render::note(&outcome.explanations)?;
            ci_log::annotate(app, request, &outcome.findings)?;
            result_files::write(app, request, &outcome)?;
            if request.diagnostics == Diagnostics::Json {
                print_findings(&outcome.findings)?;
            }
            if request.progress == Mode::Quiet && outcome.exported.is_some() {
                render::out(&format!("{}\n", outcome.id()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok(Finished::Answered(answer)) => match request.action {
            Action::Call(call) => tell(app, request, call, &answer),
            _ => Ok(ExitCode::SUCCESS),
        },
        Ok(Finished::Printed) => Ok(ExitCode::SUCCESS),
        Err(_) if cancel.is_cancelled() && summary.failed.is_none() => Err(Interrupted.into()),
        Err(error) => {
            let findings = explain::failure_findings(&error);
            ci_log::annotate(app, request, &findings)?;
            if request.diagnostics == Diagnostics::Json {
                print_findings(&findings)?;
            }
            Err(explain::with_last_words(error, &summary))
        }
    }
}

/// What a build came to.
enum Finished {
    /// Images, and where they went.
    Built(Box<Outcome>),
    /// A question was answered.
    Answered(Answer),
    /// What was asked for is on standard output.
    Printed,
}

fn build(
    app: &App,
    request: &Request,
    cancel: &Cancel,
    reporter: &Reporter,
    seen: &mut Option<Seen>,
) -> anyhow::Result<Finished> {
    let steps = Arc::new(InternalSteps::new(reporter));
    let told = Told {
        id: result_files::build_id(app),
        started: app.environment.now(),
    };
    let caches = OpenedCaches::open(app, request, reporter, &steps)?;
    let inputs = Inputs::read(app, request, &steps, cancel)?;
    syntax::check(&inputs.source, request)?;
    if let Action::Call(call) = request.action {
        return Ok(Finished::Answered(ask(
            app, request, &inputs, call, &steps,
        )?));
    }
    let lines = inputs.source.line_index();
    let places = Places::new(&inputs.source, &lines);
    let refused = |unplanned: Unplanned| {
        explain::announce_lints(reporter, request, places, unplanned.findings());
        unplanned.into_error(&inputs.source)
    };
    let understood = planning::understand(request, &inputs.source).map_err(refused)?;
    let planned = planning::plan(app, request, &inputs, &understood, &steps).map_err(refused)?;
    if let Action::PrintPlan(format) = request.action {
        render::out(&planning::draw(&planned.plan, format))?;
        return Ok(Finished::Printed);
    }
    explain::announce_warnings(reporter, request, places, &planned);
    let ahead = push_ahead(app, request, &caches, &planned, &steps)?;
    let build = Build {
        imports: Arc::clone(&caches.imports),
        on_layer: ahead.hook(),
        packer: ahead.packer(),
        publisher: caches.publisher.clone(),
        mounts: Arc::clone(&caches.mounts),
        ..surroundings(app, request, &inputs, &planned, cancel, reporter)?
    };
    let wanted = Wanted {
        outputs: &request.outputs,
        ahead: &ahead,
    };
    let reads = reads(app, request, &planned.plan, &build, seen)?;
    cache_mounts::prepare(&build, &planned.plan, request.kept_mounts, &steps)?;
    let (solution, mut outcome) = loop {
        let solved = solve(&planned.plan, &build);
        explain::announce_networks(reporter, request, &build.network);
        let solution = match solved {
            Ok(solution) => solution,
            Err(error) => {
                rescue::write(app, request, &planned, build, &error, &steps)?;
                return Err(explain::step(error, &planned.plan, &inputs.source));
            }
        };
        if let Some(lock) = &inputs.lock {
            lock.finish(build.sources.found(), &steps)?;
        }
        let exported = attestations::make(
            app,
            request,
            &inputs,
            &planned,
            &solution,
            (&build, &told),
            &steps,
        )
        .and_then(|made| {
            export(
                app,
                request,
                &planned,
                (&solution, &made),
                &build,
                &wanted,
                &steps,
            )
        });
        match exported {
            Ok(outcome) => break (solution, outcome),
            Err(error) => match error.downcast_ref() {
                // It is made here, then.
                Some(ExportError::RemoteLayer { layer }) => build.imports.refuse(layer),
                Some(failed) => return Err(explain::export(failed)),
                None => return Err(error),
            },
        }
    };
    caches.finish(app.store()?, reporter, &steps)?;
    outcome.reads = reads;
    outcome.reference.clone_from(&told.id);
    if request.metadata_file.is_some() {
        outcome.provenance =
            attestations::for_metadata(app, request, &inputs, &planned, (&build, &told))?;
    }
    if request.explain {
        outcome.explanations = explain::misses(&planned.plan, &solution, app.environment.now());
    }
    outcome.warn(&planned.warnings, places);
    // A store that was made for this build goes with it.
    if solution.executed > 0 && request.lender.is_none() {
        app.maintain_store();
    }
    Ok(Finished::Built(Box::new(outcome)))
}

/// Begins to push the layers of outputs that are pushed, as they come.
fn push_ahead(
    app: &App,
    request: &Request,
    caches: &OpenedCaches,
    planned: &Planned,
    steps: &Arc<InternalSteps>,
) -> anyhow::Result<Ahead> {
    let build = AheadBuild {
        store: app.store()?,
        registry: app.registry(),
        imports: &caches.imports,
        plan: &planned.plan,
    };
    let epoch = planned.source_date_epoch;
    Ok(request.outputs.push_ahead(&build, epoch, steps))
}

/// What the plan reads of the contexts, if anybody wants to know. What cannot be read now is the steps' to tell.
fn reads(
    app: &App,
    request: &Request,
    plan: &Plan,
    build: &Build,
    seen: &mut Option<Seen>,
) -> anyhow::Result<Option<Looked>> {
    if request.depfile.is_none() && request.repetition == Repetition::Once {
        return Ok(None);
    }
    let reads = local_files::look(plan, &build.contexts, app.store()?);
    *seen = Some(Seen {
        plan: plan.clone(),
        reads: reads.clone(),
    });
    Ok(Some(reads))
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
        git: app.git(request.ssh.get("default").cloned())?,
        http: app.http()?,
        contexts: inputs.take_contexts(),
        secrets: request.secrets.clone(),
        ssh: request.ssh.clone(),
        devices: Arc::clone(&request.devices),
        network: networks::of_steps(app, request)?,
        users: request.users,
        base_layers: request.base_layers(),
        imports: Arc::default(),
        mounts: Arc::default(),
        publisher: None,
        on_layer: None,
        packer: None,
        remote_layers: request.remote_layers(),
        jobs: request.jobs,
        now: app.environment.now(),
        file_times: request.outputs.file_times(planned.source_date_epoch),
        reuse: Reuse {
            ttl: request.cache_ttl.clone(),
            mount_places: cache_mounts::places(request, &planned.plan),
        },
        sources: inputs.lock.as_ref().map(Lock::sources).unwrap_or_default(),
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
    (solution, made): (&Solution, &[Made]),
    build: &Build,
    wanted: &Wanted<'_>,
    steps: &InternalSteps,
) -> anyhow::Result<Outcome> {
    let store = app.store()?;
    let told = match (&build.publisher, request.caches.inline()) {
        (Some(publisher), caches::Inline::Yes) => Some(publisher.steps()),
        _ => None,
    };
    let assembled = |dating: Dating, inline: Inline, layering: Layering| {
        let images = planned
            .plan
            .outputs
            .iter()
            .zip(&solution.outputs)
            .zip(made)
            .map(|((output, layers), made)| {
                let (imports, plan) = (&build.imports, &planned.plan);
                let mut image = match layering {
                    Layering::Kept => assemble(store, imports, plan, output, layers, dating)?,
                    Layering::Squashed => {
                        let made = squashed(store, output, layers, dating.files)?;
                        build.pin(made.layer);
                        assemble(store, imports, plan, &made.output, &made.layers, dating)?
                    }
                };
                if let (Some(told), Layering::Kept) = (&told, layering) {
                    image.tell_steps(store, told, &dating)?;
                }
                let attested = made.iter().filter(|(_, place)| inline.takes(*place));
                image.attestations = attested.map(|(one, _)| one.clone()).collect();
                Ok(image)
            })
            .collect::<Result<_, ExportError>>()?;
        Ok::<_, ExportError>(BuiltImages::new(images, request.image_form))
    };
    outputs::write(app, wanted, planned.source_date_epoch, &assembled, steps)
}
