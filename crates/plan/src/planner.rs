//! The way from syntax tree to plan, in the order in which it happens.
//!
//! ```text
//! for each platform:  global ARGs → stages and their needs → bases (and the ONBUILDs they bring, which may need
//!                     more) → instructions of what the target needs, in the order of the file → output
//! ```

mod starts;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use rbuild_dockerfile::{Diagnostic, Dockerfile, Source};
use rbuild_image::Platform;

use crate::bases::{self, Resolver};
use crate::build::{Build, Prefix, TargetOrigin};
use crate::dispatch::{self, Stage};
use crate::epoch::{self, EpochSource};
pub use crate::given::UnusedBuildArg;
use crate::given::{self, unused_build_args};
use crate::globals::{self, Globals};
use crate::lint::Checks;
use crate::platform_args::{BuildArgs, proxy_env};
use crate::reach::{Base, Role, StageGraph, StageIndex};
use crate::report::Report;
use crate::stage::{StageState, Tree};
use crate::{
    BaseImage, ImageForm, ImageOutput, ImageScan, Images, Outline, Plan, PlanError, PlanOptions,
    Scan, Scope, VertexId, config, outline, scans,
};

/// A plan and what should be said of the file.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The graph.
    pub plan: Plan,
    /// Lints that count after `# check=`, the parser's among them, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// Build args that nothing declares.
    pub unused_build_args: Vec<UnusedBuildArg>,
    /// `SOURCE_DATE_EPOCH`, in seconds, if it is given.
    pub source_date_epoch: Option<i64>,
    /// What the target asks of whoever builds it, on the first platform.
    pub outline: Outline,
}

/// Plans the build of `dockerfile`, which was parsed from `source`.
///
/// Mistakes are collected and reported together; an image that cannot be resolved ends planning at once.
pub fn plan(
    source: &Source,
    dockerfile: &Dockerfile,
    options: &PlanOptions,
    images: &dyn Images,
) -> Result<Planned, PlanError> {
    debug_assert!(
        dockerfile
            .stages
            .iter()
            .all(|stage| stage.span.end as usize <= source.text.len())
    );
    let build_args: BuildArgs = options.build_args.iter().cloned().collect();
    let mut report = Report::default();
    report
        .warnings
        .extend(options.syntax_warnings.iter().cloned());
    let checks = Checks::of(&dockerfile.directives, &build_args).unwrap_or_else(|mistake| {
        report.push(mistake);
        Checks::none()
    });
    let mut plan = Plan::default();
    let mut resolver = Resolver::new(images);
    let mut source_date_epoch = None;
    let mut outline = None;
    for (place, target) in targets(options).iter().enumerate() {
        // All platforms share one file: the first one tells what there is to say of it.
        let warnings = report.warnings.len();
        match build_for(dockerfile, options, &build_args, &checks, target) {
            Ok(build) => {
                if place == 0 {
                    report.warnings.extend(globals::lint_defaults(
                        dockerfile,
                        options,
                        target,
                        &build_args,
                    ));
                }
                source_date_epoch = given::epoch(&build, &mut report);
                plan_platform(&build, &mut plan, &mut resolver, &mut report, &mut outline)
                    .map_err(|error| error.with_warnings(checks.filter(report.warnings.clone())))?;
            }
            Err(mistakes) => report.errors.extend(mistakes),
        }
        if place > 0 {
            report.warnings.truncate(warnings);
        }
        if !report.errors.is_empty() {
            break;
        }
    }
    let warnings = checks.filter(report.warnings);
    report.errors.extend(checks.verdict(&warnings));
    if !report.errors.is_empty() {
        let mut diagnostics = report.errors;
        diagnostics.extend(warnings);
        return Err(PlanError::Mistakes { diagnostics });
    }
    Ok(Planned {
        plan,
        warnings,
        unused_build_args: unused_build_args(dockerfile, options, &resolver.trigger_args()),
        source_date_epoch,
        outline: outline.unwrap_or_default(),
    })
}

