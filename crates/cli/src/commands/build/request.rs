//! What is meant by the arguments: every text parsed, every default filled in.

mod choices;
mod secrets;
mod values;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_image::Platform;
use rbuild_plan::{Entitlement, ImageForm, NetworkMode, NoCache, SourcePolicies, StepUsers};
use rbuild_progress::Mode;
use rbuild_solve::{BaseLayers, CacheTtl, CdiDevices, RemoteLayers, Secret, SshKeys};
use rbuild_source::ContextModes;

use self::choices::{
    action, build_args, context_modes, default_jobs, image_form, layering, lock, no_cache,
    platforms, repetition,
};
use self::secrets::{secrets, ssh};
pub(crate) use self::values::bytes;
pub(super) use self::values::fields;
use self::values::{add_hosts, cache_ttl, network, pairs, parse_name, split_label, ulimits};
use super::args::Args;
use super::attestations::Attests;
use super::cache_mounts::{self, KeptMounts};
use super::caches::Caches;
use super::call::Call;
use super::grants::{Grants, policies};
use super::lock::LockRequest;
use super::outputs::Outputs;
use super::verification;
use crate::app::App;
use crate::lender::Lender;

/// Where devices are described; of two devices of one name the later counts.
const DEVICE_DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// A build that was asked for.
pub(super) struct Request {
    pub(super) context: String,
    pub(super) file: Option<String>,
    pub(super) action: Action,
    pub(super) target: Option<String>,
    pub(super) build_args: Vec<(String, String)>,
    pub(super) build_contexts: Vec<(String, String)>,
    pub(super) labels: Vec<(String, String)>,
    /// Which modes the files of contexts have.
    pub(super) context_modes: ContextModes,
    pub(super) explain: bool,
    pub(super) no_cache: NoCache,
    pub(super) cache_ttl: Option<CacheTtl>,
    /// Where cache mounts are to be, by id.
    pub(super) cache_mounts: BTreeMap<String, PathBuf>,
    pub(super) kept_mounts: KeptMounts,
    /// The directory that cache mounts are in, if not in the store: `verify`'s.
    pub(super) own_mounts: Option<PathBuf>,
    /// Who lends base images.
    pub(super) lender: Option<Lender>,
    pub(super) caches: Caches,
    pub(super) pull: bool,
    pub(super) lock: Option<LockRequest>,
    pub(super) network: NetworkMode,
    /// The network of steps that are told none: `host`, or the name of one; private ones if there is none.
    pub(super) step_network: Option<String>,
    /// Whose users steps have.
    pub(super) users: StepUsers,
    pub(super) platforms: Vec<Platform>,
    /// Whether an index stands above the images.
    pub(super) image_form: ImageForm,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) ssh: BTreeMap<String, SshKeys>,
    pub(super) add_hosts: Vec<(String, String)>,
    pub(super) entitlements: Vec<Entitlement>,
    pub(super) allowed_devices: Vec<String>,
    /// What RUN --device can name.
    pub(super) devices: Arc<CdiDevices>,
    pub(super) policies: SourcePolicies,
    pub(super) shm_size: Option<u64>,
    pub(super) ulimits: Vec<(String, u64, u64)>,
    pub(super) outputs: Outputs,
    /// What is to be attested of the images.
    pub(super) attests: Attests,
    pub(super) iidfile: Option<PathBuf>,
    pub(super) digest_file: Option<PathBuf>,
    pub(super) metadata_file: Option<PathBuf>,
    pub(super) depfile: Option<PathBuf>,
    pub(super) repetition: Repetition,
    pub(super) progress: Mode,
    pub(super) diagnostics: Diagnostics,
    /// Whether warnings are shown at length.
    pub(super) warnings: Warnings,
    /// What there is to say of the flags themselves.
    pub(super) remarks: Vec<String>,
    pub(super) jobs: NonZeroUsize,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Build.
    Build,
    /// Show the plan.
    PrintPlan(PlanFormat),
    /// Only answer a question.
    Call(Call),
}

/// How often is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    /// Once.
    Once,
    /// Whenever something changed: `--watch`.
    OnChange,
}

/// Where mistakes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Diagnostics {
    /// To people, on standard error.
    Text,
    /// To an editor as well, on standard output.
    Json,
}

