//! From Dockerfile and request to plan.

use rbuild_dockerfile::{Diagnostic, Dockerfile, Severity, Source, lint, parse};
use rbuild_plan::{
    Devices, IgnoreEffect, IgnorePattern, Ignored, Images, Plan, PlanOptions, Planned,
    ResolveError, ResolvedImage, Scan, Scope, base_images, syntax_warnings,
};
use rbuild_source::IgnoreRules;

use super::call::Function;
use super::contexts::Inputs;
use super::internal::InternalSteps;
use super::lock::LockedImages;
use super::policed::PolicedImages;
use super::request::{Action, PlanFormat, Request};
use super::{epoch, explain};
use crate::app::App;
use crate::base_images::{BaseImages, Freshness};

/// A Dockerfile that was understood, and what there is to say of it.
pub(super) struct Understood {
    pub(super) dockerfile: Dockerfile,
    warnings: Vec<Diagnostic>,
}

/// Why there is no plan.
pub(super) enum Unplanned {
    /// The file has mistakes; warnings are among them.
    Mistakes(Vec<Diagnostic>),
    /// Something else.
    Other(anyhow::Error),
}

impl Unplanned {
    /// What was found in the file.
    pub(super) fn findings(&self) -> &[Diagnostic] {
        match self {
            Self::Mistakes(findings) => findings,
            Self::Other(_) => &[],
        }
    }

    /// As the failure of a build.
    pub(super) fn into_error(self, source: &Source) -> anyhow::Error {
        match self {
            Self::Mistakes(findings) => explain::failure(source, &findings),
            Self::Other(error) => error,
        }
    }
}

/// Parses the Dockerfile and looks for what the text alone tells.
pub(super) fn understand(request: &Request, source: &Source) -> Result<Understood, Unplanned> {
    let parsed = parse(source);
    let mut warnings = parsed.diagnostics;
    let Some(dockerfile) = parsed.dockerfile else {
        let (mut findings, warnings): (Vec<_>, Vec<_>) = warnings
            .into_iter()
            .partition(|found| found.severity == Severity::Error);
        let options = PlanOptions {
            build_args: request.build_args.clone(),
            ..PlanOptions::default()
        };
        findings.extend(syntax_warnings(&parsed.directives, &options, warnings));
        return Err(Unplanned::Mistakes(findings));
    };
    warnings.extend(lint(&dockerfile));
    Ok(Understood {
        dockerfile,
        warnings,
    })
}

/// Plans the build: base images are resolved side by side first.
pub(super) fn plan(
    app: &App,
    request: &Request,
    inputs: &Inputs,
    understood: &Understood,
    steps: &InternalSteps,
) -> Result<Planned, Unplanned> {
    let dockerfile = &understood.dockerfile;
    let mut options = options(app, request, inputs);
    options.syntax_warnings.clone_from(&understood.warnings);
    if request.action == Action::Build {
        epoch::resolve(app, request, dockerfile, &mut options, steps).map_err(Unplanned::Other)?;
    }
    let images = PolicedImages {
        images: LockedImages {
            images: BaseImages {
                store: app.store().map_err(Unplanned::Other)?,
                registry: app.registry(),
                freshness: if request.pull {
                    Freshness::Resolved
                } else {
                    Freshness::Known
                },
                lender: request.lender.as_ref(),
            },
            lock: inputs.lock.as_ref(),
        },
        policies: &request.policies,
    };
    let images = ResolvedAhead::new(&images, &base_images(dockerfile, &options), steps);
    rbuild_plan::plan(&inputs.source, dockerfile, &options, &images)
        .map_err(|error| Unplanned::Mistakes(explain::findings(error)))
}

