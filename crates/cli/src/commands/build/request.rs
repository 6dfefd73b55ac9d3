//! What is meant by the arguments: every text parsed, every default filled in.

mod secrets;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rbuild_container::{AddHost, Ulimit};
use rbuild_export::Layering;
use rbuild_image::{Platform, Reference};
use rbuild_plan::{Entitlement, ImageForm, NetworkMode, NoCache, SourcePolicies};
use rbuild_progress::Mode;
use rbuild_solve::{BaseLayers, CacheTtl, CdiDevices, RemoteLayers, Secret, SshKeys};
use rbuild_source::ContextModes;

use self::secrets::{secrets, ssh};
use super::args::{Args, boolean};
use super::attestations::Attests;
use super::cache_mounts::{self, KeptMounts};
use super::caches::Caches;
use super::call::{Call, Function};
use super::grants::{Grants, policies};
use super::lock::{Change, LockRequest};
use super::outputs::Outputs;
use super::verification;
use crate::app::{App, Environment};
use crate::commands::filter::duration;
use crate::lender::Lender;

/// Steps that run at once at least: most of their time they wait, and independent stages should take as long as the longest.
const MIN_JOBS: usize = 16;

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
        let network = network(&args.network)?;
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

fn layering(args: &Args) -> Layering {
    if args.squash {
        Layering::Squashed
    } else {
        Layering::Kept
    }
}

fn repetition(args: &Args) -> anyhow::Result<Repetition> {
    if !args.watch {
        return Ok(Repetition::Once);
    }
    if Call::parse(&args.call)?.is_some() {
        bail!("--watch builds: it does not go together with --call");
    }
    Ok(Repetition::OnChange)
}

fn parse_name(name: &str) -> anyhow::Result<Reference> {
    let reference: Reference = name.parse()?;
    if reference.digest().is_some() {
        bail!("invalid tag {name:?}: an image cannot be built to have a given digest");
    }
    Ok(reference)
}

fn action(args: &Args) -> anyhow::Result<Action> {
    let call = Call::parse(&args.call)?;
    Ok(match (args.print_plan.as_deref(), call) {
        (Some("json"), _) => Action::PrintPlan(PlanFormat::Json),
        (Some(_), _) => Action::PrintPlan(PlanFormat::Dot),
        (None, Some(call)) => Action::Call(call),
        (None, None) if args.check => Action::Call(Call::new(Function::Check)),
        (None, None) => Action::Build,
    })
}

/// `K=V`; `K` alone takes the environment's value and is left out where that has none.
fn build_args(given: &[String], environment: Environment) -> anyhow::Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    if let Some(epoch) = environment.text("SOURCE_DATE_EPOCH") {
        pairs.push(("SOURCE_DATE_EPOCH".to_owned(), epoch));
    }
    for argument in given {
        check_key(argument)?;
        match argument.split_once('=') {
            Some((name, value)) => pairs.push((name.to_owned(), value.to_owned())),
            None => pairs.extend(
                environment
                    .passed_on(argument)
                    .map(|value| (argument.clone(), value)),
            ),
        }
    }
    Ok(pairs)
}

fn check_key(pair: &str) -> anyhow::Result<()> {
    if pair.is_empty() || pair.starts_with('=') {
        bail!("invalid key-value pair {pair:?}: empty key");
    }
    Ok(())
}

fn pairs(flag: &str, given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    given
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => bail!("invalid value {text:?} for {flag}: it is NAME=VALUE"),
        })
        .collect()
}

fn split_label(label: &str) -> anyhow::Result<(String, String)> {
    check_key(label)?;
    let (name, value) = label.split_once('=').unwrap_or((label, ""));
    Ok((name.to_owned(), value.to_owned()))
}

/// Where a continuous integration builds, checkouts come and go with whatever umask: there, git's modes are the default.
fn context_modes(given: Option<&str>, environment: Environment) -> ContextModes {
    match given {
        Some("git") => ContextModes::Git,
        Some(_) => ContextModes::Exact,
        None => match environment.text("CI").as_deref() {
            None | Some("false" | "0") => ContextModes::Exact,
            Some(_) => ContextModes::Git,
        },
    }
}

fn no_cache(args: &Args) -> NoCache {
    match (args.no_cache, args.no_cache_filter.is_empty()) {
        (true, _) => NoCache::All,
        (false, false) => NoCache::Stages(args.no_cache_filter.clone()),
        (false, true) => NoCache::None,
    }
}