/// The images that [`plan`] will ask for, each once; those that only an ONBUILD of a base image names are not
/// among them. Mistakes are left for [`plan`] to report.
pub fn base_images(dockerfile: &Dockerfile, options: &PlanOptions) -> Vec<BaseImage> {
    let build_args: BuildArgs = options.build_args.iter().cloned().collect();
    let checks = Checks::none();
    let mut found = BTreeSet::new();
    for target in targets(options) {
        let Ok(build) = build_for(dockerfile, options, &build_args, &checks, &target) else {
            continue;
        };
        let graph = StageGraph::new(&build, &mut Report::default());
        let Ok(root) = graph.target(options.target.as_deref()) else {
            continue;
        };
        if graph.nodes.is_empty() {
            continue;
        }
        for index in needed(&graph, root, options.scope) {
            let node = &graph.nodes[index];
            if let Some(reference) = bases::image_reference(&node.base) {
                found.insert(BaseImage {
                    reference,
                    platform: node.platform.clone().unwrap_or_else(|| target.clone()),
                    span: node.span,
                });
            }
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.dedup_by(|a, b| a.reference == b.reference && a.platform == b.platform);
    found
}

/// What the time of `SOURCE_DATE_EPOCH` is to be taken from, if it is no number: [`plan`] wants the number in its place, as
/// a build arg. Mistakes are left for it to report.
pub fn epoch_source(dockerfile: &Dockerfile, options: &PlanOptions) -> Option<EpochSource> {
    let build_args: BuildArgs = options.build_args.iter().cloned().collect();
    let target = targets(options).into_iter().next()?;
    let checks = Checks::none();
    let build = build_for(dockerfile, options, &build_args, &checks, &target).ok()?;
    epoch::source(&build).ok().flatten()
}

/// The platforms that are built for.
fn targets(options: &PlanOptions) -> Vec<Platform> {
    let mut targets: Vec<Platform> = Vec::new();
    for platform in &options.platforms {
        let platform = platform.normalized();
        if !targets.contains(&platform) {
            targets.push(platform);
        }
    }
    if targets.is_empty() {
        targets.push(options.build_platform.clone());
    }
    targets
}

fn build_for<'a>(
    dockerfile: &'a Dockerfile,
    options: &'a PlanOptions,
    build_args: &'a BuildArgs,
    checks: &'a Checks,
    target: &Platform,
) -> Result<Build<'a>, Vec<Diagnostic>> {
    let is_several = options.platforms.len() > 1 || options.image_form == ImageForm::Indexed;
    Ok(Build {
        options,
        dockerfile,
        args: build_args,
        checks,
        growth: Cell::new(0),
        globals: Globals::evaluate(dockerfile, options, target, build_args)?,
        shell: ["/bin/sh", "-c"].map(Arc::from).into(),
        hostname: build_args
            .get("BUILDKIT_SANDBOX_HOSTNAME")
            .unwrap_or(&options.hostname)
            .as_str()
            .into(),
        target: Arc::new(target.clone()),
        own_platform: Arc::new(options.build_platform.clone()),
        target_origin: if options.platforms.is_empty() {
            TargetOrigin::Implied
        } else {
            TargetOrigin::Asked
        },
        prefix: if is_several {
            Prefix::Platform
        } else {
            Prefix::Plain
        },
        escape: dockerfile.directives.escape,
        proxy_env: proxy_env(build_args),
    })
}

fn needed(graph: &StageGraph<'_>, root: StageIndex, scope: Scope) -> BTreeSet<StageIndex> {
    match scope {
        Scope::Target => graph.reachable(root),
        Scope::AllStages => (0..graph.nodes.len()).collect(),
    }
}

