//! What flags together decide: from what was typed to one of a few ways.

use std::num::NonZeroUsize;

use anyhow::bail;
use rbuild_export::Layering;
use rbuild_image::Platform;
use rbuild_plan::{ImageForm, NoCache};
use rbuild_source::ContextModes;

use super::values::check_key;
use super::{Action, PlanFormat, Repetition};
use crate::app::{App, Environment};
use crate::commands::build::args::{Args, boolean};
use crate::commands::build::call::{Call, Function};
use crate::commands::build::lock::{Change, LockRequest};

/// Steps that run at once at least: most of their time they wait, and independent stages should take as long as the longest.
const MIN_JOBS: usize = 16;

pub(super) fn layering(args: &Args) -> Layering {
    if args.squash {
        Layering::Squashed
    } else {
        Layering::Kept
    }
}

pub(super) fn repetition(args: &Args) -> anyhow::Result<Repetition> {
    if !args.watch {
        return Ok(Repetition::Once);
    }
    if Call::parse(&args.call)?.is_some() {
        bail!("--watch builds: it does not go together with --call");
    }
    Ok(Repetition::OnChange)
}

pub(super) fn action(args: &Args) -> anyhow::Result<Action> {
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
pub(super) fn build_args(
    given: &[String],
    environment: Environment,
) -> anyhow::Result<Vec<(String, String)>> {
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

/// Where a continuous integration builds, checkouts come and go with whatever umask: there, git's modes are the default.
pub(super) fn context_modes(given: Option<&str>, environment: Environment) -> ContextModes {
    match given {
        Some("git") => ContextModes::Git,
        Some(_) => ContextModes::Exact,
        None => match environment.text("CI").as_deref() {
            None | Some("false" | "0") => ContextModes::Exact,
            Some(_) => ContextModes::Git,
        },
    }
}

pub(super) fn no_cache(args: &Args) -> NoCache {
    match (args.no_cache, args.no_cache_filter.is_empty()) {
        (true, _) => NoCache::All,
        (false, false) => NoCache::Stages(args.no_cache_filter.clone()),
        (false, true) => NoCache::None,
    }
}

/// `--locked` and `--update-lock` say `--lock`, too.
pub(super) fn lock(args: &Args) -> anyhow::Result<Option<LockRequest>> {
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

pub(super) fn platforms(app: &App, given: &[String]) -> anyhow::Result<Vec<Platform>> {
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
pub(super) fn image_form(
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

pub(super) fn default_jobs() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores.max(MIN_JOBS)).unwrap_or(NonZeroUsize::MIN)
}