/// `--locked` and `--update-lock` say `--lock`, too.
fn lock(args: &Args) -> anyhow::Result<Option<LockRequest>> {
    let change = match (&args.update_lock, args.locked) {
        (Some(name), _) => Change::Update(Some(name.clone()).filter(|name| !name.is_empty())),
        (None, true) => Change::Refuse,
        (None, false) if args.lock.is_some() => Change::Add,
        (None, false) => return Ok(None),
    };
    let file = args.lock.as_ref().filter(|file| !file.is_empty());
    let file = file.map(std::path::absolute).transpose()?;
    Ok(Some(LockRequest { file, change }))
}

fn cache_ttl(text: &str) -> anyhow::Result<CacheTtl> {
    let age = duration(text)
        .with_context(|| format!("invalid --cache-ttl {text:?}: it is an age such as 12h or 7d"))?;
    let text = text.to_owned();
    Ok(CacheTtl { age, text })
}

fn network(text: &str) -> anyhow::Result<NetworkMode> {
    match text {
        "default" | "" => Ok(NetworkMode::Default),
        "none" => Ok(NetworkMode::None),
        "host" => Ok(NetworkMode::Host),
        _ => bail!("network mode {text:?} is not supported: it is default, none or host"),
    }
}

fn platforms(app: &App, given: &[String]) -> anyhow::Result<Vec<Platform>> {
    given
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| match text.as_str() {
            "local" => Ok(app.platform()),
            text => Ok(text.parse::<Platform>()?.normalized()),
        })
        .collect()
}

/// An index is made for several platforms, and for one where `BUILDKIT_MULTI_PLATFORM` asks for it.
fn image_form(
    platforms: &[Platform],
    build_args: &[(String, String)],
) -> anyhow::Result<ImageForm> {
    const ARGUMENT: &str = "BUILDKIT_MULTI_PLATFORM";
    let mut given = build_args.iter().rev();
    let asked = given
        .find(|(name, value)| name == ARGUMENT && !value.is_empty())
        .map(|(_, value)| {
            boolean(value).map_err(|reason| {
                anyhow::anyhow!("invalid value {value:?} of {ARGUMENT}: {reason}")
            })
        })
        .transpose()?;
    match (asked, platforms.len() > 1) {
        (Some(false), true) => {
            bail!("{ARGUMENT} is false, but several platforms are asked for: give one --platform")
        }
        (Some(true), _) | (None, true) => Ok(ImageForm::Indexed),
        (Some(false) | None, false) => Ok(ImageForm::Single),
    }
}

/// The fields of a `key=value,…` list; a field may be quoted, as in CSV.
pub(super) fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    for character in text.chars().chain([',']) {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut current)),
            character => current.push(character),
        }
    }
    fields
        .iter()
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            (key.trim().to_lowercase(), value.to_owned())
        })
        .collect()
}

fn add_hosts(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    given
        .iter()
        .map(|text| {
            AddHost::parse(text)
                .map(|host| {
                    // The network is the host's own: its gateway to the host is loopback.
                    let address = host.address([127, 0, 0, 1].into());
                    (host.name, address)
                })
                .map_err(Into::into)
        })
        .collect()
}

fn ulimits(given: &[String]) -> anyhow::Result<Vec<(String, u64, u64)>> {
    given
        .iter()
        .map(|text| {
            Ulimit::parse(text)
                .map(|limit| (limit.name, limit.soft, limit.hard))
                .map_err(Into::into)
        })
        .collect()
}

/// Docker's sizes: `64m`, `1g`, `1048576`, in powers of 1024.
pub(crate) fn bytes(text: &str) -> anyhow::Result<u64> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match lower[digits.len()..].trim_end_matches('b') {
        "" => 0,
        "k" | "ki" => 10,
        "m" | "mi" => 20,
        "g" | "gi" => 30,
        "t" | "ti" => 40,
        _ => bail!("invalid size {text:?}: it is a number and b, k, m, g or t"),
    };
    let number: u64 = digits
        .parse()
        .with_context(|| format!("invalid size {text:?}"))?;
    number
        .checked_mul(1 << shift)
        .with_context(|| format!("invalid size {text:?}: too large"))
}

fn default_jobs() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores.max(MIN_JOBS)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_1024() {
        assert_eq!(bytes("64m").expect("valid"), 64 << 20);
        assert_eq!(bytes("1GiB").expect("valid"), 1 << 30);
        assert_eq!(bytes("512").expect("valid"), 512);
        assert!(bytes("many").is_err());
        assert!(bytes("99999999999999999g").is_err());
    }

    #[test]
    fn a_quoted_field_may_hold_commas() {
        assert_eq!(
            fields(r#"type=image,"name=a,b",push=true"#),
            [("type", "image"), ("name", "a,b"), ("push", "true")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