fn plan_platform(
    build: &Build<'_>,
    plan: &mut Plan,
    resolver: &mut Resolver<'_>,
    report: &mut Report,
    outline: &mut Option<Outline>,
) -> Result<(), PlanError> {
    let mut graph = StageGraph::new(build, report);
    if !report.errors.is_empty() {
        return Ok(());
    }
    let root = match graph.target(build.options.target.as_deref()) {
        Ok(root) => root,
        Err(mistake) => {
            report.push(mistake);
            return Ok(());
        }
    };
    let (needed, mut starts) = starts::resolve(&mut graph, root, build, plan, resolver, report)?;
    if !report.errors.is_empty() {
        return Ok(());
    }
    let mut done = finished_bases(&graph, &mut starts);
    for index in needed {
        let node = &graph.nodes[index];
        if done[index].is_some() {
            continue;
        }
        let state = match node.base {
            Base::Stage(base) => done[base].as_mut().map(StageState::child),
            _ => starts[index].take(),
        };
        let Some(mut state) = state else {
            continue;
        };
        if dispatch::has_instructions(node) {
            for name in &node.used {
                state.captured.global(name);
            }
            state.enter();
            state = Stage {
                plan,
                report,
                build,
                graph: &graph,
                index,
                done: &done,
                state,
            }
            .run();
        }
        done[index] = Some(state);
        if dispatch::is_enough(build, report) {
            break;
        }
    }
    if !report.errors.is_empty() {
        return Ok(());
    }
    outline.get_or_insert_with(|| outline_of(build, &graph, root, &done));
    let trees = match &build.options.scan {
        Scan::None => Ok(None),
        Scan::Trees | Scan::Generator { .. } => {
            scans::trees(build, plan, &graph, root, &done).map(Some)
        }
    };
    let trees = match trees {
        Ok(trees) => trees,
        Err(refusal) => {
            report.push(refusal);
            return Ok(());
        }
    };
    let Some(state) = done[root].take() else {
        return Ok(());
    };
    let core = add_output(build, plan, state);
    if let Some(trees) = trees {
        let generated = scans::generator(build, plan, resolver, &graph, core, &trees)?;
        plan.scans.push(ImageScan { trees, generated });
    }
    Ok(())
}

/// The outline of the target: its own stage and those below it come before what it copies from.
fn outline_of(
    build: &Build<'_>,
    graph: &StageGraph<'_>,
    root: StageIndex,
    done: &[Option<StageState>],
) -> Outline {
    let comments = build.dockerfile.stages.get(root);
    let comments = comments.map_or(&[][..], |stage| stage.comments.as_slice());
    let name = graph.nodes[root].name.clone().unwrap_or_default();
    let others = graph.reachable(root).into_iter().rev();
    let stages = std::iter::once(root).chain(others);
    let captured = stages.filter_map(|index| Some(&done[index].as_ref()?.captured));
    let description = outline::description(comments, &name);
    Outline::new(name, description, captured, &build.globals.outline)
}

/// The states that no instruction changes: what is no stage is there from the start.
fn finished_bases(
    graph: &StageGraph<'_>,
    starts: &mut [Option<StageState>],
) -> Vec<Option<StageState>> {
    let nodes = graph.nodes.iter().zip(starts);
    nodes
        .map(|(node, start)| match node.role {
            Role::Stage => None,
            Role::Replaced | Role::Foreign => start.take(),
        })
        .collect()
}

/// Gives the tree of the image.
fn add_output(build: &Build<'_>, plan: &mut Plan, state: StageState) -> Option<VertexId> {
    let base_history = state.config.base_history();
    let mut config = state.config.finish();
    let labels = build.options.labels.iter().cloned();
    config.config.labels.extend(labels);
    if build.target_origin == TargetOrigin::Asked {
        config::set_platform(&mut config, &build.target);
    }
    config::normalize_platform(&mut config);
    let root = match state.tree {
        Tree::Empty => None,
        Tree::Layers(id) => Some(id),
        Tree::Directory(id) => Some(dispatch::layer_of_directory(plan, id, &build.target)),
    };
    plan.outputs.push(ImageOutput {
        platform: (*build.target).clone(),
        root,
        config,
        base_history,
    });
    root
}