/// How warnings are shown when a build ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warnings {
    /// A line each.
    Short,
    /// With their places.
    Long,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlanFormat {
    /// Graphviz.
    Dot,
    /// JSON.
    Json,
}

impl Request {
    pub(super) fn new(app: &App, args: &Args) -> anyhow::Result<Self> {
        args.unsupported.check()?;
        let environment = app.environment;
        let names = args
            .tags
            .iter()
            .map(|name| parse_name(name))
            .collect::<Result<Vec<_>, _>>()?;
        let (network, step_network) = network(&args.network, app.networks.of_steps())?;
        let grants = Grants::new(&args.allow, network)?;
        let build_args = build_args(&args.build_args, environment)?;
        let platforms = platforms(app, &args.platforms)?;
        let image_form = image_form(&platforms, &build_args)?;
        let mut outputs = Outputs::new(args, &names)?;
        let attests = Attests::new(args, &build_args)?;
        let mut remarks = args.unsupported.warnings();
        remarks.extend(outputs.settle(&attests, layering(args)));
        match platforms.as_slice() {
            [] => outputs.check_annotations(&[app.platform()], image_form, &attests)?,
            platforms => outputs.check_annotations(platforms, image_form, &attests)?,
        }
        Ok(Self {
            context: args.context.clone(),
            file: args.file.clone(),
            outputs,
            attests,
            action: action(args)?,
            target: args.target.clone().filter(|target| !target.is_empty()),
            build_contexts: pairs("--build-context", &args.build_contexts)?,
            labels: args
                .labels
                .iter()
                .map(|label| split_label(label))
                .collect::<Result<_, _>>()?,
            context_modes: context_modes(args.context_mode.as_deref(), environment),
            explain: args.explain,
            no_cache: no_cache(args),
            cache_mounts: args
                .cache_mounts
                .iter()
                .map(|text| cache_mounts::place(text))
                .collect::<Result<_, _>>()?,
            kept_mounts: if args.no_cache_mounts {
                KeptMounts::Emptied
            } else {
                KeptMounts::Kept
            },
            own_mounts: verification::mounts(args),
            lender: verification::lender(args)?,
            cache_ttl: args.cache_ttl.as_deref().map(cache_ttl).transpose()?,
            caches: Caches::new(args, &build_args, environment)?,
            pull: args.pull,
            lock: lock(args)?,
            network,
            step_network,
            users: app.users.of_steps(&args.userns)?,
            image_form,
            build_args,
            platforms,
            secrets: secrets(&args.secrets, environment)?,
            ssh: ssh(&args.ssh, environment)?,
            add_hosts: add_hosts(&args.add_hosts)?,
            entitlements: grants.entitlements,
            allowed_devices: grants.devices,
            devices: Arc::new(CdiDevices::load(&DEVICE_DIRECTORIES.map(Path::new))),
            policies: policies(&args.source_policy_files, environment)?,
            shm_size: args.shm_size.as_deref().map(bytes).transpose()?,
            ulimits: ulimits(&args.ulimits)?,
            iidfile: args.iidfile.clone(),
            digest_file: args.digest_file.clone(),
            metadata_file: args.metadata_file.clone(),
            depfile: args.depfile.clone(),
            repetition: repetition(args)?,
            progress: if args.quiet {
                Mode::Quiet
            } else {
                args.progress.parse()?
            },
            jobs: args.jobs.unwrap_or_else(default_jobs),
            diagnostics: if args.diagnostics == "json" {
                Diagnostics::Json
            } else {
                Diagnostics::Text
            },
            warnings: if args.debug {
                Warnings::Long
            } else {
                Warnings::Short
            },
            remarks,
        })
    }
}

impl Request {
    /// Whether the layers of base images have to be here at the end.
    pub(super) fn base_layers(&self) -> BaseLayers {
        match self.attests.sbom {
            Some(_) => BaseLayers::Always,
            None => self.outputs.base_layers(),
        }
    }

    /// Whether layers that only a remote cache has must be brought here.
    pub(super) fn remote_layers(&self) -> RemoteLayers {
        match self.attests.sbom {
            Some(_) => RemoteLayers::Always,
            None => self.outputs.remote_layers(),
        }
    }
}