fn options(app: &App, request: &Request, inputs: &Inputs) -> PlanOptions {
    let ignored = inputs.ignore_rules().map(ignored);
    PlanOptions {
        target: request.target.clone(),
        scope: match (request.action, &request.target) {
            (Action::Call(call), None) if call.function == Function::Check => Scope::AllStages,
            _ => Scope::Target,
        },
        build_args: request.build_args.clone(),
        labels: request.labels.clone(),
        platforms: request.platforms.clone(),
        image_form: request.image_form,
        build_platform: app.platform(),
        network: request.network,
        users: request.users,
        extra_hosts: request.add_hosts.clone(),
        no_cache: request.no_cache.clone(),
        contexts: inputs.named.clone(),
        entitlements: request.entitlements.iter().copied().collect(),
        policies: request.policies.clone(),
        devices: Devices {
            known: request.devices.known(),
            allowed: request.allowed_devices.clone(),
            broken: request
                .devices
                .broken()
                .iter()
                .map(ToString::to_string)
                .collect(),
        },
        shm_size: request.shm_size,
        ulimits: request.ulimits.clone(),
        main_context: inputs.main.clone(),
        scan: match request.action {
            Action::Build | Action::PrintPlan(_) => request.attests.scan(),
            Action::Call(_) => Scan::None,
        },
        ignored,
        ..PlanOptions::default()
    }
}

/// What the rules come to, for those who only look at paths.
fn ignored(rules: IgnoreRules) -> Ignored {
    let patterns = rules.patterns().map(|(text, is_exception)| {
        let effect = if is_exception {
            IgnoreEffect::Shows
        } else {
            IgnoreEffect::Hides
        };
        IgnorePattern::new(String::from_utf8_lossy(text), effect)
    });
    Ignored::new(patterns.collect(), move |path: &str| {
        rules.ignores(path.as_bytes())
    })
}

type Answer = Result<std::sync::Arc<ResolvedImage>, ResolveError>;

/// Images that were resolved in parallel before the plan asks for them, each as a step of its own.
struct ResolvedAhead<'a> {
    images: &'a dyn Images,
    steps: &'a InternalSteps,
    answers: std::sync::Mutex<Vec<((String, rbuild_image::Platform), Answer)>>,
}

impl<'a> ResolvedAhead<'a> {
    fn new(
        images: &'a dyn Images,
        wanted: &[rbuild_plan::BaseImage],
        steps: &'a InternalSteps,
    ) -> Self {
        let ahead = Self {
            images,
            steps,
            answers: std::sync::Mutex::default(),
        };
        std::thread::scope(|scope| {
            for image in wanted {
                let ask = || {
                    let answer = ahead.ask(&image.reference, &image.platform);
                    let key = (image.reference.clone(), image.platform.clone());
                    ahead.answers().push((key, answer));
                };
                // A single one needs no thread.
                if wanted.len() == 1 {
                    ask();
                } else {
                    scope.spawn(ask);
                }
            }
        });
        ahead
    }

    fn ask(&self, reference: &str, platform: &rbuild_image::Platform) -> Answer {
        let shown = reference
            .parse::<rbuild_image::Reference>()
            .map_or_else(|_| reference.to_owned(), |name| name.to_string());
        self.steps
            .run(&format!("[internal] load metadata for {shown}"), |_| {
                self.images.resolve(reference, platform)
            })
    }

    fn answers(
        &self,
    ) -> std::sync::MutexGuard<'_, Vec<((String, rbuild_image::Platform), Answer)>> {
        self.answers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Images for ResolvedAhead<'_> {
    fn resolve(&self, reference: &str, platform: &rbuild_image::Platform) -> Answer {
        let mut answers = self.answers();
        let known = answers
            .iter()
            .position(|((name, known), _)| name == reference && known == platform);
        match known.map(|at| &mut answers[at].1) {
            Some(Ok(image)) => Ok(std::sync::Arc::clone(image)),
            Some(failed) => {
                let gone = Err(ResolveError::new("it was told before"));
                std::mem::replace(failed, gone)
            }
            None => {
                drop(answers);
                self.ask(reference, platform)
            }
        }
    }
}

/// The plan as text.
pub(super) fn draw(plan: &Plan, format: PlanFormat) -> String {
    match format {
        PlanFormat::Dot => rbuild_plan::to_dot(plan),
        PlanFormat::Json => format!("{:#}\n", rbuild_plan::to_json(plan)),
    }
}
